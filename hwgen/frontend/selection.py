"""Nodes that keep a part of a tensor: Slice, Split and Gather with constant indices.

Source: https://onnx.ai/onnx/operators/onnx__Slice.html, onnx__Split.html, onnx__Gather.html
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from hwgen.errors import FrontendError
from hwgen.frontend.flow import Flow
from hwgen.frontend.layout import chosen_order
from hwgen.frontend.network import Network, is_uniform, picked
from hwgen.frontend.settle import without_pools
from hwgen.frontend.site import Site
from hwgen.ir import Codes
from hwgen.ops.slice import Slice

Bounds = list[tuple[int, int, int]]  # begin, end, step of each axis


def select(site: Site, network: Network) -> tuple[Flow, ...]:
    """Return the flow behind each output of a Slice, Split or Gather."""
    if site.flow_at != 0 or len(site.flows) > 1:
        raise FrontendError("expected constant indices, got computed ones")
    if site.flow.value is None:
        raise FrontendError(
            "unquantized activation: expected a part of a quantized tensor, got one of the raw "
            "input; move the Quant in front"
        )
    _expect_whole_batch(site)
    flow = without_pools(site, network, site.flow)
    return tuple(
        _part(site, network, flow, output, name) for output, name in enumerate(site.node.output)
    )


def _expect_whole_batch(site: Site) -> None:
    """Check that all frames are kept, however many there are."""
    rank, attributes = len(site.shape), site.attributes
    if site.node.op_type != "Slice":
        axes: Sequence[object] = [attributes.get("axis", 0)]
    else:
        starts, ends = site.integers("starts", 1), site.integers("ends", 2)
        given = site.integers("axes", 3) or list(range(len(starts or ())))
        steps = site.integers("steps", 4) or [1] * len(given)
        most = site.batch or (1 << 31) - 1
        axes = [
            axis
            for axis, start, end, step in zip(given, starts or (), ends or (), steps, strict=False)
            if (start, step) != (0, 1) or end < most
        ]
    if any(axis in (0, -rank) for axis in axes):
        raise FrontendError(
            "expected all frames to be kept, got a choice of them on axis 0; "
            "keep the batch axis whole"
        )


def _part(site: Site, network: Network, flow: Flow, output: int, name: str) -> Flow:
    assert flow.value is not None
    places = chosen_order(site.node, flow, site.inputs, site.model, output)
    kept = np.unique(places)
    if kept.size != places.size:
        raise FrontendError("expected each element at most once, got some of them repeatedly")
    order = np.searchsorted(kept, places)
    if kept.size == flow.order.size:
        return replace(flow, order=order)
    flow, bounds = _as_ranges(site, network, flow, kept)
    assert flow.value is not None
    shape = network.types[flow.value].shape
    if bounds is None or bounds[-1][2] != 1:
        raise FrontendError(
            f"expected evenly spaced rows and columns and neighbouring channels of {list(shape)}, "
            "got another choice of elements; choose a range"
        )
    begin, end, step = (tuple(axis[k] for axis in bounds) for k in range(3))
    channels_kept = np.arange(begin[-1], end[-1])
    scale = network.scales[flow.value]
    scale = scale if len(scale) == 1 else scale[begin[-1] : end[-1]]
    part = f"part{output}" if len(site.node.output) > 1 else ""
    value = network.emit(site, Slice(begin, end, step), [flow.value], scale, part)
    return replace(flow, value=value, order=order, steps=picked(flow.steps, channels_kept))


def _as_ranges(site: Site, network: Network, flow: Flow, kept: Codes) -> tuple[Flow, Bounds | None]:
    """Return the ranges that choose `kept`, and `flow` under the shape they are about."""
    assert flow.value is not None
    shape = network.types[flow.value].shape
    size, channels = flow.order.size, shape[-1]
    # Where the value's shape does not fit, the model's own axes may, or those of a vector.
    for other in (shape, _streamed_axes(flow.order), (size,)):
        bounds = _bounds(kept, other)
        if bounds is not None and bounds[-1][2] == 1 and other[-1] % channels == 0:
            value = network.reshaped(site, flow.value, other)
            steps = picked(flow.steps, np.arange(other[-1]) % channels)
            return replace(flow, value=value, steps=steps), bounds
        alike = is_uniform(flow.steps) and len(network.scales[flow.value]) == 1
        if bounds is not None and bounds[-1][2] == 1 and alike:
            value = network.reshaped(site, flow.value, other)
            return replace(flow, value=value), bounds
    return flow, None


def _streamed_axes(order: Codes) -> tuple[int, ...]:
    """Return the sizes of the tensor's axes in the order in which they stream."""
    firsts = [
        (int(np.take(order, 1, axis).flat[0]), n) for axis, n in enumerate(order.shape) if n > 1
    ]
    return tuple(n for _, n in sorted(firsts, reverse=True)) or (1,)


def _bounds(kept: Codes, shape: tuple[int, ...]) -> Bounds | None:
    """Return the ranges whose product are the places `kept`; None if there are none."""
    if math.prod(shape) <= int(kept.max()):
        return None
    axes = [np.unique(axis) for axis in np.unravel_index(kept, shape)]
    if int(np.prod([axis.size for axis in axes])) != kept.size:
        return None
    bounds = []
    for axis in axes:
        steps = np.diff(axis)
        if steps.size and steps.min() != steps.max():
            return None
        step = int(steps[0]) if steps.size else 1
        bounds.append((int(axis[0]), int(axis[-1]) + 1, step))
    return bounds
