"""BatchNorm1d whose scale and offset are fixed-point numbers.

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
from hwgen.nn.config import FixedPointConfig
from hwgen.nn.layers import BIAS_8, SIGNED_8, OutputConfig, make_quantizer, quantize_output
from hwgen.nn.quantizer import FixedPointQuantizer


class BatchNorm1d(nn.BatchNorm1d):
    """Batch normalisation of (N, C) with quantized scale and bias.

    Parameters
    ----------
    num_features, eps, momentum, affine : as torch.nn.BatchNorm1d; running statistics are kept
    scale, bias : how the two constants of eval mode are quantized
    output : how the result is quantized; None leaves it exact, for an activation that follows
    """

    running_mean: Tensor
    running_var: Tensor
    num_batches_tracked: Tensor

    def __init__(
        self,
        num_features: int,
        eps: float = 1e-5,
        momentum: float | None = 0.1,
        affine: bool = True,
        *,
        scale: FixedPointConfig = SIGNED_8,
        bias: FixedPointConfig = BIAS_8,
        output: OutputConfig | None = None,
    ) -> None:
        super().__init__(num_features, eps, momentum, affine)
        self.scale_quantizer = FixedPointQuantizer(scale)
        self.bias_quantizer = FixedPointQuantizer(bias)
        self.output_quantizer = None if output is None else make_quantizer(output)

    def forward(self, input: Tensor) -> Tensor:
        """Return the normalised, quantized `input`."""
        if input.dim() != 2 or input.shape[1] != self.num_features:
            raise NumericError(
                f"BatchNorm1d: input is {list(input.shape)}, expected (N, {self.num_features})"
            )
        if self.training:
            mean, variance = self._batch_statistics(input)
            scale, bias = self.constants(mean, variance)
            return quantize_output(self.output_quantizer, input * scale + bias)
        scale, bias = self.constants(self.running_mean, self.running_var)
        exact = input.double() * scale.double() + bias.double()
        return quantize_output(self.output_quantizer, exact).to(input.dtype)

    def constants(self, mean: Tensor, variance: Tensor) -> tuple[Tensor, Tensor]:
        """Return the quantized (scale, bias) that these statistics give."""
        scale = torch.rsqrt(variance + self.eps)
        if self.affine:
            scale = scale * self.weight
        quantized_scale: Tensor = self.scale_quantizer(scale)
        bias = -mean * quantized_scale
        if self.affine:
            bias = bias + self.bias
        quantized_bias: Tensor = self.bias_quantizer(bias)
        return quantized_scale, quantized_bias

    def _batch_statistics(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Return mean and biased variance of the batch; move the running ones toward them."""
        if x.shape[0] < 2:
            raise NumericError("BatchNorm1d: a training batch needs at least 2 samples, got 1")
        variance, mean = torch.var_mean(x, dim=0, correction=0)
        with torch.no_grad():
            self.num_batches_tracked += 1
            share = 1 / float(self.num_batches_tracked) if self.momentum is None else self.momentum
            unbiased = variance * (x.shape[0] / (x.shape[0] - 1))
            self.running_mean.lerp_(mean, share)
            self.running_var.lerp_(unbiased, share)
        return mean, variance
