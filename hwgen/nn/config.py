"""What a quantizer is told: frozen settings, one class for each kind of number.

A layer takes these as `weight=`, `bias_format=`, `output=`; the quantizer built from one holds
whatever is learned. Weights without multipliers have theirs in `weight_config.py`. Next in the
flow: `quantizer.py`, `binary.py`, `khot.py`.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

from hwgen.errors import NumericError
from hwgen.nn.estimators import Estimator
from hwgen.numeric import Overflow, Rounding

MAX_BIT_WIDTH = 24  # float32 holds every integer up to 2**24, so every code is exact in training
MAX_FRAC = 60  # keeps every scale, and its product with a code, a normal float32
MAX_KHOT_BIT_WIDTH = 16  # the projection is a table of 2**(bit_width - 1) entries


class Learning(Enum):
    """What moves a binary point after calibration; the grid is a power of two in every case."""

    BINARY_POINT = "binary point"  # QFX: f = round(f~), f~ learned
    THRESHOLD = "threshold"  # TQT: f = w - 1 - ceil(log2 t), log2 t learned
    SCALE = "scale"  # LSQ: f = round(-log2 s), s learned with the factor 1 / sqrt(N * Qp)
    FIXED = "fixed"  # nothing: it stays where calibration, or `frac=`, put it


@dataclass(frozen=True)
class FixedPointConfig:
    """Fixed point of a given width whose binary point is learned (or given).

    Parameters
    ----------
    bit_width : total bits, the sign included; 2..24 signed, 1..24 unsigned
    signed : two's complement, or natural binary
    rounding, overflow : rounding comes first, then overflow
    frac : fractional bits, fixed; None calibrates them on the first training batches
    learning : what gradients move once calibrated; nothing when `frac` is given
    max_frac : the most fractional bits that calibration and learning may reach
    calibration_batches : training batches whose maximum sets the binary point
    gradient_scale : factor on the gradient of the binary point (LSQ's own comes on top)
    saturation_gradient : share of the gradient that saturated numbers pass, 0 none, 1 all
    per_channel : a binary point for each output channel; weights and layer constants only
    """

    bit_width: int = 8
    signed: bool = True
    rounding: Rounding = Rounding.RND_CONV
    overflow: Overflow = Overflow.SAT
    frac: int | None = None
    learning: Learning = Learning.BINARY_POINT
    max_frac: int = MAX_FRAC
    calibration_batches: int = 1
    gradient_scale: float = 1.0
    saturation_gradient: float = 0.0
    per_channel: bool = False

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
        if not 0 <= self.saturation_gradient <= 1:
            raise NumericError(
                f"FixedPointConfig: saturation_gradient is {self.saturation_gradient}, expected "
                "0 (saturated numbers stop) to 1 (they learn like all others)"
            )
        for name, bits in (("frac", self.frac or 0), ("max_frac", self.max_frac)):
            if abs(bits) > MAX_FRAC:
                raise NumericError(
                    f"FixedPointConfig: {name} is {bits}, expected -{MAX_FRAC}..{MAX_FRAC}"
                )

    @property
    def code_range(self) -> tuple[int, int]:
        """The smallest and the largest code."""
        hi = (1 << (self.bit_width - 1)) - 1 if self.signed else (1 << self.bit_width) - 1
        narrow = self.overflow is Overflow.SAT_SYM
        return (0 if not self.signed else -hi if narrow else -hi - 1), hi


@dataclass(frozen=True)
class LearnedOutputConfig:
    """Fixed-point activations whose width is learned against the price of `LutPrice`.

    One width for the tensor: a stream carries codes of one width, and the file says one.

    Parameters
    ----------
    bit_width : with the sign; where training starts, and the most that it may use
    signed, rounding, calibration_batches : as in `FixedPointConfig`; codes saturate
    gradient_scale : factor on the gradients of the width
    """

    bit_width: int = 8
    signed: bool = True
    rounding: Rounding = Rounding.RND_CONV
    calibration_batches: int = 1
    gradient_scale: float = 1.0

    def __post_init__(self) -> None:
        if not self.signed and self.bit_width < 2:
            raise NumericError(
                f"LearnedOutputConfig: bit_width is {self.bit_width}, expected 2..{MAX_BIT_WIDTH}: "
                "one bit leaves nothing to learn"
            )
        self.fixed_point()  # the rest is checked there

    def fixed_point(self) -> FixedPointConfig:
        """Return the widest format."""
        return FixedPointConfig(
            bit_width=self.bit_width,
            signed=self.signed,
            rounding=self.rounding,
            calibration_batches=self.calibration_batches,
            gradient_scale=self.gradient_scale,
        )


class Scale(Enum):
    """The factor beside binary or ternary codes."""

    ONE = "one"
    POWER_OF_TWO = "power of two"  # a shift: exact everywhere
    FREE = "free"  # any real number: integer sums, then one rounded float32 multiplication


@dataclass(frozen=True)
class BinaryConfig:
    """{-1, +1} by the sign, sign(0) = +1, with a choice of gradient and scale.

    Parameters
    ----------
    estimator : what the gradient does at the sign, see `estimators.py`
    scale : factor on the signs of weights, measured as the mean magnitude; ONE for activations
    per_channel : a scale for each output channel, or one for the tensor
    centred : weights less their mean, over their deviation, per output channel, come before the
        sign (IR-Net); the scale is measured on them too
    learn_scale : gradients flow through the measured scale (ReSTE), or it is a constant
    """

    estimator: Estimator = Estimator.CLIPPED_STE
    scale: Scale = Scale.ONE
    per_channel: bool = True
    centred: bool = False
    learn_scale: bool = False


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
    rounding, frac, learning, calibration_batches, gradient_scale, per_channel : as in
        `FixedPointConfig`
    """

    bit_width: int = 8
    k: int = 2
    variant: KHotVariant = KHotVariant.SIGNED_DIGIT
    rounding: Rounding = Rounding.RND_CONV
    frac: int | None = None
    learning: Learning = Learning.BINARY_POINT
    calibration_batches: int = 1
    gradient_scale: float = 1.0
    per_channel: bool = False

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
            learning=self.learning,
            calibration_batches=self.calibration_batches,
            gradient_scale=self.gradient_scale,
            per_channel=self.per_channel,
        )


NumberConfig = FixedPointConfig | KHotConfig  # of a layer's constants: scales, biases, slopes
OutputConfig = FixedPointConfig | LearnedOutputConfig | BinaryConfig
