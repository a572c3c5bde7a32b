"""ConvTranspose: a convolution at the image's own resolution, whose channels become pixels.

With stride s, s * s kernels of every s-th tap give the s * s pixels between two pixels of the
image: all of them together are one matrix, and `depth_to_space` puts their results in place. No
product with a zero is computed, as it would be after an insertion of zeros.

Source: https://onnx.ai/onnx/operators/onnx__ConvTranspose.html; Shi et al., Is the deconvolution
layer the same as a convolutional layer?, arXiv 1609.07009
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from hwgen.errors import FrontendError
from hwgen.frontend.convolution import Kernel, biased, windowed_product
from hwgen.frontend.flow import Flow
from hwgen.frontend.layout import image_of, image_order, spatial
from hwgen.frontend.linear import Operands, operands, row_scales
from hwgen.frontend.network import Network
from hwgen.frontend.reader import MAX_ELEMENTS
from hwgen.frontend.site import Site
from hwgen.frontend.window import Window, numbers
from hwgen.ir import Codes, Scale
from hwgen.ops.depth_to_space import DepthToSpace
from hwgen.ops.slice import Slice


@dataclass(frozen=True)
class Axis:
    """One axis of a transposed convolution: output i of the model is phase p of window q.

    i + before = q * stride + p, and window q sees the image at q - j, j = 0 .. taps - 1.

    Parameters
    ----------
    size, kernel, stride, dilation : as in the model
    before : what the model cuts off at the begin
    outputs : positions of the result
    """

    size: int
    kernel: int
    stride: int
    dilation: int
    before: int
    outputs: int

    @property
    def first(self) -> int:
        """The first window needed."""
        return self.before // self.stride

    @property
    def last(self) -> int:
        """The last window needed."""
        return (self.before + self.outputs - 1) // self.stride

    @property
    def after(self) -> int:
        """Padding behind the image."""
        return max(self.last - self.size + 1, 0)

    @property
    def taps(self) -> int:
        """Of a phase: enough for the kernel, and for a window to see the image in any case."""
        reach = (self.kernel - 1) * self.dilation + 1
        return max(-(-reach // self.stride), self.after + 1)

    @property
    def padding(self) -> int:
        """In front of the image."""
        return max(self.taps - 1 - self.first, 0)

    @property
    def windows(self) -> int:
        """Windows of the convolution."""
        return self.size + self.padding + self.after - self.taps + 1

    @property
    def cut(self) -> int:
        """Outputs of the convolution in front of the first one of the model."""
        return self.before - self.stride * (self.taps - 1 - self.padding)


def transposed_convolution(site: Site, network: Network) -> Flow:
    """Return the flow behind a ConvTranspose: exact sums, with the bias pending."""
    given = operands(site, network)
    image = image_of(site.flow)
    rank = len(site.shape)
    codes, scales = _dense(site, image[2], given)
    axes = _axes(site, spatial(image), codes.shape[2:])
    rows, columns = axes
    kernel = _phases(codes, scales, rows, columns)
    padding = (rows.padding, columns.padding, rows.after, columns.after)
    window = Window((rows.taps, columns.taps), (1, 1), (1, 1), padding)
    larger = (rows.outputs, columns.outputs, len(codes))
    order = image_order(larger, rank)
    value = network.reshaped(site, given.value, image)
    sums = tuple(given.scale * s for s in kernel.scale)
    value = windowed_product(site, network, value, window, kernel, sums)
    value = network.reshaped(site, value, (rows.windows, columns.windows, len(kernel.codes)))
    value = _in_place(site, network, value, axes, tuple(given.scale * s for s in scales))
    return biased(site, Flow(value, order, source=site.node.name))


def _in_place(site: Site, network: Network, value: str, axes: Sequence[Axis], scale: Scale) -> str:
    """Put the phases side by side, and cut off what the model does."""
    blocks = (axes[0].stride, axes[1].stride)
    if blocks != (1, 1):
        value = network.emit(site, DepthToSpace(blocks), [value], scale, "blocks")
    shape = network.types[value].shape
    begin = (axes[0].cut, axes[1].cut, 0)
    end = (axes[0].cut + axes[0].outputs, axes[1].cut + axes[1].outputs, shape[2])
    if (begin, end) == ((0, 0, 0), shape):
        return value
    return network.emit(site, Slice(begin, end, (1, 1, 1)), [value], scale, "crop")


def _dense(site: Site, channels: int, given: Operands) -> tuple[Codes, Scale]:
    """Return weights [O, C, KH, KW], with zeros where groups do not meet, and scales of outputs."""
    codes, rank = given.codes, len(site.shape)
    groups = site.attributes.get("group", 1)
    if codes.ndim != rank or codes.size == 0:
        raise FrontendError(f"expected weights with {rank} axes, got shape {codes.shape}")
    if codes.shape[0] != channels:
        raise FrontendError(
            f"expected weights for {channels} input channels, got {codes.shape[0]} "
            f"(shape {codes.shape})"
        )
    if not isinstance(groups, int) or groups < 1 or channels % groups:
        raise FrontendError(
            f"expected a group count that divides {channels} input channels, got {groups}"
        )
    outputs = codes.shape[1] * groups
    if outputs * channels * math.prod(codes.shape[2:]) > MAX_ELEMENTS:
        raise FrontendError(f"expected at most {MAX_ELEMENTS} weights, got more")
    # [g, C / g, O / g, ...] -> [O, C, ...]
    apart = codes.reshape(groups, channels // groups, *codes.shape[1:])
    dense = np.zeros((outputs, channels, *codes.shape[2:]), dtype=np.int64)
    each, inputs = codes.shape[1], channels // groups
    for group in range(groups):
        rows = slice(group * each, (group + 1) * each)
        dense[rows, group * inputs : (group + 1) * inputs] = apart[group].swapaxes(0, 1)
    by_output = given.scales.reshape(groups, inputs, each, -1).transpose(0, 2, 1, 3)
    scales = row_scales(by_output.reshape(outputs, -1))
    return dense if rank == 4 else dense[:, :, None], scales


def _axes(site: Site, image: tuple[int, int], kernel: Sequence[int]) -> tuple[Axis, Axis]:
    """Return rows and columns; a sequence is one row."""
    count = len(site.shape) - 2
    given, sizes, taps = site.attributes, image[2 - count :], list(kernel[2 - count :])
    if given.get("kernel_shape", taps) != taps:
        raise FrontendError(f"expected kernel_shape {taps}, got {given['kernel_shape']}")
    taps = numbers("kernel_shape", taps, count)
    strides = numbers("strides", given.get("strides", (1,) * count), count)
    dilations = numbers("dilations", given.get("dilations", (1,) * count), count)
    more = numbers("output_padding", given.get("output_padding", (0,) * count), count, least=0)
    whole = [
        stride * (size - 1) + extra + (tap - 1) * dilation + 1
        for size, tap, stride, dilation, extra in zip(
            sizes, taps, strides, dilations, more, strict=True
        )
    ]
    before, outputs = _cut(site, sizes, strides, whole)
    found = [
        Axis(*parameters)
        for parameters in zip(sizes, taps, strides, dilations, before, outputs, strict=True)
    ]
    return (Axis(1, 1, 1, 1, 0, 1), found[0]) if count == 1 else (found[0], found[1])


def _cut(
    site: Site, sizes: Sequence[int], strides: list[int], whole: list[int]
) -> tuple[list[int], list[int]]:
    """Return what is cut off at the begin of each axis of `whole` positions, and what stays."""
    mode, count = site.attributes.get("auto_pad", b"NOTSET"), len(sizes)
    if mode not in (b"NOTSET", b"VALID", b"SAME_UPPER", b"SAME_LOWER"):
        raise FrontendError(f"expected auto_pad NOTSET, VALID or SAME_*, got {mode!r}")
    same = mode in (b"SAME_UPPER", b"SAME_LOWER")
    stated = site.attributes.get("output_shape")
    if same or stated is not None:
        wanted = [n * s for n, s in zip(sizes, strides, strict=True)]
        if stated is not None:
            wanted = numbers("output_shape", stated, count)
        # What an output_shape wants beyond the kernels' reach is an output_padding.
        room = [n + (0 if stated is None else s - 1) for n, s in zip(whole, strides, strict=True)]
        if any(stays > most for stays, most in zip(wanted, room, strict=True)):
            raise FrontendError(f"expected an output_shape of at most {room}, got {wanted}")
        total = [max(n - stays, 0) for n, stays in zip(whole, wanted, strict=True)]
        less = [t // 2 for t in total]
        begin = less if mode == b"SAME_UPPER" else [t - n for t, n in zip(total, less, strict=True)]
        return begin, wanted
    default = (0,) * (2 * count)
    pads = default if mode == b"VALID" else site.attributes.get("pads", default)
    ends = numbers("pads", pads, 2 * count, least=0)
    outputs = [n - a - b for n, a, b in zip(whole, ends[:count], ends[count:], strict=True)]
    if min(outputs) < 1:
        raise FrontendError(f"expected pads that leave a part of {whole} positions, got {ends}")
    return ends[:count], outputs


def _phases(codes: Codes, scales: Scale, rows: Axis, columns: Axis) -> Kernel:
    """Return the convolution whose channels are (output, row phase, column phase)."""
    outputs, channels = codes.shape[:2]
    room = (rows.taps * rows.stride, columns.taps * columns.stride)
    if outputs * channels * math.prod(room) > MAX_ELEMENTS:
        raise FrontendError(f"expected at most {MAX_ELEMENTS} weights, got more; use a smaller one")
    spread = np.zeros((outputs, channels, *room), dtype=np.int64)
    reach = [(axis.kernel - 1) * axis.dilation + 1 for axis in (rows, columns)]
    spread[:, :, : reach[0] : rows.dilation, : reach[1] : columns.dilation] = codes
    shape = (outputs, channels, rows.taps, rows.stride, columns.taps, columns.stride)
    taps = spread.reshape(shape)[:, :, ::-1, :, ::-1]  # window q sees q - j: the last tap first
    each = taps.transpose(0, 3, 5, 2, 4, 1).reshape(-1, rows.taps, columns.taps, channels)
    phases = rows.stride * columns.stride
    repeated = tuple(np.repeat(scales, phases).tolist()) if len(scales) > 1 else scales
    return Kernel(each, repeated, 1)
