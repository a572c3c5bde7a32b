"""Fixed point with a learned binary point: the quantizer under weights, biases and activations.

A word has w bits in all, f of them fractional. Forward: code = overflow(round(x * 2**f)),
value = code * 2**-f, with f = round(f~). f~ is a real parameter; its gradient, and that of x, go
straight through both roundings:

    d value / d x  = 1 in range, 0 where saturated
    d value / d f~ = ln 2 * (x - value) in range, -ln 2 * value where saturated

Source: Dai et al., QFX, arXiv 2401.17544 (idea); the gradients are those of Jain et al., TQT,
arXiv 1903.08066, written for f instead of the threshold.
"""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn
from torch.autograd.function import FunctionCtx, once_differentiable

from hwgen.errors import NumericError
from hwgen.nn.config import MAX_FRAC, FixedPointConfig
from hwgen.nn.rounding import overflow_tensor, round_tensor
from hwgen.numeric import FixedPoint, Overflow


class FixedPointQuantizer(nn.Module):
    """Quantize to fixed point; learn where the binary point stands.

    The first `config.calibration_batches` forward passes in training mode set the binary point
    from the largest magnitude seen; after them it moves by gradient alone.

    Attributes
    ----------
    frac : parameter f~, the real number whose rounding is the number of fractional bits
    max_abs, observed : largest magnitude of the calibration batches, and how many there were
    observing : set by `calibrate`, to widen the range in eval mode too
    """

    frac: nn.Parameter
    max_abs: Tensor
    observed: Tensor

    def __init__(self, config: FixedPointConfig) -> None:
        super().__init__()
        self.config = config
        self.observing = False
        initial = 0.0 if config.frac is None else float(config.frac)
        learned = config.learn_frac and config.frac is None
        self.frac = nn.Parameter(torch.tensor(initial), requires_grad=learned)
        done = 0 if config.frac is None else config.calibration_batches
        self.register_buffer("max_abs", torch.tensor(0.0))
        self.register_buffer("observed", torch.tensor(done))

    @property
    def calibrated(self) -> bool:
        """Whether the binary point was given or has seen a batch."""
        return int(self.observed) > 0

    @property
    def frac_bits(self) -> int:
        """The number of fractional bits in force."""
        learned = float(self.frac.detach())
        if not math.isfinite(learned):
            raise NumericError(f"the learned binary point is {learned}; lower the learning rate")
        finest = self.config.max_frac if self.config.frac is None else MAX_FRAC
        return max(-MAX_FRAC, min(finest, round(learned)))

    @property
    def fixed_point(self) -> FixedPoint:
        """The number format in force."""
        return FixedPoint(self.config.signed, self.config.bit_width, self.frac_bits)

    def forward(self, x: Tensor) -> Tensor:
        """Return `x` on the fixed-point grid, with straight-through gradients."""
        still_open = int(self.observed) < self.config.calibration_batches
        if self.observing or (self.training and still_open):
            self.observe(x)
        if not self.calibrated:
            raise NumericError(
                "a quantizer is not calibrated, its binary point is unknown; run a training batch "
                "through the model, or hwgen.nn.calibrate(model, batches), or give frac="
            )
        scale = math.ldexp(1.0, self.frac_bits)
        codes, saturated = self.cast(x.detach() * scale)
        value: Tensor = _StraightThrough.apply(  # type: ignore[no-untyped-call]
            x, self.frac, codes / scale, saturated, self.config.gradient_scale
        )
        return value

    def observe(self, x: Tensor) -> None:
        """Widen the calibrated range to `x` and set the binary point from it."""
        with torch.no_grad():
            magnitude = x.abs() if self.config.signed else x.clamp(min=0)
            if magnitude.numel():
                self.max_abs.copy_(torch.maximum(self.max_abs, magnitude.max()))
            self.frac.fill_(calibrated_frac(self.config, float(self.max_abs)))
            self.observed += 1

    def reset_calibration(self) -> None:
        """Forget what was observed; a binary point given as `config.frac` comes back."""
        with torch.no_grad():
            fixed = self.config.frac
            self.max_abs.zero_()
            self.observed.fill_(0 if fixed is None else self.config.calibration_batches)
            self.frac.fill_(0.0 if fixed is None else float(fixed))

    def cast(self, scaled: Tensor) -> tuple[Tensor, Tensor]:
        """Return the codes of `scaled` = x * 2**f and where they saturated."""
        config = self.config
        rounded = round_tensor(scaled, config.rounding)
        codes = overflow_tensor(rounded, config.bit_width, config.signed, config.overflow)
        if config.overflow is Overflow.WRAP:
            return codes, torch.zeros_like(codes, dtype=torch.bool)
        return codes, codes != rounded

    def codes(self, x: Tensor) -> npt.NDArray[np.int64]:
        """Return the integer codes of `x`."""
        codes, _ = self.cast(x.detach().double() * math.ldexp(1.0, self.frac_bits))
        return codes.to(torch.int64).cpu().numpy()

    def extra_repr(self) -> str:
        """Return the format for `repr`."""
        kind = "signed" if self.config.signed else "unsigned"
        frac = self.frac_bits if self.calibrated else "not calibrated"
        return f"bit_width={self.config.bit_width}, {kind}, frac={frac}"


class _StraightThrough(torch.autograd.Function):
    """Hand back the quantized value; send the gradients of the module docstring to x and f~."""

    @staticmethod
    def forward(
        ctx: FunctionCtx,
        x: Tensor,
        frac: Tensor,
        value: Tensor,
        saturated: Tensor,
        gradient_scale: float,
    ) -> Tensor:
        # In range x - value, saturated 0 - value: one expression for both gradients of f~.
        frac_slope = x.masked_fill(saturated, 0.0) - value
        ctx.save_for_backward(frac_slope, saturated, frac)
        ctx.gradient_scale = gradient_scale  # type: ignore[attr-defined]
        return value

    @staticmethod
    @once_differentiable
    def backward(ctx: FunctionCtx, grad: Tensor) -> tuple[Tensor | None, ...]:
        frac_slope, saturated, frac = ctx.saved_tensors  # type: ignore[attr-defined]
        factor = math.log(2.0) * ctx.gradient_scale  # type: ignore[attr-defined]
        grad_frac = (grad * frac_slope).sum() * factor
        return grad.masked_fill(saturated, 0.0), grad_frac.to(frac.dtype), None, None, None


def calibrated_frac(config: FixedPointConfig, max_abs: float) -> int:
    """Return the fractional bits that just hold magnitudes up to `max_abs`.

    f = w - 1 - ceil(log2 max|x|), one more when unsigned. Nothing but zeros counts as 1.

    Examples
    --------
    >>> calibrated_frac(FixedPointConfig(bit_width=6), 0.4)
    6
    """
    if not math.isfinite(max_abs):
        raise NumericError("calibration saw NaN or infinity; look for it in the batch or weights")
    # frexp instead of log2: exact. mantissa is in [0.5, 1), and 0.5 marks a power of two.
    mantissa, exponent = math.frexp(max_abs or 1.0)
    ceil_log2 = exponent - 1 if mantissa == 0.5 else exponent
    return min(config.max_frac, config.bit_width - (1 if config.signed else 0) - ceil_log2)
