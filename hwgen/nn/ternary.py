"""Ternary weights: -1, 0 or +1 times one scale, so that a product is an add, a subtract or nothing.

Source: Ma et al., BitNet b1.58, arXiv 2402.17764 (mean); Nielsen and Schneider-Kamp, BitNet b1.58
Reloaded, arXiv 2407.09527 (median).
"""

from __future__ import annotations

import torch
from torch import Tensor

from hwgen.nn.config import Scale
from hwgen.nn.quantizer import Quantizer
from hwgen.nn.scale import mean_magnitude, power_of_two_near, substitute
from hwgen.nn.weight_config import TernaryConfig, TernaryMeasure

_SMALLEST_MEASURE = 1e-5


class TernaryQuantizer(Quantizer):
    """Quantize to {-s, 0, +s}; the gradient passes straight through."""

    bit_width = 2

    def __init__(self, config: TernaryConfig) -> None:
        super().__init__()
        self.config = config
        self.free_scale = config.scale is Scale.FREE

    def forward(self, x: Tensor) -> Tensor:
        """Return `x` on three values."""
        codes, scale = self._parts(x.detach())
        return substitute(x, codes * scale)

    def grid(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Return codes -1, 0, +1 and their scale."""
        codes, scale = self._parts(x.detach())
        return codes.double(), scale.double()

    def extra_repr(self) -> str:
        """Return the kind for `repr`."""
        return f"{self.config.measure.value}, scale={self.config.scale.value}"

    def _parts(self, x: Tensor) -> tuple[Tensor, Tensor]:
        magnitude = x.abs()
        # torch.median takes the lower of the two middle values, as the published code does.
        median = self.config.measure is TernaryMeasure.MEDIAN
        size = (magnitude.median() if median else mean_magnitude(x)).clamp(min=_SMALLEST_MEASURE)
        codes = torch.round(x * (1 / size)).clamp_(-1, 1)
        return codes, size if self.free_scale else power_of_two_near(size)
