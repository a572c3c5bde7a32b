"""Pools and reductions over space: maxima, and sums whose division the next function does.

Source: https://onnx.ai/onnx/operators/onnx__MaxPool.html, onnx__AveragePool.html,
onnx__ReduceMean.html
"""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np

from hwgen.errors import FrontendError
from hwgen.frontend.flow import Flow, PendingPool
from hwgen.frontend.layout import Image, image_of, image_order, spatial
from hwgen.frontend.network import Network
from hwgen.frontend.settle import emit_max_pool, settled
from hwgen.frontend.site import Site
from hwgen.frontend.window import Window, window_of
from hwgen.ops.border_offset import zero_padding
from hwgen.ops.depthwise import Depthwise
from hwgen.ops.float_steps import Divide, reals
from hwgen.ops.sliding_window import SlidingWindow
from hwgen.ops.sum_pool import SumPool

NONE = (0, 0, 0, 0)


def _window(site: Site, image: Image) -> Window:
    axes = len(site.shape) - 2
    kernel = site.attributes.get("kernel_shape")
    if not isinstance(kernel, list):
        raise FrontendError(f"expected a kernel_shape of {axes} integers, got {kernel!r}")
    return window_of(site.attributes, spatial(image), axes, kernel)


def _whole(image: Image) -> Window:
    size = spatial(image)
    return Window(size, size, (1, 1), NONE)


def max_pool(site: Site, network: Network) -> Flow:
    """Return the flow behind a MaxPool."""
    if len([name for name in site.node.output if name]) > 1 or site.attributes.get("storage_order"):
        raise FrontendError("expected the maxima alone, got indices too; export without them")
    return _maximum(site, network, _window(site, image_of(site.flow)))


def global_max_pool(site: Site, network: Network) -> Flow:
    """Return the flow behind a GlobalMaxPool."""
    return _maximum(site, network, _whole(image_of(site.flow)))


def _maximum(site: Site, network: Network, window: Window) -> Flow:
    flow = site.flow
    if flow.value is None:
        raise FrontendError(
            "unquantized activation: expected a pool behind the input's quantizer, got one before; "
            "move the Quant in front"
        )
    image = image_of(flow)
    order = image_order((*window.sizes(spatial(image)), image[2]), len(flow.shape))
    if flow.settled and flow.quantized:
        value, _ = network.image(site, flow, flow.value)
        name = emit_max_pool(site, network, value, window)
        return replace(flow, value=name, order=order, source=site.node.name)
    if not flow.pools:
        # The pool will be built on an image, whatever shape the value has by now.
        flow = replace(flow, value=network.reshaped(site, flow.value, image))
    pool = PendingPool(window, len(flow.steps), site.node.name)
    return replace(flow, order=order, pools=(*flow.pools, pool))


def average_pool(site: Site, network: Network) -> Flow:
    """Return the flow behind an AveragePool: sums, with the division pending."""
    image = image_of(site.flow)
    window = _window(site, image)
    if site.attributes.get("ceil_mode") and window != _without_ceil(site, image):
        raise FrontendError(
            "expected windows that fit the image, got ceil_mode with a part of a window at the "
            "end; pad the image or set ceil_mode=0"
        )
    if any(window.padding) and not site.attributes.get("count_include_pad"):
        raise FrontendError(
            f"expected windows of equal counts, got padding {window.padding} that does not count; "
            "set count_include_pad=1 or take the padding away"
        )
    return _sums(site, network, window).then(_division(math.prod(window.kernel)), site.node.name)


def _without_ceil(site: Site, image: Image) -> Window:
    attributes = {k: v for k, v in site.attributes.items() if k != "ceil_mode"}
    kernel = attributes["kernel_shape"]
    assert isinstance(kernel, list)
    return window_of(attributes, spatial(image), len(site.shape) - 2, kernel)


def global_average_pool(site: Site, network: Network) -> Flow:
    """Return the flow behind a GlobalAveragePool: sums, with the division pending."""
    window = _whole(image_of(site.flow))
    return _sums(site, network, window).then(_division(math.prod(window.kernel)), site.node.name)


def _division(count: int) -> tuple[Divide, ...]:
    return (Divide(reals(float(count))),) if count > 1 else ()


def _sums(site: Site, network: Network, window: Window) -> Flow:
    """Return the sums over windows of an image."""
    advice = "put a Quant before the average"
    value = settled(site, network, site.flow, advice=advice)
    value, image = network.image(site, site.flow, value)
    scale = network.scales[value]
    windows = window.sizes(spatial(image))
    order = image_order((*windows, image[2]), len(site.shape))
    stride = tuple(
        max(s, k) if n == 1 else s
        for s, k, n in zip(window.stride, window.kernel, windows, strict=True)
    )
    if window.dilation == (1, 1) and all(
        s >= k for s, k in zip(stride, window.kernel, strict=True)
    ):
        op = SumPool(window.kernel, (stride[0], stride[1]), window.padding)
        return Flow(network.emit(site, op, [value], scale), order, source=site.node.name)
    x, taps = network.types[value], math.prod(window.kernel)
    code = 1 if x.codes.bipolar else 0
    slider = SlidingWindow(window.kernel, window.stride, window.dilation, window.padding, code)
    repeated = tuple(np.tile(scale, taps)) if len(scale) > 1 else scale
    patches = network.emit(site, slider, [value], repeated, "window")
    ones = np.ones((image[2], taps), dtype=np.int64)
    name = network.emit(site, Depthwise(ones), [patches], scale)
    if x.codes.bipolar and any(window.padding):
        name = network.emit(site, zero_padding(slider, x, ones), [name], scale, "border")
    return Flow(name, order, source=site.node.name)


def reduction(site: Site, network: Network) -> Flow:
    """Return the flow behind a ReduceMean, ReduceSum or ReduceMax over all rows and columns."""
    rank = len(site.shape)
    axes = site.integers("axes", 1)
    if axes is None or not all(-rank <= axis < rank for axis in axes):
        raise FrontendError(f"expected axes of shape {site.shape}, got {axes}")
    reduced = sorted(axis % rank for axis in axes)
    whole = (1,) if len(reduced) == 1 else (1, 2)
    last = tuple(axis + 1 for axis in whole)
    if rank != len(whole) + 2 or tuple(reduced) not in (whole, last):
        raise FrontendError(
            f"expected a reduction over all of space, axes {list(range(2, rank))}, got {axes} of "
            f"shape {site.shape}; split the node"
        )
    # Where the channels are the last axis, look at the tensor as if they were the first.
    inner = tuple(reduced) == whole
    flow = site.flow
    order = np.moveaxis(flow.order, -1, 1) if inner else flow.order
    inside = replace(site, flows=(replace(flow, order=order),))
    window = _whole(image_of(inside.flow))
    if site.node.op_type == "ReduceMax":
        result = _maximum(inside, network, window)
    else:
        result = _sums(inside, network, window)
    places = result.order.reshape(1, -1)
    if site.attributes.get("keepdims", 1):
        places = places.reshape(tuple(1 if k in reduced else s for k, s in enumerate(site.shape)))
    result = replace(result, order=places)
    if site.node.op_type != "ReduceMean":
        return result
    return result.then(_division(math.prod(window.kernel)), site.node.name)
