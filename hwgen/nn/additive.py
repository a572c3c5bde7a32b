"""Additive powers of two (APoT): levels that are sums of one to three powers of two.

Weights are normalized to mean 0 and deviation 1, clipped at a learned alpha, and take the nearest
level; ties go to the smaller one. The level set divided by its largest member is APoT's; here the
levels stay integers and alpha / largest is the scale, free or the nearest power of two.

Source: Li et al., APoT, ICLR 2020, arXiv 1909.13144; level sets as in the authors' code.
"""

from __future__ import annotations

import itertools

import torch
from torch import Tensor, nn
from torch.autograd.function import FunctionCtx

from hwgen.nn.config import Scale
from hwgen.nn.quantizer import Quantizer
from hwgen.nn.scale import normalized, power_of_two_near
from hwgen.nn.weight_config import AdditiveConfig

# Exponents of the terms, for each number of magnitude bits; each term may be absent as well.
_TERMS: dict[int, tuple[tuple[int, ...], ...]] = {
    1: ((0,),),
    2: ((-1, -2, -3),),
    3: ((-1, -2, -4), (-3,)),
    4: ((-1, -3, -5), (-2, -4, -6)),
    5: ((-1, -3, -6), (-2, -4, -7), (-5,)),
    6: ((-1, -4, -7), (-2, -5, -8), (-3, -6, -9)),
}


def additive_levels(bit_width: int) -> list[int]:
    """Return the magnitudes of `bit_width`-bit weights as integers, smallest first.

    Examples
    --------
    >>> additive_levels(4)  # over 10: 0, .1, .2, .3, .4, .6, .8, 1
    [0, 1, 2, 3, 4, 6, 8, 10]
    """
    terms = _TERMS[bit_width - 1]
    finest = -min(min(exponents) for exponents in terms)
    choices = [[0, *(1 << (finest + e) for e in exponents)] for exponents in terms]
    return sorted({sum(chosen) for chosen in itertools.product(*choices)})


class AdditiveQuantizer(Quantizer):
    """APoT weights; `alpha` is the learned clip."""

    levels: Tensor

    def __init__(self, config: AdditiveConfig) -> None:
        super().__init__()
        self.config = config
        levels = additive_levels(config.bit_width)
        self.largest = levels[-1]
        self.bit_width = self.largest.bit_length() + 1
        self.free_scale = config.scale is Scale.FREE
        self.alpha = nn.Parameter(torch.tensor(config.alpha))
        self.register_buffer("levels", torch.tensor(levels), persistent=False)

    def forward(self, x: Tensor) -> Tensor:
        """Return `x` on the additive levels."""
        normal = normalized(x)
        scale = self._scale()
        value: Tensor = _Clipped.apply(  # type: ignore[no-untyped-call]
            normal, self.alpha, self._codes(normal, scale), scale, self.largest
        )
        return value

    def grid(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Return integer levels with their signs, and the scale."""
        with torch.no_grad():
            scale = self._scale()
            return self._codes(normalized(x), scale).double(), scale.double()

    def extra_repr(self) -> str:
        """Return the format for `repr`."""
        return f"bit_width={self.config.bit_width}, scale={self.config.scale.value}"

    def _scale(self) -> Tensor:
        # By a tensor: a GPU multiplies by the reciprocal of a number, which rounds twice.
        scale = self.alpha.detach() / self.levels[-1]
        if self.free_scale:
            return scale
        return power_of_two_near(scale)

    def _codes(self, normal: Tensor, scale: Tensor) -> Tensor:
        levels = self.levels.to(normal.dtype)
        between = (levels[1:] + levels[:-1]) / 2
        found = torch.bucketize(normal.detach().abs() / scale, between)
        return torch.sign(normal.detach()) * levels[found]


class _Clipped(torch.autograd.Function):
    """d q / dx = 1 within the clip, else 0; d q / d alpha = (q - x) / alpha within, sign beyond."""

    @staticmethod
    def forward(
        ctx: FunctionCtx, x: Tensor, alpha: Tensor, codes: Tensor, scale: Tensor, largest: int
    ) -> Tensor:
        value = codes * scale
        ctx.save_for_backward(x, value, scale * largest)
        return value

    @staticmethod
    def backward(ctx: FunctionCtx, grad: Tensor) -> tuple[Tensor | None, ...]:
        x, value, clip = ctx.saved_tensors  # type: ignore[attr-defined]
        inside = x.abs() <= clip
        slope = torch.where(inside, (value - x) / clip, torch.sign(x))
        return grad * inside, (grad * slope).sum(), None, None, None
