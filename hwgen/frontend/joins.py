"""Nodes that add flows: Add, Sub and Sum, their scales aligned exactly by integers."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from hwgen.errors import FrontendError
from hwgen.frontend.alignment import (
    MAX_MULTIPLIER,
    Term,
    common_measure,
    evened,
    expect_small,
    term_of,
)
from hwgen.frontend.flow import Flow, Summands
from hwgen.frontend.network import Network
from hwgen.frontend.rejoin import fused_sum
from hwgen.frontend.settle import settled
from hwgen.frontend.site import Site
from hwgen.ir import Scale
from hwgen.ops.add import Add

MAX_PAIRS = 1 << 20  # of codes of two values, all of which are tried


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
    terms = [term_of(network, settled(site, network, flow)) for flow in site.flows]
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
    return max(scales) / common_measure(scales) > MAX_MULTIPLIER and pairs <= MAX_PAIRS


def _expect_flows(site: Site, what: str) -> None:
    if any(constant is not None for constant in site.inputs):
        raise FrontendError(
            f"expected {what} of activations alone or with one constant, got both; split the node"
        )


def _aligned(site: Site, network: Network, terms: list[Term]) -> tuple[Scale, list[int]]:
    """Return the sum's scale and each term's multiplier; terms of uneven scales are requantized."""
    channels = max(len(term.scales) for term in terms)
    each = [term.scales * (channels // len(term.scales)) for term in terms]
    ratios = [[s / first for s, first in zip(own, each[0], strict=True)] for own in each]
    if any(len(set(own)) > 1 for own in ratios):
        # Channels stand in different proportions: bring each term to one scale first.
        terms[:] = [evened(site, network, term) for term in terms]
        return _aligned(site, network, terms)
    common = common_measure([own[0] for own in ratios])
    multipliers = [int(own[0] / common) for own in ratios]
    expect_small(multipliers, [term.scales[0] for term in terms])
    return tuple(float(s * common) for s in each[0]), multipliers
