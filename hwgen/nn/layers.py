"""Layers with weights: Linear, Conv1d and Conv2d compute in training what the hardware computes.

Each takes the place of its torch.nn twin: the same arguments first, then by keyword what is
quantized and how. In training mode they run in float32 with straight-through gradients. In eval
mode sums are formed in float64 on quantized operands, where every number is an integer times a
power of two and nothing is rounded; `export` refuses models whose sums would not be exact in
float32 too. Weights with a free scale sum their integer codes, and one float32 multiplication
follows. Next in the flow: `activations.py`, `batchnorm.py`, `structure.py`, then `export.py`.
"""

from __future__ import annotations

from typing import Literal, cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from hwgen.errors import NumericError
from hwgen.nn.config import FixedPointConfig, NumberConfig, OutputConfig
from hwgen.nn.factory import constant_quantizer, output_quantizer, weight_quantizer
from hwgen.nn.quantizer import Quantizer
from hwgen.nn.weight_config import WeightConfig

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
    """A layer that sums products with weights; what Linear and the convolutions share."""

    weight: Tensor
    bias: Tensor | None
    channels_last = False  # where the result's channels are: on axis 1, or on the last

    def quantize_with(
        self, weight: WeightConfig, bias_format: NumberConfig, output: OutputConfig | None
    ) -> None:
        """Make the quantizers of weights, bias and result."""
        channels = self.weight.shape[0]
        self.weight_quantizer = weight_quantizer(weight, self.weight)
        has_bias = self.bias is not None
        self.bias_quantizer = constant_quantizer(bias_format, channels) if has_bias else None
        self.output_quantizer = None if output is None else output_quantizer(output)

    def sums(self, input: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
        """Return the layer's sums of products, plus the bias."""
        raise TypeError(f"{type(self).__name__} has no sums; derive it from Linear or Conv2d")

    def forward(self, input: Tensor) -> Tensor:
        """Return the quantized sums of products."""
        bias = None if self.bias_quantizer is None else self.bias_quantizer(self.bias)
        if self.training:
            weight = self.weight_quantizer(self.weight)
            return quantize_output(self.output_quantizer, self.sums(input, weight, bias))
        if self.weight_quantizer.free_scale:
            return quantize_output(self.output_quantizer, self._scaled_codes(input, bias))
        weight = self.weight_quantizer(self.weight)
        exact = self.sums(input.double(), weight.double(), None if bias is None else bias.double())
        return quantize_output(self.output_quantizer, exact).to(input.dtype)

    def _scaled_codes(self, input: Tensor, bias: Tensor | None) -> Tensor:
        """Integer sums, one multiplication and one addition, each rounded once to float32."""
        codes, scale = self.weight_quantizer.grid(self.weight)
        exact = self.sums(input.double(), codes, None)
        rounded = (exact * self._along_channels(scale, exact)).to(input.dtype)
        return rounded if bias is None else rounded + self._along_channels(bias, rounded)

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
    ) -> None:
        nn.Linear.__init__(self, in_features, out_features, bias, device, dtype)
        self.quantize_with(weight, bias_format, output)

    def sums(self, input: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
        """Return `input @ weight.T + bias`."""
        return F.linear(input, weight, bias)


class _Convolution(Weighted):
    """What Conv1d and Conv2d share beyond `Weighted`."""

    padding_mode: PaddingMode

    def require_zeros(self) -> None:
        """Refuse paddings that the hardware does not have."""
        if self.padding_mode != "zeros":
            raise NumericError(
                f"{type(self).__name__}: padding_mode is {self.padding_mode!r}, expected 'zeros'; "
                "taps outside the map are left out of the sum"
            )


class Conv1d(_Convolution, nn.Conv1d):
    """Convolution over (N, C, L); parameters as torch.nn.Conv1d, then as `Linear`."""

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: int | tuple[int],
        stride: int | tuple[int] = 1,
        padding: int | tuple[int] | str = 0,
        dilation: int | tuple[int] = 1,
        groups: int = 1,
        bias: bool = True,
        padding_mode: PaddingMode = "zeros",
        *,
        weight: WeightConfig = SIGNED_8,
        bias_format: NumberConfig = BIAS_8,
        output: OutputConfig | None = None,
    ) -> None:
        nn.Conv1d.__init__(
            self,
            in_channels,
            out_channels,
            kernel_size,
            stride,
            padding,
            dilation,
            groups,
            bias,
            padding_mode,
        )
        self.require_zeros()
        self.quantize_with(weight, bias_format, output)

    def sums(self, input: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
        """Return the convolution; taps outside contribute nothing."""
        stride, dilation = cast(tuple[int], self.stride), cast(tuple[int], self.dilation)
        padding = cast(tuple[int] | str, self.padding)
        return F.conv1d(input, weight, bias, stride, padding, dilation, self.groups)


class Conv2d(_Convolution, nn.Conv2d):
    """Convolution over (N, C, H, W); parameters as torch.nn.Conv2d, then as `Linear`."""

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: int | tuple[int, int],
        stride: int | tuple[int, int] = 1,
        padding: int | tuple[int, int] | str = 0,
        dilation: int | tuple[int, int] = 1,
        groups: int = 1,
        bias: bool = True,
        padding_mode: PaddingMode = "zeros",
        *,
        weight: WeightConfig = SIGNED_8,
        bias_format: NumberConfig = BIAS_8,
        output: OutputConfig | None = None,
    ) -> None:
        nn.Conv2d.__init__(
            self,
            in_channels,
            out_channels,
            kernel_size,
            stride,
            padding,
            dilation,
            groups,
            bias,
            padding_mode,
        )
        self.require_zeros()
        self.quantize_with(weight, bias_format, output)

    def sums(self, input: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
        """Return the convolution; taps outside contribute nothing."""
        stride = cast(tuple[int, int], self.stride)
        dilation = cast(tuple[int, int], self.dilation)
        padding = cast(tuple[int, int] | str, self.padding)
        return F.conv2d(input, weight, bias, stride, padding, dilation, self.groups)
