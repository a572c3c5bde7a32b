"""Activations that learn how many bits they need, at both ends of the word.

A tensor has f fractional bits, f = round(f~), and i integer bits, i = round(i~): m = i + f
magnitude bits, and a sign if signed. Numbers up to 2**i are rounded to 2**-f, larger ones saturate:

    d q / d x  = 1 in range,            0 where saturated
    d q / d f~ = ln 2 * (x - q)         in range:  bits are missing below the point
    d q / d i~ = ln 2 * q               saturated: bits are missing above it

`price.LutPrice`, added to the loss, asks for the bits of both ends back. At least one magnitude bit
stays, for nothing passes a tensor without. There is one width for the tensor: a stream carries
codes of one width, so a channel that needs fewer would leave its bits unused.

Source: Sun et al., HGQ, arXiv 2405.00645 (fractional bits); Jain et al., TQT, arXiv 1903.08066
(a learned range).
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch.autograd.function import FunctionCtx

from hwgen.errors import NumericError
from hwgen.nn.config import MAX_FRAC, LearnedOutputConfig
from hwgen.nn.fixed_point_function import power_of_two
from hwgen.nn.quantizer import FixedPointQuantizer
from hwgen.nn.rounding import round_tensor
from hwgen.numeric import Rounding


class LearnedOutputQuantizer(FixedPointQuantizer):
    """Fixed point whose width is learned, for activations.

    Calibration puts both ends of a word of `config.bit_width` bits; from there on they move by
    gradient alone.

    Attributes
    ----------
    frac, integer : parameters f~ and i~
    """

    frac: Tensor
    integer: Tensor

    def __init__(self, config: LearnedOutputConfig) -> None:
        super().__init__(config.fixed_point())
        self.register_parameter("integer", nn.Parameter(torch.tensor(float(self._most))))

    @property
    def bit_width(self) -> int:  # type: ignore[override]  # learned, so it cannot be assigned
        """Bits of the codes in force."""
        return self._whole(self._word()[0]) + self.signed

    @property
    def frac_bits(self) -> int:
        """The number of fractional bits in force."""
        return self._whole(self._word()[1])

    @property
    def bits(self) -> Tensor:
        """Bits as a real number with a gradient: magnitude, and a sign if signed."""
        magnitude = (self.frac + self.integer).clamp(min=1)
        # Beyond the limit bits cost no more, but the price still pulls.
        return magnitude - (magnitude.detach() - self._most).clamp(min=0) + self.signed

    def forward(self, x: Tensor) -> Tensor:
        """Return `x` on the grid in force."""
        if self.observing or (self.training and self._seen < self.config.calibration_batches):
            self._calibrate_on(x)
        self._require_calibration()
        if x.dtype not in (torch.float32, torch.float64):
            x = x.float()  # under autocast: half precision cannot hold the codes
        if self.training:
            with torch.no_grad():
                # Out of reach f~ would take long to come back.
                magnitude = self.frac + self.integer
                self.frac.add_(magnitude.clamp(1, self._most) - magnitude)
        magnitude, frac = self._word()
        value: Tensor = _Rounded.apply(  # type: ignore[no-untyped-call]
            x,
            self.frac,
            self.integer,
            power_of_two(frac, x.dtype),
            self._ends(magnitude, x.dtype),
            self.config.rounding,
            self.config.gradient_scale,
        )
        return value

    def grid(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Return integer codes, in double precision, and their power-of-two scale."""
        self._require_calibration()
        magnitude, frac = self._word()
        scale = power_of_two(frac, torch.float64)
        rounded = round_tensor(x.detach().double() * scale, self.config.rounding)
        low, high = self._ends(magnitude, torch.float64)
        return torch.clamp(rounded, low, high), 1 / scale

    @property
    def _most(self) -> int:
        """Magnitude bits of the widest word."""
        return self.config.bit_width - self.signed

    def _place(self, fracs: Tensor) -> None:
        """Put the point where calibration wants it, in the widest word."""
        super()._place(fracs)
        with torch.no_grad():
            self.integer.copy_(self._most - self.frac)

    def _word(self) -> tuple[Tensor, Tensor]:
        """Return magnitude bits and fractional bits in force."""
        integer = torch.round(self.integer.detach()).clamp(-MAX_FRAC, MAX_FRAC)
        magnitude = (torch.round(self.frac.detach()) + integer).clamp(1, self._most)
        return magnitude, (magnitude - integer).clamp(-MAX_FRAC, MAX_FRAC)

    @staticmethod
    def _whole(bits: Tensor) -> int:
        if not math.isfinite(bits):
            raise NumericError(f"the learned width is {float(bits)}; lower the learning rate")
        return int(bits)

    def _ends(self, magnitude: Tensor, dtype: torch.dtype) -> tuple[Tensor, Tensor]:
        """Return the smallest and the largest code."""
        beyond = power_of_two(magnitude, dtype)
        return -beyond if self.signed else torch.zeros_like(beyond), beyond - 1


class _Rounded(torch.autograd.Function):
    """See the module docstring."""

    @staticmethod
    def forward(
        ctx: FunctionCtx,
        x: Tensor,
        frac: Tensor,
        integer: Tensor,
        scale: Tensor,
        ends: tuple[Tensor, Tensor],
        rounding: Rounding,
        gradient_scale: float,
    ) -> Tensor:
        rounded = round_tensor(x * scale, rounding)
        codes = torch.clamp(rounded, *ends)
        inside = codes == rounded
        value = codes.div_(scale)
        ctx.save_for_backward(x, value, inside)
        ctx.factor = math.log(2.0) * gradient_scale  # type: ignore[attr-defined]
        return value

    @staticmethod
    def backward(ctx: FunctionCtx, grad: Tensor) -> tuple[Tensor | None, ...]:
        x, value, inside = ctx.saved_tensors  # type: ignore[attr-defined]
        factor: float = ctx.factor  # type: ignore[attr-defined]
        passed = grad * inside
        below = torch.where(inside, x, value).sub_(value).mul_(grad).sum() * factor
        above = (grad - passed).mul_(value).sum() * factor
        return passed, below.float(), above.float(), None, None, None, None
