"""Layers that join, pool and reshape: Add, Cat, averages over windows and over whole maps.

MaxPool1d, MaxPool2d, ZeroPad1d, ZeroPad2d, Flatten, Upsample (nearest) and Dropout compute nothing
new on quantized numbers: torch.nn's own are used, and `hwgen.nn` hands them on under the same
names. A ZeroPad2d before a convolution is how to pad one side only, as TensorFlow's "same" does
with stride 2; the hardware's windows take it over.

An average over a power of two of numbers is their sum with the binary point moved: exact, rounded
once by the quantizer that follows. Over any other count the sum is multiplied by a fixed-point
reciprocal, so that hardware needs no division.
"""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from hwgen.errors import NumericError
from hwgen.nn.config import FixedPointConfig, OutputConfig
from hwgen.nn.factory import result_quantizer
from hwgen.nn.layers import SIGNED_8, quantize_output

# 1/9 and the like to three digits or better; the binary point follows from the count.
RECIPROCAL = FixedPointConfig(bit_width=12, signed=False)


class Add(nn.Module):
    """The sum of two quantized tensors, then a quantizer: the end of a shortcut.

    Parameters
    ----------
    output : how the result is quantized; None leaves it exact, for an activation that follows
    """

    def __init__(self, *, output: OutputConfig | None = SIGNED_8) -> None:
        super().__init__()
        self.output_quantizer = result_quantizer(output)

    def forward(self, left: Tensor, right: Tensor) -> Tensor:
        """Return the quantized sum."""
        if left.shape != right.shape:
            raise NumericError(
                f"Add: shapes are {list(left.shape)} and {list(right.shape)}, expected equal ones"
            )
        return quantize_output(self.output_quantizer, left + right)


class Cat(nn.Module):
    """Tensors one behind another along the channels, then a quantizer that they share.

    Parameters
    ----------
    output : the common format; None keeps each number as it is
    """

    def __init__(self, *, output: OutputConfig | None = SIGNED_8) -> None:
        super().__init__()
        self.output_quantizer = result_quantizer(output)

    def forward(self, *parts: Tensor) -> Tensor:
        """Return the parts, joined on axis 1."""
        return quantize_output(self.output_quantizer, torch.cat(parts, dim=1))


def reciprocal(count: int) -> float:
    """Return 1 / count as the hardware has it: exact for powers of two, else 12 bits.

    Examples
    --------
    >>> reciprocal(4), reciprocal(9) * 2**15
    (0.25, 3641.0)
    """
    if count & (count - 1) == 0:
        return 1 / count
    frac = RECIPROCAL.bit_width + count.bit_length() - 1
    return float(round(2.0**frac / count)) / 2.0**frac


class _WindowAverage(nn.Module):
    """What AvgPool1d and AvgPool2d share; no padding, since its zeros would count as numbers.

    Parameters
    ----------
    kernel_size, stride : as in torch.nn
    output : how the result is quantized; None leaves it exact
    """

    kernel_size: int | tuple[int, ...]
    stride: int | tuple[int, ...]

    def __init__(
        self,
        kernel_size: int | tuple[int, ...],
        stride: int | tuple[int, ...] | None = None,
        *,
        output: OutputConfig | None = SIGNED_8,
    ) -> None:
        super().__init__(kernel_size, stride)  # of torch.nn's class, which is next
        self.output_quantizer = result_quantizer(output)

    def forward(self, input: Tensor) -> Tensor:
        """Return the quantized averages."""
        axes = input.dim() - 2
        window, stride = _sides(self.kernel_size, axes), _sides(self.stride, axes)
        # A sequence is an image of one row: there is no one-dimensional sum of windows.
        image = input if axes == 2 else input.unsqueeze(2)
        sums = F.avg_pool2d(image, window, stride, divisor_override=1)
        sums = sums if axes == 2 else sums.squeeze(2)
        return quantize_output(self.output_quantizer, sums * reciprocal(window[0] * window[1]))


def _sides(size: int | tuple[int, ...], axes: int) -> tuple[int, int]:
    """Return rows and columns of a window over `axes` axes."""
    each = (size,) * axes if isinstance(size, int) else tuple(size)
    return (1, each[0]) if axes == 1 else (each[0], each[1])


class AvgPool1d(_WindowAverage, nn.AvgPool1d):  # type: ignore[misc]  # sizes of one rank
    """Average over windows of (N, C, L)."""


class AvgPool2d(_WindowAverage, nn.AvgPool2d):  # type: ignore[misc]
    """Average over windows of (N, C, H, W)."""


class _WholeAverage(nn.Module):
    """What AdaptiveAvgPool1d and AdaptiveAvgPool2d share: the average over the whole map.

    Parameters
    ----------
    output_size : 1, the only one
    output : how the result is quantized; None leaves it exact
    """

    def __init__(
        self, output_size: int | tuple[int, ...] = 1, *, output: OutputConfig | None = SIGNED_8
    ) -> None:
        super().__init__(output_size)  # of torch.nn's class, which is next
        if output_size not in (1, (1,), (1, 1)):
            name = type(self).__name__
            raise NumericError(
                f"{name}: output_size is {output_size}, expected 1; use "
                f"{name.removeprefix('Adaptive')} for windows"
            )
        self.output_quantizer = result_quantizer(output)

    def forward(self, input: Tensor) -> Tensor:
        """Return the quantized averages, of size 1 on each axis of the map."""
        axes = list(range(2, input.dim()))
        sums = input.sum(axes, keepdim=True)
        count = math.prod(input.shape[axis] for axis in axes)
        return quantize_output(self.output_quantizer, sums * reciprocal(count))


class AdaptiveAvgPool1d(_WholeAverage, nn.AdaptiveAvgPool1d):
    """The average over the whole sequence, (N, C, 1)."""


class AdaptiveAvgPool2d(_WholeAverage, nn.AdaptiveAvgPool2d):
    """The average over the whole image, (N, C, 1, 1)."""
