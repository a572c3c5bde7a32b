"""The fused forward and backward of the fixed-point quantizer.

Forward makes one buffer: x * scale is rounded, clipped and scaled back in place. Backward keeps
nothing but x and the value, which live anyway, and finds saturated numbers again by comparing x
with the largest and smallest number that still rounds into range. With q the value and [x] = x
in range, 0 where saturated:

    d q / d x  = 1 in range, 0 (or `saturation_gradient`) where saturated
    d q / d f~ = ln 2 * ([x] - q)            binary point f~; threshold: f~ = w - 1 - log2 t
    d q / d s  = (q - [x]) / s / sqrt(N Qp)  scale s, N numbers that share it, Qp the largest code

Source: Dai et al., QFX, arXiv 2401.17544; Jain et al., TQT, arXiv 1903.08066; Esser et al., LSQ,
arXiv 1902.08153. One identity holds them together: with s = 2**-f, d/ds = -1 / (ln 2 * s) d/df.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import torch
from torch import Tensor
from torch.autograd.function import FunctionCtx

from hwgen.nn.config import FixedPointConfig, Learning
from hwgen.nn.rounding import overflow_tensor, round_tensor
from hwgen.numeric import Overflow, Rounding, round_real


@dataclass(frozen=True)
class Cast:
    """What happens to x * 2**f, and which gradients go where.

    Parameters
    ----------
    config : the format
    axis : of the channels that have a binary point each; None when all share one
    single, double : `limits` of x * 2**f in either precision; at hand, for torch.compile cannot
        look into how they are found
    """

    config: FixedPointConfig
    axis: int | None
    single: tuple[float, float]
    double: tuple[float, float]

    @classmethod
    def of(cls, config: FixedPointConfig, axis: int | None) -> Cast:
        """Return the cast of a format."""
        return cls(config, axis, limits(config, double=False), limits(config, double=True))

    def codes_(self, scaled: Tensor, levels: Tensor | None) -> Tensor:
        """Return the codes of `scaled`, which is overwritten."""
        config = self.config
        lo, hi = config.code_range
        if config.rounding is Rounding.RND_CONV and config.overflow is not Overflow.WRAP:
            codes = scaled.round_().clamp_(lo, hi)
        else:
            rounded = round_tensor(scaled, config.rounding)
            codes = overflow_tensor(rounded, config.bit_width, config.signed, config.overflow)
        if levels is None:
            return codes
        return torch.sign(codes) * levels[codes.abs().to(torch.int64)].to(codes.dtype)


@lru_cache(maxsize=1024)
def limits(config: FixedPointConfig, double: bool, frac: int = 0) -> tuple[float, float]:
    """Return the floats (below, above) strictly between which x * 2**f does not saturate.

    They are exact for the given precision, whatever the rounding does with ties.

    Examples
    --------
    >>> limits(FixedPointConfig(bit_width=3), double=True)  # -4.5 is a tie and rounds to -4
    (-4.500000000000001, 3.5)
    """
    if config.overflow is Overflow.WRAP:
        return -math.inf, math.inf
    lo, hi = config.code_range
    above, mirrored = (
        _supremum(config, hi, 1, double, frac),
        -_supremum(config, lo, -1, double, frac),
    )
    return mirrored, above


def _supremum(config: FixedPointConfig, end: int, sign: int, double: bool, frac: int) -> float:
    """Return the smallest float beyond what rounds to `end` or less (mirrored for sign -1)."""

    def kept(distance: float) -> bool:
        rounded = float(round_real(np.array([end + sign * distance]), config.rounding)[0])
        return sign * (rounded - end) <= 0

    distance = 1.0 if kept(0.75) else 0.5 if kept(0.25) else 0.0
    limit = math.ldexp(sign * end + distance, -frac)
    kind = np.float64 if double else np.float32
    first = kind(limit)
    inclusive = kept(distance)
    if float(first) < limit or (inclusive and float(first) == limit):
        first = np.nextafter(first, kind(np.inf))
    return float(first)


class FixedPointFunction(torch.autograd.Function):
    """Quantize x; see the module docstring."""

    @staticmethod
    def forward(
        ctx: FunctionCtx,
        x: Tensor,
        learned: Tensor,
        scale: Tensor | int,
        cast: Cast,
        levels: Tensor | None,
    ) -> Tensor:
        """Return the value of x; `scale` is 2**f as a tensor, or f itself where it is known."""
        if isinstance(scale, int):
            forth, back = math.ldexp(1.0, scale), math.ldexp(1.0, -scale)
            value = cast.codes_(x * forth, levels).mul_(back)
            ctx.save_for_backward(x, value, learned)
        else:
            value = cast.codes_(x * scale, levels) / scale
            ctx.save_for_backward(x, value, learned, scale)
        ctx.cast, ctx.scale = cast, scale  # type: ignore[attr-defined]
        return value

    @staticmethod
    def backward(ctx: FunctionCtx, grad: Tensor) -> tuple[Tensor | None, ...]:
        """Return the gradients of x and of the learned number."""
        x, value, learned, *rest = ctx.saved_tensors  # type: ignore[attr-defined]
        cast: Cast = ctx.cast  # type: ignore[attr-defined]
        needs = ctx.needs_input_grad  # type: ignore[attr-defined]
        double = x.dtype is torch.float64
        if rest:
            position, bounds = x * rest[0], cast.double if double else cast.single
        else:
            position, bounds = x, limits(cast.config, double, ctx.scale)  # type: ignore[attr-defined]
        grad_x = grad_learned = None
        if needs[0]:
            grad_x = _where_in_range(grad, position, bounds)
            share = cast.config.saturation_gradient
            if share:
                grad_x += share * (grad - grad_x)
        if needs[1]:
            slope = _where_in_range(x, position, bounds).sub_(value).mul_(grad)
            scale = rest[0] if rest else 2.0**ctx.scale  # type: ignore[attr-defined]
            grad_learned = _learned_gradient(slope, learned, scale, cast)
        return grad_x, grad_learned, None, None, None


def _where_in_range(source: Tensor, position: Tensor, bounds: tuple[float, float]) -> Tensor:
    # One pass over memory: PyTorch's own kernel of a clipped gradient.
    kept: Tensor = torch.ops.aten.hardtanh_backward(source, position, *bounds)
    return kept


def _learned_gradient(slope: Tensor, learned: Tensor, scale: Tensor | float, cast: Cast) -> Tensor:
    config = cast.config
    if cast.axis is None:
        total = slope.sum()
    else:
        total = slope.sum([d for d in range(slope.dim()) if d != cast.axis % slope.dim()])
        scale = scale.flatten() if isinstance(scale, Tensor) else scale
    if config.learning is not Learning.SCALE:
        return (total * (math.log(2.0) * config.gradient_scale)).to(learned.dtype)
    sharing = slope.numel() / max(1, learned.numel())
    factor = config.gradient_scale / math.sqrt(sharing * config.code_range[1])
    return (total * scale * -factor).to(learned.dtype)


def power_of_two(exponent: Tensor, dtype: torch.dtype) -> Tensor:
    """Return 2**exponent exactly, from its bits: a compiled exp2 may be off by one."""
    if dtype is torch.float64:
        return ((exponent.to(torch.int64) + 1023) << 52).view(torch.float64)
    return ((exponent.to(torch.int32) + 127) << 23).view(torch.float32)
