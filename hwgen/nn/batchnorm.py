"""Batch normalization whose scale and offset are fixed-point numbers.

y = x * scale + bias with scale = gamma / sqrt(var + eps) and bias = beta - mean * scale, both
quantized, the bias from the quantized scale so that rounding the scale never shifts the mean.
Training normalises with the batch's statistics, eval with the running ones, like torch's.

Source: Ioffe and Szegedy, arXiv 1502.03167; Dai et al., QFX, arXiv 2401.17544 (element-wise layers
quantized as well).
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from hwgen.errors import NumericError
from hwgen.nn.config import NumberConfig, OutputConfig
from hwgen.nn.factory import constant_quantizer, result_quantizer
from hwgen.nn.layers import BIAS_8, SIGNED_8, quantize_output
from hwgen.nn.map_statistics import RunningStatistics, at_least_single, fused, line
from hwgen.nn.single_rounding import rounded_product


class BatchNorm(nn.modules.batchnorm._BatchNorm):
    """What the two below share; channels are on axis 1.

    Parameters
    ----------
    num_features, eps, momentum, affine : as torch.nn.BatchNorm1d; running statistics are kept
    scale, bias : how the two constants of eval mode are quantized: fixed point, or K-hot
    output : how the result is quantized; None leaves it exact, for an activation that follows
    """

    running_mean: Tensor
    running_var: Tensor
    num_batches_tracked: Tensor
    layouts: tuple[str, ...] = ()  # of the axes behind the channels

    def __init__(
        self,
        num_features: int,
        eps: float = 1e-5,
        momentum: float | None = 0.1,
        affine: bool = True,
        *,
        scale: NumberConfig = SIGNED_8,
        bias: NumberConfig = BIAS_8,
        output: OutputConfig | None = None,
    ) -> None:
        super().__init__(num_features, eps, momentum, affine)
        self.scale_quantizer = constant_quantizer(scale, num_features)
        self.bias_quantizer = constant_quantizer(bias, num_features)
        self.output_quantizer = result_quantizer(output)

    def forward(self, input: Tensor) -> Tensor:
        """Return the normalised, quantized `input`."""
        dims = [len(layout) + 2 for layout in self.layouts]
        if input.dim() not in dims or input.shape[1] != self.num_features:
            shapes = (", ".join(["N", str(self.num_features), *axes]) for axes in self.layouts)
            raise NumericError(
                f"{type(self).__name__}: input is {list(input.shape)}, expected "
                f"{' or '.join(f'({shape})' for shape in shapes)}"
            )
        if self.training:
            input = at_least_single(input)
            running = RunningStatistics(
                self.running_mean, self.running_var, self.num_batches_tracked, self.momentum
            )
            statistics = running.follow(input, type(self).__name__)
        else:
            statistics = self.running_mean, self.running_var
        scale, bias = self.constants(*statistics)
        if self.training and fused(input):
            return quantize_output(self.output_quantizer, line(input, scale, bias, statistics[0]))
        if input.dim() > 2:
            shape = [1, -1] + [1] * (input.dim() - 2)
            scale, bias = scale.reshape(shape), bias.reshape(shape)
        product = input * scale if self.training else rounded_product(input, scale)
        return quantize_output(self.output_quantizer, product + bias)

    def constants(self, mean: Tensor, variance: Tensor) -> tuple[Tensor, Tensor]:
        """Return the quantized (scale, bias) that these statistics give.

        In eval mode they are formed in float64, so that the last bits of a square root, which
        differ between machines and compilers, do not decide between two steps of a quantizer.
        """
        kind = mean.dtype
        if not self.training:
            mean, variance = mean.double(), variance.double()
        scale = torch.rsqrt(variance + self.eps)
        if self.affine:
            scale = scale * self.weight
        quantized_scale: Tensor = self.scale_quantizer(scale).to(kind)
        bias = -mean * quantized_scale
        if self.affine:
            bias = bias + self.bias
        quantized_bias: Tensor = self.bias_quantizer(bias).to(kind)
        return quantized_scale, quantized_bias


class BatchNorm1d(BatchNorm, nn.BatchNorm1d):
    """Batch normalization of (N, C) or (N, C, L)."""

    layouts = ("", "L")


class BatchNorm2d(BatchNorm, nn.BatchNorm2d):
    """Batch normalization of (N, C, H, W)."""

    layouts = ("HW",)
