"""Gradient estimators of the sign: one table.

The forward value is the sign for all of them, sign(0) = +1. They differ in what they send back,
and in how that changes while training goes on, from `progress` 0 (start) to 1 (end):

| estimator | d sign(x) / dx | schedule |
|---|---|---|
| STE | 1 | - |
| CLIPPED_STE | 1 where abs(x) <= 1 | - |
| APPROX_SIGN | 2 - 2 abs(x) where abs(x) < 1 | - |
| RESTE | abs(x)^((1-o)/o) / o for 0.1 < abs(x) <= 1.5; 0.1^(1/o) / 0.1 below | o 1 to 3, cosine |
| IR_NET | k t (1 - tanh(t x)^2), k = max(1/t, 1) | t 10^-3 to 10, exponential |
| BIPER | weights: w0 cos(w0 x), of sign(sin(w0 x)); activations as APPROX_SIGN | two stages |

`Schedule` sets the progress of a whole model; `binary.py` uses the table.

Source: Hubara et al., NIPS 2016 (clipped STE); Liu et al., Bi-Real Net, ECCV 2018 (ApproxSign);
Wu et al., ReSTE, ICCV 2023; Qin et al., IR-Net, CVPR 2020; Vargas et al., BiPer, CVPR 2024.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from enum import Enum

import torch
from torch import Tensor

RESTE_END = 3.0  # the exponent o at the end; at 1 it is the STE clipped at 1.5
RESTE_FLAT, RESTE_CLIP = 0.1, 1.5
BIPER_FREQUENCY = 20.0  # w0
BIPER_REAL_SHARE = 2 / 3  # of training, in which weights are the sine itself


class Estimator(Enum):
    """Which gradient the sign has; the module's table says what each computes."""

    STE = "ste"
    CLIPPED_STE = "clipped_ste"
    APPROX_SIGN = "approx_sign"
    RESTE = "reste"
    IR_NET = "ir_net"
    BIPER = "biper"


def _straight_through(x: Tensor, progress: float) -> Tensor:
    return torch.ones_like(x)


def _clipped(x: Tensor, progress: float) -> Tensor:
    return (x.abs() <= 1).to(x.dtype)


def _approx_sign(x: Tensor, progress: float) -> Tensor:
    return (2 - 2 * x.abs()).clamp_(min=0)


def _reste(x: Tensor, progress: float) -> Tensor:
    o = reste_exponent(progress)
    magnitude = x.abs()
    steep = magnitude.clamp(min=RESTE_FLAT).pow_((1 - o) / o).div_(o)
    flat = RESTE_FLAT ** (1 / o) / RESTE_FLAT
    slope = torch.where(magnitude <= RESTE_FLAT, flat, steep)
    return slope.masked_fill_(magnitude > RESTE_CLIP, 0.0)


def _ir_net(x: Tensor, progress: float) -> Tensor:
    k, t = ir_net_shape(progress)
    return k * t * (1 - torch.tanh(t * x).square_())


SLOPES: dict[Estimator, Callable[[Tensor, float], Tensor]] = {
    Estimator.STE: _straight_through,
    Estimator.CLIPPED_STE: _clipped,
    Estimator.APPROX_SIGN: _approx_sign,
    Estimator.RESTE: _reste,
    Estimator.IR_NET: _ir_net,
    Estimator.BIPER: _approx_sign,
}


def reste_exponent(progress: float) -> float:
    """Return ReSTE's o.

    Examples
    --------
    >>> reste_exponent(0.0), round(reste_exponent(1.0), 6)
    (1.0, 3.0)
    """
    return 1 + (RESTE_END - 1) * (1 - math.cos(math.pi / 2 * progress))


def ir_net_shape(progress: float) -> tuple[float, float]:
    """Return IR-Net's (k, t).

    Examples
    --------
    >>> ir_net_shape(0.5)
    (10.0, 0.1)
    """
    t = 10 ** (-3 + 4 * progress)
    return max(1 / t, 1.0), t
