"""Activations: functions of one number, each followed by a quantizer.

Slopes and offsets of PReLU and RPReLU are fixed point, or K-hot for layers without multipliers.
In eval mode each step rounds to the input's precision once, as the exported float32 nodes do.

Source: He et al., PReLU, arXiv 1502.01852; Liu et al., ReActNet (RPReLU), arXiv 2003.03488.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from hwgen.nn.config import (
    BinaryConfig,
    FixedPointConfig,
    LearnedOutputConfig,
    NumberConfig,
    OutputConfig,
)
from hwgen.nn.estimators import Estimator
from hwgen.nn.factory import constant_quantizer, output_quantizer, result_quantizer
from hwgen.nn.layers import BIAS_8, SIGNED_8, quantize_output
from hwgen.nn.map_statistics import at_least_single
from hwgen.nn.quantizer import Quantizer

IntegerConfig = FixedPointConfig | LearnedOutputConfig

UNSIGNED_8 = FixedPointConfig(bit_width=8, signed=False)


class _Quantized(nn.Module):
    """The next class in line, torch.nn's own, and a quantizer behind it."""

    output_quantizer: Quantizer | None

    def forward(self, input: Tensor) -> Tensor:
        """Return the quantized activation."""
        return quantize_output(self.output_quantizer, super().forward(input))


class ReLU(_Quantized, nn.ReLU):
    """max(x, 0), then an unsigned quantizer."""

    def __init__(self, inplace: bool = False, *, output: IntegerConfig | None = UNSIGNED_8) -> None:
        super().__init__(inplace)
        self.output_quantizer = result_quantizer(output)


class Hardtanh(_Quantized, nn.Hardtanh):
    """x clipped to [min_val, max_val], then a quantizer."""

    def __init__(
        self,
        min_val: float = -1.0,
        max_val: float = 1.0,
        inplace: bool = False,
        *,
        output: IntegerConfig | None = SIGNED_8,
    ) -> None:
        super().__init__(min_val, max_val, inplace)
        self.output_quantizer = result_quantizer(output)


class ReLU6(_Quantized, nn.ReLU6):
    """x clipped to [0, 6], then an unsigned quantizer."""

    def __init__(self, inplace: bool = False, *, output: IntegerConfig | None = UNSIGNED_8) -> None:
        super().__init__(inplace)
        self.output_quantizer = result_quantizer(output)


def bent(x: Tensor, slope: Tensor) -> Tensor:
    """Return x where positive, slope * x where negative, in float32 under autocast too."""
    with torch.autocast(x.device.type, enabled=False):  # which has halves for prelu on a CPU
        return F.prelu(at_least_single(x), slope)


class PReLU(nn.PReLU):
    """x where positive, slope * x where negative, then a quantizer.

    Parameters
    ----------
    num_parameters, init : as torch.nn.PReLU: one slope, or one for each channel
    slope : how slopes are quantized; a 1-hot one is a shift
    output : how the result is quantized; None leaves it exact
    """

    def __init__(
        self,
        num_parameters: int = 1,
        init: float = 0.25,
        *,
        slope: NumberConfig = SIGNED_8,
        output: OutputConfig | None = SIGNED_8,
    ) -> None:
        super().__init__(num_parameters, init)
        self.slope_quantizer = constant_quantizer(slope, num_parameters)
        self.output_quantizer = result_quantizer(output)

    def forward(self, input: Tensor) -> Tensor:
        """Return the quantized activation."""
        slope = self.slope_quantizer(self.weight)
        return quantize_output(self.output_quantizer, bent(input, slope))


class RPReLU(nn.Module):
    """PReLU between two learned shifts of its axes: PReLU(x + before) + after, per channel.

    Parameters
    ----------
    num_parameters : channels
    init : of the slope
    slope, offset : how slopes and both offsets are quantized
    output : how the result is quantized; None leaves it exact
    """

    def __init__(
        self,
        num_parameters: int,
        init: float = 0.25,
        *,
        slope: NumberConfig = SIGNED_8,
        offset: NumberConfig = BIAS_8,
        output: OutputConfig | None = SIGNED_8,
    ) -> None:
        super().__init__()
        self.num_parameters = num_parameters
        self.before = nn.Parameter(torch.zeros(num_parameters))
        self.weight = nn.Parameter(torch.full((num_parameters,), init))
        self.after = nn.Parameter(torch.zeros(num_parameters))
        self.before_quantizer = constant_quantizer(offset, num_parameters)
        self.slope_quantizer = constant_quantizer(slope, num_parameters)
        self.after_quantizer = constant_quantizer(offset, num_parameters)
        self.output_quantizer = result_quantizer(output)

    def forward(self, input: Tensor) -> Tensor:
        """Return the quantized activation."""
        shape = [1, -1] + [1] * (input.dim() - 2)
        moved = input + self.before_quantizer(self.before).reshape(shape)
        result = bent(moved, self.slope_quantizer(self.weight)) + self.after_quantizer(
            self.after
        ).reshape(shape)
        return quantize_output(self.output_quantizer, result)


class Sign(nn.Module):
    """+1 where x >= 0, else -1: the activation of binary networks.

    Parameters
    ----------
    estimator : what the gradient does, see `estimators.py`
    """

    def __init__(self, estimator: Estimator = Estimator.CLIPPED_STE) -> None:
        super().__init__()
        self.output_quantizer = output_quantizer(BinaryConfig(estimator))

    def forward(self, input: Tensor) -> Tensor:
        """Return the sign, +1 at zero."""
        sign: Tensor = self.output_quantizer(input)
        return sign


class Identity(nn.Identity):
    """A quantizer by itself: first in a model it says what numbers come in."""

    def __init__(self, *, output: OutputConfig = SIGNED_8) -> None:
        super().__init__()
        self.output_quantizer = output_quantizer(output)

    def forward(self, input: Tensor) -> Tensor:
        """Return `input` quantized."""
        return quantize_output(self.output_quantizer, input)
