"""Layers that join, pool and reshape: Add, Cat, AvgPool2d, AdaptiveAvgPool2d.

MaxPool1d, MaxPool2d, ZeroPad1d, ZeroPad2d, Flatten, Upsample (nearest) and Dropout compute nothing
new on quantized numbers: torch.nn's own are used, and `hwgen.nn` hands them on under the same
names. A ZeroPad2d before a convolution is how to pad one side only, as TensorFlow's "same" does
with stride 2; the hardware's windows take it over.

An average over a power of two of numbers is their sum with the binary point moved: exact, rounded
once by the quantizer that follows. Over any other count the sum is multiplied by a fixed-point
reciprocal, so that hardware needs no division.
"""

from __future__ import annotations

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


class AvgPool2d(nn.AvgPool2d):
    """Average over windows; no padding, since its zeros would count as numbers.

    Parameters
    ----------
    kernel_size, stride : as torch.nn.AvgPool2d
    output : how the result is quantized; None leaves it exact
    """

    def __init__(
        self,
        kernel_size: int | tuple[int, int],
        stride: int | tuple[int, int] | None = None,
        *,
        output: OutputConfig | None = SIGNED_8,
    ) -> None:
        super().__init__(kernel_size, stride)
        self.output_quantizer = result_quantizer(output)

    @property
    def window(self) -> tuple[int, int]:
        """Height and width of what is averaged."""
        size = self.kernel_size
        return (size, size) if isinstance(size, int) else (size[0], size[1])

    def forward(self, input: Tensor) -> Tensor:
        """Return the quantized averages."""
        height, width = self.window
        sums = F.avg_pool2d(input, self.kernel_size, self.stride, divisor_override=1)
        return quantize_output(self.output_quantizer, sums * reciprocal(height * width))


class AdaptiveAvgPool2d(nn.AdaptiveAvgPool2d):
    """The average over the whole map, (N, C, 1, 1).

    Parameters
    ----------
    output_size : 1, the only one
    output : how the result is quantized; None leaves it exact
    """

    def __init__(
        self, output_size: int | tuple[int, int] = 1, *, output: OutputConfig | None = SIGNED_8
    ) -> None:
        super().__init__(output_size)
        if output_size not in (1, (1, 1)):
            raise NumericError(
                f"AdaptiveAvgPool2d: output_size is {output_size}, expected 1; use AvgPool2d for "
                "windows"
            )
        self.output_quantizer = result_quantizer(output)

    def forward(self, input: Tensor) -> Tensor:
        """Return the quantized averages."""
        sums = input.sum(dim=(2, 3), keepdim=True)
        count = input.shape[2] * input.shape[3]
        return quantize_output(self.output_quantizer, sums * reciprocal(count))
