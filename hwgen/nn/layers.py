"""Layers with weights: Linear, Conv1d and Conv2d compute in training what the hardware computes.

Each takes the place of its torch.nn twin: the same arguments first, then by keyword what is
quantized and how. In training mode they run in float32 with straight-through gradients. In eval
mode sums are formed in float64 on quantized operands, where every number is an integer times a
power of two and nothing is rounded; `exact=True` checks, and `export` proves, that they are exact
in float32 too. Weights with a free scale sum their integer codes, and one float32 multiplication
follows. Next in the flow: `activations.py`, `batchnorm.py`, `structure.py`, then `export.py`.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from hwgen.errors import NumericError
from hwgen.nn.config import FixedPointConfig, NumberConfig, OutputConfig
from hwgen.nn.exactness import SumRange, sum_range
from hwgen.nn.factory import (
    APPROXIMATING,
    constant_quantizer,
    result_quantizer,
    weight_quantizer,
)
from hwgen.nn.folded_norm import FoldedNorm
from hwgen.nn.quantizer import Quantizer
from hwgen.nn.single_rounding import rounded_to
from hwgen.nn.weight_config import WeightConfig

Sizes = int | tuple[int, ...]
PaddingMode = Literal["zeros", "reflect", "replicate", "circular"]  # torch.nn's; one is accepted

# Eight bits everywhere is the safe start; narrower is the user's decision.
SIGNED_8 = FixedPointConfig(bit_width=8)
# Biases may all be next to zero; they need no grid finer than what they are added to. With 12
# fractional bits, sums up to 4096 are exact in float32.
BIAS_8 = FixedPointConfig(bit_width=8, max_frac=12)


def quantize_output(quantizer: Quantizer | None, x: Tensor) -> Tensor:
    """Return `x` through its quantizer, or as it is where there is none."""
    return x if quantizer is None else quantizer(x)


class Weighted(nn.Module):
    """A layer that sums products with weights; what Linear and the convolutions share.

    Attributes
    ----------
    norm : a BatchNorm folded into weights and bias, or None
    exact : whether eval mode checks that float32 executors would add up the same
    """

    weight: Tensor
    bias: Tensor | None
    channels_last = False  # where the result's channels are: on axis 1, or on the last

    def quantize_with(
        self,
        weight: WeightConfig,
        bias_format: NumberConfig,
        output: OutputConfig | None,
        exact: bool = False,
    ) -> None:
        """Make the quantizers of weights, bias and result, where the weights are."""
        channels, device = self.weight.shape[0], self.weight.device
        self.weight_quantizer = weight_quantizer(weight, self.weight).to(device)
        has_bias = self.bias is not None
        self.bias_quantizer = (
            constant_quantizer(bias_format, channels).to(device) if has_bias else None
        )
        self.output_quantizer = result_quantizer(output)
        if self.output_quantizer is not None:
            self.output_quantizer.to(device)
        self.norm: FoldedNorm | None = None
        self.exact = exact

    def fold(
        self, norm: nn.BatchNorm1d | nn.BatchNorm2d, bias_format: NumberConfig = BIAS_8
    ) -> None:
        """Take the BatchNorm that stands behind this layer into its weights and bias.

        Raises
        ------
        NumericError
            when the channels do not fit, or the weights have no room for a factor
        """
        channels, what = self.weight.shape[0], f"{type(self).__name__}.fold"
        if norm.num_features != channels:
            raise NumericError(
                f"{what}: the BatchNorm has {norm.num_features} channels, expected {channels}"
            )
        if not isinstance(self.weight_quantizer, APPROXIMATING):
            raise NumericError(
                f"{what}: weights of {type(self.weight_quantizer).__name__} do not carry a factor "
                "for each channel; keep the BatchNorm, or use FixedPointConfig or KHotConfig"
            )
        device = self.weight.device
        self.norm = FoldedNorm(norm, self.bias, device)
        self.bias = None
        self.bias_quantizer = constant_quantizer(bias_format, channels).to(device)
        self.weight_quantizer.restart(self.constants()[0])

    def constants(self, input: Tensor | None = None) -> tuple[Tensor, Tensor | None]:
        """Return weights and bias before their quantizers, a BatchNorm folded into them.

        Its statistics are those of the batch `input` in training, else the running ones.
        """
        if self.norm is None:
            return self.weight, self.bias
        if input is None or not self.training:
            folded: tuple[Tensor, Tensor] = self.norm(self.weight, None)
            return folded
        sums = self.sums(input, self.weight, None)
        folded = self.norm(self.weight, sums.movedim(-1, 1) if self.channels_last else sums)
        return folded

    def sums(self, input: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
        """Return the layer's sums of products, plus the bias."""
        raise TypeError(f"{type(self).__name__} has no sums; derive it from Linear or Conv2d")

    def forward(self, input: Tensor) -> Tensor:
        """Return the quantized sums of products."""
        weight, bias = self.constants(input)
        bias = None if self.bias_quantizer is None else self.bias_quantizer(bias)
        if self.weight_quantizer.free_scale and not self.training:
            return quantize_output(self.output_quantizer, self._scaled_codes(input, weight, bias))
        weight = self.weight_quantizer(weight)
        if self.training:
            return quantize_output(self.output_quantizer, self.sums(input, weight, bias))
        self._check_range(input)
        exact = self.sums(input.double(), weight.double(), None if bias is None else bias.double())
        return quantize_output(self.output_quantizer, exact).to(input.dtype)

    def sum_range(self, input: Tensor) -> SumRange:
        """Return how large the sums of `input` can be, in units of their last place.

        Sums of weights with a free scale are those of their codes, without the bias.
        """
        weight, bias = self.constants()
        codes, scale = self.weight_quantizer.grid(weight)
        if self.weight_quantizer.free_scale:
            return sum_range(input, codes, torch.ones(()), None)
        bias = None if self.bias_quantizer is None else self.bias_quantizer(bias)
        return sum_range(input, codes, scale, bias)

    def _check_range(self, input: Tensor) -> None:
        if self.exact:
            with torch.no_grad():
                self.sum_range(input).require_float32(type(self).__name__)

    def _scaled_codes(self, input: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
        """Integer sums, one multiplication and one addition, each rounded once to float32."""
        self._check_range(input)
        codes, scale = self.weight_quantizer.grid(weight)
        exact = self.sums(input.double(), codes, None)
        rounded = rounded_to(exact * self._along_channels(scale, exact), input.dtype)
        if bias is None:
            return rounded
        return rounded + self._along_channels(bias.to(input.dtype), rounded)

    def _along_channels(self, values: Tensor, like: Tensor) -> Tensor:
        axis = like.dim() - 1 if self.channels_last else 1
        shape = [1] * like.dim()
        shape[axis] = -1
        return values.reshape(shape)


class Linear(Weighted, nn.Linear):  # type: ignore[misc]  # its bias may be None, unsaid
    """Fully connected layer with quantized weights and bias.

    Parameters
    ----------
    in_features, out_features, bias, device, dtype : as torch.nn.Linear
    weight : how weights are quantized, any of the configs of `config.py`, `weight_config.py`
    bias_format : how the bias is quantized
    output : how the result is quantized; None leaves the exact sum
    exact : check in eval mode that float32 executors would add up the same, see `exactness.py`
    """

    channels_last = True

    def __init__(
        self,
        in_features: int,
        out_features: int,
        bias: bool = True,
        device: torch.device | str | None = None,
        dtype: torch.dtype | None = None,
        *,
        weight: WeightConfig = SIGNED_8,
        bias_format: NumberConfig = BIAS_8,
        output: OutputConfig | None = None,
        exact: bool = False,
    ) -> None:
        nn.Linear.__init__(self, in_features, out_features, bias, device, dtype)
        self.quantize_with(weight, bias_format, output, exact)

    def sums(self, input: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
        """Return `input @ weight.T + bias`."""
        return F.linear(input, weight, bias)


class _Convolution(Weighted):
    """What Conv1d and Conv2d share: they differ in the class of torch.nn that stands behind.

    Parameters are those of that class, one number an axis or one for all; then those of `Linear`.
    """

    padding_mode: PaddingMode
    _conv_forward: Callable[[Tensor, Tensor, Tensor | None], Tensor]

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: Sizes,
        stride: Sizes = 1,
        padding: Sizes | str = 0,
        dilation: Sizes = 1,
        groups: int = 1,
        bias: bool = True,
        padding_mode: PaddingMode = "zeros",
        device: torch.device | str | None = None,
        dtype: torch.dtype | None = None,
        *,
        weight: WeightConfig = SIGNED_8,
        bias_format: NumberConfig = BIAS_8,
        output: OutputConfig | None = None,
        exact: bool = False,
    ) -> None:
        if padding_mode != "zeros":
            raise NumericError(
                f"{type(self).__name__}: padding_mode is {padding_mode!r}, expected 'zeros'; "
                "taps outside the map are left out of the sum"
            )
        # The next class is nn.Conv1d or nn.Conv2d.
        super().__init__(
            in_channels,
            out_channels,
            kernel_size,
            stride,
            padding,
            dilation,
            groups,
            bias,
            device=device,
            dtype=dtype,
        )
        self.quantize_with(weight, bias_format, output, exact)

    def sums(self, input: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
        """Return the convolution; taps outside contribute nothing."""
        return self._conv_forward(input, weight, bias)


class Conv1d(_Convolution, nn.Conv1d):
    """Convolution over (N, C, L); parameters as torch.nn.Conv1d, then as `Linear`."""


class Conv2d(_Convolution, nn.Conv2d):
    """Convolution over (N, C, H, W); parameters as torch.nn.Conv2d, then as `Linear`."""
