"""Powers of two near a number, exactly: the scales of binary, ternary and shift weights.

The nearest power of two in the logarithm is decided on mantissa and exponent, not by log2, whose
last bit depends on the machine.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from hwgen.nn.fixed_point_function import power_of_two

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
