"""Concat: channels of several flows one behind the other.

Codes are brought to one scale where small integers do that. Free scales stay what they are, one a
channel: a quantizer behind it makes of each channel a function of its own.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from fractions import Fraction

import numpy as np

from hwgen.errors import FrontendError
from hwgen.frontend.alignment import MAX_MULTIPLIER, common_measure, scaled, term_of
from hwgen.frontend.flow import Flow
from hwgen.frontend.network import Network
from hwgen.frontend.settle import JOIN_BITS, settled
from hwgen.frontend.site import Site
from hwgen.ir import Codes
from hwgen.ops.concat import Concat


@dataclass(frozen=True)
class Part:
    """One flow of a Concat.

    Parameters
    ----------
    value : its codes
    scales : exact, one or one a channel of the value
    channels : how many it adds
    order : as in `Flow`
    """

    value: str
    scales: tuple[Fraction, ...]
    channels: int
    order: Codes

    @property
    def each(self) -> tuple[Fraction, ...]:
        """One scale a channel."""
        return self.scales * (self.channels // len(self.scales))


def concat(site: Site, network: Network) -> Flow:
    """Return the flow behind a Concat over channels."""
    if any(constant is not None for constant in site.inputs):
        raise FrontendError("expected activations alone, got a constant among them; pad instead")
    axis = _channel_axis(site)
    parts = []
    for flow in site.flows:
        given = term_of(network, settled(site, network, flow))
        parts.append(Part(given.value, given.scales, flow.shape[axis], flow.order))
    shape = _vectors(network, parts)
    values = [network.reshaped(site, part.value, (*shape, part.channels)) for part in parts]
    # A reshape may have spread the scales of channels over those of a vector.
    named = zip(parts, values, strict=True)
    parts = [replace(part, value=v, scales=term_of(network, v).scales) for part, v in named]
    values, scale = _one_scale(site, network, parts)
    total, first, orders = sum(part.channels for part in parts), 0, []
    for part in parts:
        vector, channel = np.divmod(part.order, part.channels)
        orders.append(vector * total + first + channel)
        first += part.channels
    name = network.emit(site, Concat(), values, scale)
    whole = all(flow.settled and flow.quantized for flow in site.flows)
    order = np.concatenate(orders, axis=axis)
    return Flow(name, order, quantized=whole, source=site.node.name)


def _channel_axis(site: Site) -> int:
    """Return the axis of the concatenation, along which every vector must stream as a whole."""
    axis, rank = site.attributes.get("axis"), len(site.shape)
    vectors = []
    if isinstance(axis, int) and -rank <= axis < rank and axis % rank:
        for flow in site.flows:
            moved = np.moveaxis(flow.order, axis, -1)
            vectors.append(moved // moved.shape[-1])
    alike = bool(vectors) and all(
        (v == v[..., :1]).all() and np.array_equal(v[..., 0], vectors[0][..., 0]) for v in vectors
    )
    if not isinstance(axis, int) or not alike:
        shapes = [flow.shape for flow in site.flows]
        raise FrontendError(
            f"expected a concatenation over channels, axis 1, got axis {axis} of shapes {shapes}; "
            "flowing tensors are joined pixel by pixel"
        )
    return axis % rank


def _vectors(network: Network, parts: Sequence[Part]) -> tuple[int, ...]:
    """Return the shape of what is common: rows and columns of an image, or nothing."""
    count = parts[0].order.size // parts[0].channels
    for part in parts:
        shape = network.types[part.value].shape
        if shape[-1] == part.channels:
            return shape[:-1]
    return (count,) if count > 1 else ()


def _one_scale(
    site: Site, network: Network, parts: Sequence[Part]
) -> tuple[list[str], tuple[float, ...]]:
    """Return values whose scales agree as far as small integers can make them."""
    every = [scale for part in parts for scale in part.scales]
    common = common_measure(every)
    bipolar = {network.types[part.value].codes.bipolar for part in parts}
    free = not _is_small(network, parts, common)
    # Bits stay bits only where all are, on one scale.
    wide = len(bipolar) > 1 or (not free and max(every) > common)
    values = []
    for part in parts:
        bits = network.types[part.value].codes.bipolar
        multipliers = [1] if free else [int(scale / common) for scale in part.scales]
        if max(multipliers) > 1 or (wide and bits):
            scale = part.scales if free else (common,)
            values.append(scaled(site, network, part.value, multipliers, scale))
        else:
            values.append(part.value)
    if not free:
        return values, (float(common),)
    return values, tuple(float(scale) for part in parts for scale in part.each)


def _is_small(network: Network, parts: Sequence[Part], common: Fraction) -> bool:
    """Whether small integers bring all parts to the scale `common`."""
    for part in parts:
        codes, factor = network.types[part.value].codes, int(max(part.scales) / common)
        widest = max(abs(codes.lo), abs(codes.hi)) * factor
        if factor > MAX_MULTIPLIER or (factor > 1 and widest.bit_length() >= JOIN_BITS):
            return False
    return True
