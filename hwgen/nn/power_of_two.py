"""Weights that are powers of two: a product is a shift, and a sum needs no multiplier.

DeepShift-Q rounds a float weight; DeepShift-PS trains shift and sign; DenseShift builds the shift
from a chain of on-off parameters t_1..t_n, p <- (p + 1) * [t_i > 0], and so never is zero. All
their codes are integers, all their scales powers of two.

Source: Elhoushi et al., DeepShift, arXiv 1905.13298; Li et al., DenseShift, arXiv 2208.09708. Own
choices: sign(0) = +1 in Q; PS and DenseShift start from the layer's float weights.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch.autograd.function import FunctionCtx

from hwgen.nn.binary import estimated_sign, sign
from hwgen.nn.estimators import Estimator
from hwgen.nn.fixed_point_function import power_of_two
from hwgen.nn.quantizer import Quantizer
from hwgen.nn.scale import SMALLEST_EXPONENT, nearest_exponent, substitute
from hwgen.nn.weight_config import DenseShiftConfig, PowerOfTwoConfig, ShiftConfig

_ON_OFF_START = 0.1  # close to the switch: a few steps can turn a weight


class PowerOfTwoQuantizer(Quantizer):
    """DeepShift-Q: the nearest power of two in the logarithm; straight-through gradient."""

    def __init__(self, config: PowerOfTwoConfig) -> None:
        super().__init__()
        self.config = config
        self.bit_width = config.shifts + 2

    def forward(self, x: Tensor) -> Tensor:
        """Return `x` on the powers of two."""
        with torch.no_grad():
            codes, scale = self.grid(x)
        return substitute(x, (codes * scale).to(x.dtype))

    def grid(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Return codes +-2**p, p >= 0, and their scale."""
        exponent = nearest_exponent(x.detach()).clamp(-self.config.shifts, 0)
        magnitude = torch.exp2(exponent.double() + self.config.shifts).round()
        return sign(x.detach()).double() * magnitude, _scale(self.config.shifts, x)


class ShiftQuantizer(Quantizer):
    """DeepShift-PS: what is trained is a shift and a sign for each weight.

    Attributes
    ----------
    shift, sign : parameters in the shape of the weights; the layer's own weights rest
    """

    def __init__(self, config: ShiftConfig, weight: Tensor) -> None:
        super().__init__()
        self.config = config
        self.bit_width = config.shifts + 2
        self.shift = nn.Parameter(torch.zeros_like(weight))
        self.sign = nn.Parameter(torch.zeros_like(weight))
        self.restart(weight)

    def restart(self, weight: Tensor) -> None:
        """Begin again from float weights; those below half the smallest power of two become 0."""
        with torch.no_grad():
            exponent = nearest_exponent(weight)
            self.shift.copy_(exponent.clamp(-self.config.shifts, 0))
            self.sign.copy_(sign(weight) * (weight.abs() >= 2.0 ** (-self.config.shifts - 1)))

    def forward(self, x: Tensor) -> Tensor:
        """Return sign * 2**shift; `x`, the layer's weight, has no part in it."""
        with torch.no_grad():
            codes, scale = self.grid(x)
        value: Tensor = _SignShift.apply(  # type: ignore[no-untyped-call]
            self.shift, self.sign, (codes * scale).to(x.dtype)
        )
        return value

    def grid(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Return codes 0, +-2**p, and their scale."""
        # Half to even: a sign of +-0.5 is 0.
        signs = torch.sign(torch.round(self.sign.detach())).double()
        shift = torch.round(self.shift.detach()).clamp(-self.config.shifts, 0)
        magnitude = torch.exp2(shift.double() + self.config.shifts).round()
        return signs * magnitude, _scale(self.config.shifts, x)


class _SignShift(torch.autograd.Function):
    """d w / d shift = w ln 2, d w / d sign = 1, both through their roundings and the clamp."""

    @staticmethod
    def forward(ctx: FunctionCtx, shift: Tensor, signs: Tensor, value: Tensor) -> Tensor:
        ctx.save_for_backward(value)
        return value.clone()

    @staticmethod
    def backward(ctx: FunctionCtx, grad: Tensor) -> tuple[Tensor | None, ...]:
        (value,) = ctx.saved_tensors  # type: ignore[attr-defined]
        return grad * value * math.log(2.0), grad, None


class DenseShiftQuantizer(Quantizer):
    """DenseShift: forward sign(a) * 2**p, backward as if it were sign(a) * sqrt(p + 1).

    Attributes
    ----------
    switches : parameters t, (n, *weight.shape)
    frac : fractional bits of all weights
    """

    frac: Tensor

    def __init__(self, config: DenseShiftConfig, weight: Tensor) -> None:
        super().__init__()
        self.config = config
        self.bit_width = config.shifts + 2
        self.switches = nn.Parameter(weight.new_zeros((config.shifts, *weight.shape)))
        self.register_buffer("frac", torch.zeros((), dtype=torch.int64))
        self.restart(weight)

    def restart(self, weight: Tensor) -> None:
        """Begin again from float weights: the nearest powers of two, the largest still in range."""
        shifts = self.config.shifts
        with torch.no_grad():
            largest = float(weight.abs().max()) or 1.0
            top = max(SMALLEST_EXPONENT, round(math.log2(largest)))
            fixed = self.config.frac
            self.frac.fill_(shifts - top if fixed is None else fixed)
            p = (nearest_exponent(weight) + int(self.frac)).clamp(0, shifts)
            # p ones in a row at the end of the chain, off before them.
            place = torch.arange(shifts, device=weight.device).reshape(-1, *[1] * weight.dim())
            on = place >= shifts - p
            self.switches.copy_(torch.where(on, _ON_OFF_START, -_ON_OFF_START))

    def forward(self, x: Tensor) -> Tensor:
        """Return the powers of two."""
        with torch.no_grad():
            codes, scale = self.grid(x)
        p = torch.zeros_like(x)
        for switch in self.switches:
            p = (p + 1) * substitute(switch, (switch > 0).to(x.dtype))
        signs = estimated_sign(x, Estimator.STE, 0.0)
        surrogate = signs * torch.sqrt(p + 1) * scale.to(x.dtype)
        return substitute(surrogate, (codes * scale).to(x.dtype))

    def grid(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Return codes +-2**p and their scale."""
        p = torch.zeros_like(x.detach())
        for switch in self.switches.detach():
            p = (p + 1) * (switch > 0)
        codes = sign(x.detach()).double() * torch.exp2(p.double()).round()
        return codes, power_of_two(-self.frac, torch.float64)


def _scale(frac: int, x: Tensor) -> Tensor:
    return torch.tensor(math.ldexp(1.0, -frac), dtype=torch.float64, device=x.device)
