"""Conv: windows of the image and a matrix-vector product, or a kernel a channel.

Source: https://onnx.ai/onnx/operators/onnx__Conv.html
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from hwgen.errors import FrontendError
from hwgen.frontend.flow import Flow
from hwgen.frontend.layout import image_of, image_order, spatial
from hwgen.frontend.linear import Operands, operands, row_scales
from hwgen.frontend.network import Network
from hwgen.frontend.site import Site
from hwgen.frontend.window import Pair, Window, window_of
from hwgen.ir import Codes, Scale
from hwgen.ops.border_offset import zero_padding
from hwgen.ops.depthwise import Depthwise
from hwgen.ops.float_steps import Add, Reals, reals
from hwgen.ops.matvec import MatVec
from hwgen.ops.pad import Pad
from hwgen.ops.sliding_window import SlidingWindow


@dataclass(frozen=True, eq=False)
class Kernel:
    """The weights of a convolution.

    Parameters
    ----------
    codes : int64 [O, KH, KW, C / groups]
    scale : real value of weight code 1, one or one an output channel
    groups : of input and output channels that meet
    """

    codes: Codes
    scale: Scale
    groups: int

    @property
    def depthwise(self) -> bool:
        """Whether each channel has a kernel of its own."""
        return self.groups > 1 and self.groups == len(self.codes) and self.codes.shape[3] == 1

    @property
    def matrix(self) -> Codes:
        """[O, KH * KW * C], kernel position major; zeros where groups do not meet."""
        outputs, rows, columns, inputs = self.codes.shape
        dense = np.zeros((outputs, rows, columns, self.groups, inputs), dtype=np.int64)
        group = np.arange(outputs) // (outputs // self.groups)
        dense[np.arange(outputs), :, :, group] = self.codes
        return dense.reshape(outputs, -1)

    def over(self, image: Pair, window: Window) -> Kernel:
        """Return the kernel of an only window as one that covers exactly the image.

        Taps in the padding go away, pixels that none of the taps sees get weights of zero.
        """
        outputs, _, _, inputs = self.codes.shape
        codes = np.zeros((outputs, *image, inputs), dtype=np.int64)
        rows, columns = (
            np.arange(window.kernel[k]) * window.dilation[k] - window.padding[k] for k in (0, 1)
        )
        row_inside = (rows >= 0) & (rows < image[0])
        column_inside = (columns >= 0) & (columns < image[1])
        seen = np.ix_(np.arange(outputs), rows[row_inside], columns[column_inside])
        codes[seen] = self.codes[:, row_inside][:, :, column_inside]
        return replace(self, codes=codes)

    @property
    def taps(self) -> Codes:
        """[C, KH * KW] of a depthwise kernel."""
        return self.codes.reshape(len(self.codes), -1)


def convolution(site: Site, network: Network) -> Flow:
    """Return the flow behind a Conv: exact sums, with the bias pending."""
    return biased(site, convolved(site, network, operands(site, network)))


def biased(site: Site, flow: Flow) -> Flow:
    """Return `flow` with the bias pending that the node may have as third input."""
    bias = site.given(2)
    if bias is None:
        return flow
    channels = flow.shape[1]
    if bias.value.size != channels:
        raise FrontendError(f"expected {channels} biases, got {bias.value.size}")
    values = bias.reals().reshape(-1)
    shared = values[:1] if (values == values[0]).all() else values
    return flow.then((Add(reals(shared)),), site.node.name)


def convolved(site: Site, network: Network, given: Operands) -> Flow:
    """Return the exact sums of a convolution of `given`, without bias."""
    image = image_of(site.flow)
    rank = len(site.shape)
    kernel = _kernel(site, image[2], given.codes, given.scales)
    sizes = kernel.codes.shape[1:3][4 - rank :]
    stated = site.attributes.get("kernel_shape", list(sizes))
    if list(sizes) != stated:
        raise FrontendError(f"expected kernel_shape {list(sizes)} as the weights, got {stated}")
    window = window_of(site.attributes, spatial(image), rank - 2, sizes)
    windows = window.sizes(spatial(image))
    order = image_order((*windows, len(kernel.codes)), rank)
    value = network.reshaped(site, given.value, image)
    sums = tuple(given.scale * s for s in kernel.scale)
    value = windowed_product(site, network, value, window, kernel, sums)
    return Flow(value, order, source=site.node.name)


def _kernel(site: Site, channels: int, codes: Codes, scale: Reals) -> Kernel:
    rank, groups = len(site.shape), site.attributes.get("group", 1)
    if codes.ndim != rank or codes.size == 0:
        raise FrontendError(f"expected weights with {rank} axes, got shape {codes.shape}")
    if not isinstance(groups, int) or groups < 1 or len(codes) % groups or channels % groups:
        raise FrontendError(
            f"expected a group count that divides {channels} input and {len(codes)} output "
            f"channels, got {groups}"
        )
    if codes.shape[1] * groups != channels:
        raise FrontendError(
            f"expected weights for {channels // groups} input channels, got {codes.shape[1]} "
            f"(shape {codes.shape}, {groups} groups)"
        )
    scales = row_scales(scale.reshape(len(codes), -1))
    square = codes if codes.ndim == 4 else codes[:, :, None]
    return Kernel(square.transpose(0, 2, 3, 1), scales, groups)


def windowed_product(
    site: Site, network: Network, value: str, window: Window, kernel: Kernel, scale: Scale
) -> str:
    """Emit window and product; return the sums."""
    x = network.types[value]
    image = (x.shape[0], x.shape[1])
    patches, slider = value, None
    if window.sizes(image) == (1, 1) and all(
        k >= n for k, n in zip(window.kernel, image, strict=True)
    ):
        patches = network.reshaped(site, value, (x.size,))
        kernel = kernel.over(image, window)
    elif window.kernel == (1, 1) and any(window.padding):
        return windowed_product(
            site, network, *_padded(site, network, value, window), kernel, scale
        )
    elif (window.kernel, window.stride) != ((1, 1), (1, 1)):
        code = 1 if x.codes.bipolar else 0
        slider = SlidingWindow(window.kernel, window.stride, window.dilation, window.padding, code)
        patches = network.emit(site, slider, [value], network.scales[value], "window")
    weights = kernel.taps if kernel.depthwise else kernel.matrix
    op = Depthwise(weights) if kernel.depthwise else MatVec(weights)
    if slider is None or not (x.codes.bipolar and any(window.padding)):
        return network.emit(site, op, [patches], scale)
    sums = network.emit(site, op, [patches], scale)
    border = zero_padding(slider, x, weights)
    return network.emit(site, border, [sums], scale, "border")


def _padded(site: Site, network: Network, value: str, window: Window) -> tuple[str, Window]:
    """Pad in an operator of its own: a kernel of one tap sees windows of padding alone."""
    if network.types[value].codes.bipolar:
        raise FrontendError(
            f"expected no padding of bits for a kernel of one tap, got {window.padding}; use a "
            "Quant with two bits before it"
        )
    padded = network.emit(site, Pad(window.padding), [value], network.scales[value], "pad")
    return padded, replace(window, padding=(0, 0, 0, 0))
