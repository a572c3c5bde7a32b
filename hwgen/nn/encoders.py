"""Input encoders: what a camera's integers become before the first layer.

Source: Zhang et al., FracBNN, arXiv 2012.12206 (thermometer of 32 planes).
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from hwgen.errors import NumericError
from hwgen.nn.activations import Identity
from hwgen.nn.config import FixedPointConfig


class Pixels(Identity):
    """Integer pixels 0 .. 2**bit_width - 1, as they are."""

    def __init__(self, bit_width: int = 8) -> None:
        super().__init__(output=FixedPointConfig(bit_width, signed=False, frac=0))


def thermometer_levels(resolution: int, bit_width: int = 8) -> list[int]:
    """Return n(p) for each pixel p: how many planes are +1.

    n(p) = p / resolution, ties to even, from integers: p / 255 * 255 in float32 may flip a tie.

    Examples
    --------
    >>> thermometer_levels(8)[3:6], thermometer_levels(8)[12]  # ties: 4 goes down, 12 up
    ([0, 0, 1], 2)
    """
    return [_half_even(pixel, resolution) for pixel in range(1 << bit_width)]


def _half_even(numerator: int, denominator: int) -> int:
    quotient, rest = divmod(numerator, denominator)
    up = 2 * rest > denominator or (2 * rest == denominator and quotient % 2 == 1)
    return quotient + up


class Thermometer(nn.Module):
    """Integer pixels to planes of -1 and +1: plane i is +1 where i < n(pixel).

    Channel c becomes channels c * planes .. (c + 1) * planes - 1.

    Parameters
    ----------
    channels : of the image
    resolution : grey levels a plane
    bit_width : of a pixel; numbers beyond saturate
    """

    thresholds: Tensor

    def __init__(self, channels: int, resolution: int = 8, bit_width: int = 8) -> None:
        super().__init__()
        if not 1 <= resolution < 1 << bit_width:
            raise NumericError(
                f"Thermometer: resolution is {resolution}, expected 1..{(1 << bit_width) - 1}"
            )
        self.channels = channels
        self.pixels = Pixels(bit_width)
        levels = thermometer_levels(resolution, bit_width)
        self.planes = _half_even((1 << bit_width) - 1, resolution)
        # A tie of the last pixel may leave the top plane out of reach: it is then always -1.
        beyond = 1 << bit_width
        first = [
            next((p for p, n in enumerate(levels) if n > i), beyond) for i in range(self.planes)
        ]
        self.register_buffer("thresholds", torch.tensor(first), persistent=False)

    def forward(self, input: Tensor) -> Tensor:
        """Return (N, channels * planes, ...) for (N, channels, ...)."""
        if input.dim() < 3 or input.shape[1] != self.channels:
            raise NumericError(
                f"Thermometer: input is {list(input.shape)}, expected (N, {self.channels}, ...)"
            )
        pixels = self.pixels(input).unsqueeze(2)
        thresholds = self.thresholds.reshape(-1, *[1] * (input.dim() - 2))
        return torch.where(pixels >= thresholds, 1.0, -1.0).to(input.dtype).flatten(1, 2)

    def extra_repr(self) -> str:
        """Return the shape for `repr`."""
        return f"{self.channels} channels, {self.planes} planes each"
