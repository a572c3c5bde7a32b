"""DepthToSpace and SpaceToDepth: channels become pixels, and pixels channels.

Source: https://onnx.ai/onnx/operators/onnx__DepthToSpace.html, onnx__SpaceToDepth.html
"""

from __future__ import annotations

from dataclasses import replace

from hwgen.errors import FrontendError
from hwgen.frontend.alignment import even
from hwgen.frontend.flow import Flow
from hwgen.frontend.layout import image_of, image_order
from hwgen.frontend.network import Network, is_uniform
from hwgen.frontend.settle import settled, without_pools
from hwgen.frontend.site import Site
from hwgen.ops.depth_to_space import DepthOrder, DepthToSpace
from hwgen.ops.sliding_window import SlidingWindow


def depth_to_space(site: Site, network: Network) -> Flow:
    """Return the flow behind a DepthToSpace."""
    size, mode = _block_size(site), _mode(site)
    rows, columns, channels = image_of(site.flow)
    if channels % size**2:
        raise FrontendError(
            f"expected channels that blocks of {size} x {size} divide, got {channels}"
        )
    order = image_order((rows * size, columns * size, channels // size**2), 4)
    flow = _alike(site, network)
    if size == 1:
        return flow
    assert flow.value is not None
    value = network.reshaped(site, flow.value, (rows, columns, channels))
    last = channels // size**2
    counts = DepthOrder.PHASES_FIRST if mode == b"DCR" else DepthOrder.CHANNELS_FIRST
    op = DepthToSpace((size, size), counts, last if mode == b"DCR" else 1)
    name = network.emit(site, op, [value], network.scales[value])
    return replace(flow, value=name, order=order)


def space_to_depth(site: Site, network: Network) -> Flow:
    """Return the flow behind a SpaceToDepth: windows that lie side by side.

    They stream with the phases first; where the model has the channels first, `order` says so.
    """
    size, channels_first = _block_size(site), _mode(site) == b"CRD"
    rows, columns, channels = image_of(site.flow)
    if rows % size or columns % size:
        raise FrontendError(
            f"expected an image that blocks of {size} x {size} divide, got {rows} x {columns}"
        )
    flow = _alike(site, network)
    if size == 1:
        return flow
    assert flow.value is not None
    smaller = (rows // size, columns // size, channels * size**2)
    value = network.reshaped(site, flow.value, (rows, columns, channels))
    if smaller[:2] == (1, 1):
        value = network.reshaped(site, value, smaller)
    else:
        window = SlidingWindow((size, size), (size, size))
        value = network.emit(site, window, [value], network.scales[value])
    order = image_order(smaller, 4)
    if channels_first:
        phases = order.reshape(1, size**2, channels, *smaller[:2])
        order = phases.swapaxes(1, 2).reshape(order.shape)
    return replace(flow, value=value, order=order)


def _mode(site: Site) -> object:
    mode = site.attributes.get("mode", b"DCR")
    if mode not in (b"DCR", b"CRD"):
        raise FrontendError(f"expected mode DCR or CRD, got {mode!r}")
    return mode


def _block_size(site: Site) -> int:
    size = site.attributes.get("blocksize")
    if not isinstance(size, int) or not 1 <= size <= 1 << 10 or len(site.shape) != 4:
        raise FrontendError(
            f"expected an image (N, C, H, W) and a blocksize 1..1024, got {site.shape} and {size!r}"
        )
    return size


def _alike(site: Site, network: Network) -> Flow:
    """Return the flow with one scale and the same steps for all channels, which are to mix."""
    flow = site.flow
    if flow.value is None:
        raise FrontendError(
            f"unquantized activation: expected an input that ends in a Quant or BipolarQuant, got "
            f"{flow.ending()}; try a quantizer before it"
        )
    flow = without_pools(site, network, flow)
    assert flow.value is not None
    if is_uniform(flow.steps) and len(network.scales[flow.value]) == 1:
        return flow
    value = even(site, network, settled(site, network, flow))
    return Flow(value, flow.order, quantized=flow.quantized and flow.settled, source=flow.source)
