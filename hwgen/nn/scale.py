"""Measures of weights, and powers of two near a number: the scales of multiplier-free weights.

The nearest power of two in the logarithm is decided on mantissa and exponent, not by log2, whose
last bit depends on the machine. Sums over weights are formed in float64: their order, which
differs between an eager CPU, compiled code and a GPU, then leaves no trace in float32.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from hwgen.nn.fixed_point_function import power_of_two
from hwgen.nn.single_rounding import rounded_to

SMALLEST_EXPONENT = -60


def nearest_exponent(x: Tensor) -> Tensor:
    """Return round(log2 |x|), at least -60, as integers in the dtype of `x`.

    It switches at the square root of two times a power of two.

    Examples
    --------
    >>> nearest_exponent(torch.tensor([1.4, 1.5, 0.25, 0.0])).tolist()
    [0.0, 1.0, -2.0, -60.0]
    """
    mantissa, exponent = torch.frexp(x.abs().clamp(min=2.0**SMALLEST_EXPONENT))
    return exponent.to(x.dtype) - (mantissa < math.sqrt(0.5)).to(x.dtype)


def mean_magnitude(x: Tensor, axes: list[int] | None = None) -> Tensor:
    """Return mean |x| over `axes`, which stay with size 1, or over all."""
    wide = x.abs().double()
    mean = wide.mean() if axes is None else wide.mean(axes, keepdim=True)
    return rounded_to(mean, x.dtype)


def normalized(x: Tensor, axes: list[int] | None = None) -> Tensor:
    """Return `x` less its mean, over its deviation; over `axes`, or over all.

    A single number has no deviation: it becomes 0.
    """
    wide = x.double()
    count = x.numel() if axes is None else math.prod(x.shape[axis] for axis in axes)
    kept = axes is not None
    deviation, mean = torch.std_mean(wide, axes, correction=int(count > 1), keepdim=kept)
    return ((wide - mean) / deviation.clamp(min=2.0**SMALLEST_EXPONENT)).to(x.dtype)


def power_of_two_near(x: Tensor) -> Tensor:
    """Return the power of two nearest to |x| in the logarithm, without a gradient."""
    return power_of_two(nearest_exponent(x.detach()), x.dtype)


def substitute(x: Tensor, value: Tensor) -> Tensor:
    """Return `value`, whose gradient goes to x unchanged."""
    substituted: Tensor = _Substitute.apply(x, value)  # type: ignore[no-untyped-call]
    return substituted


class _Substitute(torch.autograd.Function):
    @staticmethod
    def forward(ctx: object, x: Tensor, value: Tensor) -> Tensor:
        return value.clone()

    @staticmethod
    def backward(ctx: object, grad: Tensor) -> tuple[Tensor, None]:
        return grad, None
