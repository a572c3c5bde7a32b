"""What a quantizer is told: frozen settings, one class for each kind of number.

A layer takes these as `weight=`, `bias_format=`, `output=`; the quantizer built from one holds
whatever is learned. Next in the flow: `quantizer.py`, `binary.py`, `khot.py`.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

from hwgen.errors import NumericError
from hwgen.numeric import Overflow, Rounding

MAX_BIT_WIDTH = 24  # float32 holds every integer up to 2**24, so every code is exact in training
MAX_FRAC = 60  # keeps every scale, and its product with a code, a normal float32
MAX_KHOT_BIT_WIDTH = 16  # the projection is a table of 2**(bit_width - 1) entries


@dataclass(frozen=True)
class FixedPointConfig:
    """Fixed point of a given width whose binary point is learned (or given).

    Parameters
    ----------
    bit_width : total bits, the sign included; 2..24 signed, 1..24 unsigned
    signed : two's complement, or natural binary
    rounding, overflow : rounding comes first, then overflow
    frac : fractional bits, fixed; None calibrates them on the first training batches
    learn_frac : whether gradients move a calibrated binary point
    max_frac : the most fractional bits that calibration and learning may reach
    calibration_batches : training batches whose maximum sets the binary point
    gradient_scale : factor on the gradient of the binary point
    """

    bit_width: int = 8
    signed: bool = True
    rounding: Rounding = Rounding.RND_CONV
    overflow: Overflow = Overflow.SAT
    frac: int | None = None
    learn_frac: bool = True
    max_frac: int = MAX_FRAC
    calibration_batches: int = 1
    gradient_scale: float = 1.0

    def __post_init__(self) -> None:
        smallest = 2 if self.signed else 1
        if not smallest <= self.bit_width <= MAX_BIT_WIDTH:
            hint = "; use BinaryConfig for one bit" if self.bit_width == 1 else ""
            raise NumericError(
                f"FixedPointConfig: bit_width is {self.bit_width}, "
                f"expected {smallest}..{MAX_BIT_WIDTH}{hint}"
            )
        if self.calibration_batches < 1:
            raise NumericError(
                f"FixedPointConfig: calibration_batches is {self.calibration_batches}, expected "
                ">= 1; give frac= to go without calibration"
            )
        for name, bits in (("frac", self.frac or 0), ("max_frac", self.max_frac)):
            if abs(bits) > MAX_FRAC:
                raise NumericError(
                    f"FixedPointConfig: {name} is {bits}, expected -{MAX_FRAC}..{MAX_FRAC}"
                )


@dataclass(frozen=True)
class BinaryConfig:
    """{-1, +1} by the sign, sign(0) = +1; the gradient passes where |x| <= 1."""


class KHotVariant(Enum):
    """How a magnitude loses bits until at most K remain."""

    TRUNCATING = "truncating"  # keep the K most significant ones
    NEAREST = "nearest"  # nearest magnitude with at most K ones
    SIGNED_DIGIT = "signed_digit"  # nearest sum of at most K terms +-2**p
    GREEDY = "greedy"  # K times the power of two nearest, in the logarithm, to what is left


@dataclass(frozen=True)
class KHotConfig:
    """Weights that are sums of at most K powers of two, so a product is K shifted additions.

    Parameters
    ----------
    bit_width : total bits of the stored integer, the sign included, 2..16; codes are symmetric
    k : terms a weight may have, at least 1
    variant : how a code is brought to K terms
    frac, learn_frac, calibration_batches, gradient_scale, rounding : as in `FixedPointConfig`
    """

    bit_width: int = 8
    k: int = 2
    variant: KHotVariant = KHotVariant.SIGNED_DIGIT
    rounding: Rounding = Rounding.RND_CONV
    frac: int | None = None
    learn_frac: bool = True
    calibration_batches: int = 1
    gradient_scale: float = 1.0

    def __post_init__(self) -> None:
        if not 2 <= self.bit_width <= MAX_KHOT_BIT_WIDTH:
            raise NumericError(
                f"KHotConfig: bit_width is {self.bit_width}, expected 2..{MAX_KHOT_BIT_WIDTH}"
            )
        if self.k < 1:
            raise NumericError(f"KHotConfig: k is {self.k}, expected at least 1")
        self.fixed_point()  # the rest is checked there

    def fixed_point(self) -> FixedPointConfig:
        """Return the fixed-point format the K-hot codes live in: symmetric, signed."""
        return FixedPointConfig(
            bit_width=self.bit_width,
            signed=True,
            rounding=self.rounding,
            overflow=Overflow.SAT_SYM,
            frac=self.frac,
            learn_frac=self.learn_frac,
            calibration_batches=self.calibration_batches,
            gradient_scale=self.gradient_scale,
        )


WeightConfig = FixedPointConfig | BinaryConfig | KHotConfig
