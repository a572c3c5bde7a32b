"""Layers that compute in training what the hardware computes afterwards.

Each takes the place of its torch.nn twin: the same arguments first, then by keyword what is
quantized and how. In training mode they run in float32 with straight-through gradients. In eval
mode sums are formed in float64 on quantized operands, where every number is an integer times a
power of two and nothing is rounded; `export` refuses models whose sums would not be exact in
float32 too. Next in the flow: `export.py`.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from hwgen.nn.binary import BinaryQuantizer
from hwgen.nn.config import BinaryConfig, FixedPointConfig, KHotConfig, WeightConfig
from hwgen.nn.khot import KHotQuantizer
from hwgen.nn.quantizer import FixedPointQuantizer

Quantizer = FixedPointQuantizer | BinaryQuantizer
OutputConfig = FixedPointConfig | BinaryConfig

# Eight bits everywhere is the safe start; narrower is the user's decision.
SIGNED_8 = FixedPointConfig(bit_width=8)
# Biases may all be next to zero; they need no grid finer than what they are added to. With 12
# fractional bits, sums up to 4096 are exact in float32.
BIAS_8 = FixedPointConfig(bit_width=8, max_frac=12)
UNSIGNED_8 = FixedPointConfig(bit_width=8, signed=False)


def make_quantizer(config: WeightConfig) -> Quantizer:
    """Return the quantizer that `config` describes."""
    match config:
        case BinaryConfig():
            return BinaryQuantizer(config)
        case KHotConfig():
            return KHotQuantizer(config)
        case FixedPointConfig():
            return FixedPointQuantizer(config)


def quantize_output(quantizer: Quantizer | None, x: Tensor) -> Tensor:
    """Return `x` through its quantizer, or as it is where there is none."""
    return x if quantizer is None else quantizer(x)


class Linear(nn.Linear):
    """Fully connected layer with quantized weights and bias.

    Parameters
    ----------
    in_features, out_features, bias, device, dtype : as torch.nn.Linear
    weight : how weights are quantized: fixed point, K-hot or binary
    bias_format : how the bias is quantized
    output : how the result is quantized; None leaves the exact sum
    """

    def __init__(
        self,
        in_features: int,
        out_features: int,
        bias: bool = True,
        device: torch.device | str | None = None,
        dtype: torch.dtype | None = None,
        *,
        weight: WeightConfig = SIGNED_8,
        bias_format: FixedPointConfig = BIAS_8,
        output: OutputConfig | None = None,
    ) -> None:
        super().__init__(in_features, out_features, bias, device, dtype)
        self.weight_quantizer = make_quantizer(weight)
        self.bias_quantizer = FixedPointQuantizer(bias_format) if bias else None
        self.output_quantizer = None if output is None else make_quantizer(output)

    def forward(self, input: Tensor) -> Tensor:
        """Return the quantized `input @ weight.T + bias`."""
        weight = self.weight_quantizer(self.weight)
        bias = None if self.bias_quantizer is None else self.bias_quantizer(self.bias)
        if self.training:
            return quantize_output(self.output_quantizer, F.linear(input, weight, bias))
        exact = F.linear(input.double(), weight.double(), None if bias is None else bias.double())
        return quantize_output(self.output_quantizer, exact).to(input.dtype)


class ReLU(nn.ReLU):
    """max(x, 0), then an unsigned quantizer."""

    def __init__(
        self, inplace: bool = False, *, output: FixedPointConfig | None = UNSIGNED_8
    ) -> None:
        super().__init__(inplace)
        self.output_quantizer = None if output is None else make_quantizer(output)

    def forward(self, input: Tensor) -> Tensor:
        """Return the quantized positive part."""
        return quantize_output(self.output_quantizer, super().forward(input))


class Sign(nn.Module):
    """+1 where x >= 0, else -1: the activation of binary networks."""

    def __init__(self) -> None:
        super().__init__()
        self.output_quantizer = BinaryQuantizer(BinaryConfig())

    def forward(self, input: Tensor) -> Tensor:
        """Return the sign, +1 at zero."""
        sign: Tensor = self.output_quantizer(input)
        return sign


class Identity(nn.Identity):
    """A quantizer by itself: first in a model it says what numbers come in."""

    def __init__(self, *, output: OutputConfig = SIGNED_8) -> None:
        super().__init__()
        self.output_quantizer = make_quantizer(output)

    def forward(self, input: Tensor) -> Tensor:
        """Return `input` quantized."""
        return quantize_output(self.output_quantizer, input)
