"""Nodes that join flows: Add, Sub and Sum of two activations, Concat of channels.

Scales are aligned exactly, by integers.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction

import numpy as np

from hwgen.errors import FrontendError
from hwgen.frontend.flow import Flow, Summands
from hwgen.frontend.layout import image_of
from hwgen.frontend.network import Network
from hwgen.frontend.rejoin import fused_sum
from hwgen.frontend.settle import JOIN_BITS, settled
from hwgen.frontend.site import Site
from hwgen.ir import Scale
from hwgen.numeric import CodeType, Rounding
from hwgen.ops.add import Add
from hwgen.ops.concat import Concat
from hwgen.ops.requantize import Requantize

MAX_MULTIPLIER = 1 << 16
MAX_PAIRS = 1 << 20  # of codes of two values, all of which are tried


@dataclass(frozen=True)
class Term:
    """One flow of a join: a value, and its scales as exact numbers."""

    value: str
    scales: tuple[Fraction, ...]


def add(site: Site, network: Network) -> Flow:
    """Return the flow behind an Add, Sub or Sum: integer sums on a common scale."""
    fused = fused_sum(site, network)
    if fused is not None:
        return fused
    _expect_flows(site, "a sum")
    first = site.flow
    for flow in site.flows[1:]:
        if flow.shape != first.shape:
            raise FrontendError(
                f"expected tensors of equal shape, got {first.shape} and {flow.shape}; flowing "
                "tensors are not broadcast"
            )
        if not np.array_equal(flow.order, first.order):
            raise FrontendError(
                "expected tensors that stream in the same order, got different ones; remove the "
                "Transpose of one of them"
            )
    terms = [_term(network, settled(site, network, flow)) for flow in site.flows]
    shape = network.types[terms[0].value].shape
    values = [network.reshaped(site, term.value, shape) for term in terms]
    terms = [Term(value, term.scales) for value, term in zip(values, terms, strict=True)]
    if _is_free(network, terms):
        signs = (1, -1 if site.node.op_type == "Sub" else 1)
        pair = Summands((terms[0].value, terms[1].value), signs)
        return Flow(pair.values[0], first.order, source=site.node.name, summands=pair)
    scale, multipliers = _aligned(site, network, terms)
    if site.node.op_type == "Sub":
        multipliers = [multipliers[0], *(-m for m in multipliers[1:])]
    op = Add(np.array(multipliers, dtype=np.int64))
    name = network.emit(site, op, [term.value for term in terms], scale)
    return Flow(name, first.order, source=site.node.name)


def _is_free(network: Network, terms: Sequence[Term]) -> bool:
    """Whether two scales have no common measure in small integers, and few enough pairs occur."""
    if len(terms) != 2 or any(len(set(term.scales)) > 1 for term in terms):
        return False
    scales = [term.scales[0] for term in terms]
    pairs = math.prod(network.types[term.value].codes.size for term in terms)
    return max(scales) / _common(scales) > MAX_MULTIPLIER and pairs <= MAX_PAIRS


def _expect_flows(site: Site, what: str) -> None:
    if any(constant is not None for constant in site.inputs):
        raise FrontendError(
            f"expected {what} of activations alone or with one constant, got both; split the node"
        )


def _term(network: Network, value: str) -> Term:
    return Term(value, tuple(map(Fraction, network.scales[value])))


def even(site: Site, network: Network, value: str) -> str:
    """Return a value with the same numbers as `value` and one scale for all channels."""
    return _even(site, network, _term(network, value)).value


def _aligned(site: Site, network: Network, terms: list[Term]) -> tuple[Scale, list[int]]:
    """Return the sum's scale and each term's multiplier; terms of uneven scales are requantized."""
    channels = max(len(term.scales) for term in terms)
    each = [term.scales * (channels // len(term.scales)) for term in terms]
    ratios = [[s / first for s, first in zip(own, each[0], strict=True)] for own in each]
    if any(len(set(own)) > 1 for own in ratios):
        # Channels stand in different proportions: bring each term to one scale first.
        terms[:] = [_even(site, network, term) for term in terms]
        return _aligned(site, network, terms)
    common = _common([own[0] for own in ratios])
    multipliers = [int(own[0] / common) for own in ratios]
    _expect_small(multipliers, [term.scales[0] for term in terms])
    return tuple(float(s * common) for s in each[0]), multipliers


def _even(site: Site, network: Network, term: Term) -> Term:
    """Return `term` with one scale for all its channels."""
    if len(set(term.scales)) == 1:
        return Term(term.value, term.scales[:1])
    common = _common(term.scales)
    multipliers = [int(s / common) for s in term.scales]
    _expect_small(multipliers, term.scales)
    return Term(_scaled(site, network, term.value, multipliers, common), (common,))


def _common(numbers: Sequence[Fraction]) -> Fraction:
    """Return the largest number of which all of `numbers` are multiples."""
    denominator = math.lcm(*(n.denominator for n in numbers))
    return Fraction(math.gcd(*(int(n * denominator) for n in numbers)), denominator)


def _expect_small(multipliers: Sequence[int], scales: Sequence[Fraction]) -> None:
    if max(multipliers) > MAX_MULTIPLIER:
        shown = ", ".join(f"{float(scale):g}" for scale in list(dict.fromkeys(scales))[:4])
        raise FrontendError(
            f"expected scales in the proportion of integers up to {MAX_MULTIPLIER}, got {shown}; "
            "give both the same scale, or scales that are powers of two"
        )


def _scaled(
    site: Site, network: Network, value: str, multipliers: Sequence[int], scale: Fraction
) -> str:
    """Multiply codes, so that each of them stands for a multiple of one `scale`."""
    x = network.types[value]
    factors = np.array(multipliers, dtype=np.int64)
    ends = [codes * m for m in multipliers for codes in (x.codes.lo, x.codes.hi)]
    interval = CodeType(min(ends), max(ends))
    if interval.width > JOIN_BITS:
        raise FrontendError(
            f"type too wide: expected codes of {JOIN_BITS} bits on a common scale, got "
            f"{interval.width}; put a Quant before the node"
        )
    op = Requantize(factors, np.zeros(1, dtype=np.int64), 0, Rounding.TRN, interval)
    return network.emit(site, op, [value], (float(scale),), "aligned")


def concat(site: Site, network: Network) -> Flow:
    """Return the flow behind a Concat over channels."""
    if any(constant is not None for constant in site.inputs):
        raise FrontendError("expected activations alone, got a constant among them; pad instead")
    axis, rank = site.attributes.get("axis"), len(site.shape)
    if rank < 2 or axis not in (1, 1 - rank):
        raise FrontendError(
            f"expected a concatenation over channels, axis 1, got axis {axis} of shape "
            f"{site.shape}; flowing tensors are joined pixel by pixel"
        )
    terms = [
        _even(site, network, _term(network, settled(site, network, flow))) for flow in site.flows
    ]
    shapes = [(flow.order.size,) if rank == 2 else image_of(flow) for flow in site.flows]
    if len({shape[:-1] for shape in shapes}) > 1:
        raise FrontendError(f"expected shapes that differ in channels only, got {shapes}")
    common = _common([term.scales[0] for term in terms])
    multipliers = [int(term.scales[0] / common) for term in terms]
    _expect_small(multipliers, [term.scales[0] for term in terms])
    bipolar = {network.types[term.value].codes.bipolar for term in terms}
    # Bits stay bits only where all are, on one scale.
    wide = len(bipolar) > 1 or max(multipliers) > 1
    values = []
    for term, m, shape in zip(terms, multipliers, shapes, strict=True):
        bits = network.types[term.value].codes.bipolar
        value = term.value
        if m > 1 or (wide and bits):
            value = _scaled(site, network, value, [m], common)
        values.append(network.reshaped(site, value, shape))
    total, first, orders = sum(shape[-1] for shape in shapes), 0, []
    for flow, shape in zip(site.flows, shapes, strict=True):
        vector, channel = np.divmod(flow.order, shape[-1])
        orders.append(vector * total + first + channel)
        first += shape[-1]
    name = network.emit(site, Concat(), values, (float(common),))
    whole = all(flow.settled and flow.quantized for flow in site.flows)
    order = np.concatenate(orders, axis=1)
    return Flow(name, order, quantized=whole, source=site.node.name)
