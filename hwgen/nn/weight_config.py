"""Settings of weights that need no multiplier, beside the K-hot ones of `config.py`.

| weights | integer codes | where |
|---|---|---|
| PowerOfTwoConfig | +-2**p: DeepShift-Q, rounded from a float weight | `power_of_two.py` |
| ShiftConfig | 0, +-2**p: DeepShift-PS, sign and shift are what is trained | `power_of_two.py` |
| DenseShiftConfig | +-2**p, p from a chain of on-off parameters, never 0 | `power_of_two.py` |
| AdditiveConfig | 0, sums of two or three powers of two: APoT | `additive.py` |
| TernaryConfig | -1, 0, +1: BitNet b1.58 | `ternary.py` |
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

from hwgen.errors import NumericError
from hwgen.nn.config import BinaryConfig, FixedPointConfig, KHotConfig, Scale


@dataclass(frozen=True)
class PowerOfTwoConfig:
    """Weights sign(w) * 2**round(log2 |w|); shifts -(2**(bit_width-1) - 1)..0, sign(0) = +1."""

    bit_width: int = 4

    def __post_init__(self) -> None:
        _require_width(self, 2, 5)

    @property
    def shifts(self) -> int:
        """The largest right shift, which is also the number of fractional bits."""
        return (1 << (self.bit_width - 1)) - 1


@dataclass(frozen=True)
class ShiftConfig:
    """Weights sign * 2**shift of two trained tensors; shifts -(2**(bit_width-1) - 2)..0.

    The sign is 0 where its parameter lies within +-0.5.
    """

    bit_width: int = 4

    def __post_init__(self) -> None:
        _require_width(self, 2, 5)

    @property
    def shifts(self) -> int:
        """The largest right shift, which is also the number of fractional bits."""
        return (1 << (self.bit_width - 1)) - 2


@dataclass(frozen=True)
class DenseShiftConfig:
    """Weights sign(a) * 2**p, p in 0..2**(bit_width-1) - 1, never zero.

    `frac` fractional bits scale the tensor; None takes them from the initial weights.
    """

    bit_width: int = 3
    frac: int | None = None

    def __post_init__(self) -> None:
        _require_width(self, 2, 5)

    @property
    def shifts(self) -> int:
        """The largest left shift, and the number of on-off parameters of a weight."""
        return (1 << (self.bit_width - 1)) - 1


@dataclass(frozen=True)
class AdditiveConfig:
    """Additive powers of two; weights are normalized, the clip alpha is learned.

    A BatchNorm should follow: the standard deviation is divided out and not put back.
    """

    bit_width: int = 4
    scale: Scale = Scale.POWER_OF_TWO
    alpha: float = 3.0

    def __post_init__(self) -> None:
        _require_width(self, 2, 7)
        _require_scale(self)


class TernaryMeasure(Enum):
    """The size that a weight is compared with: below half of it, it becomes 0."""

    MEAN = "mean"
    MEDIAN = "median"  # for an even count the lower of the two in the middle


@dataclass(frozen=True)
class TernaryConfig:
    """Weights clamp(round(w / s), -1, 1) * s, with s the mean or median magnitude of the tensor.

    The threshold uses s as measured; a POWER_OF_TWO scale rounds only the factor of the result.
    """

    measure: TernaryMeasure = TernaryMeasure.MEDIAN
    scale: Scale = Scale.POWER_OF_TWO

    def __post_init__(self) -> None:
        _require_scale(self)


ShiftWeightConfig = PowerOfTwoConfig | ShiftConfig | DenseShiftConfig
WeightConfig = (
    FixedPointConfig
    | BinaryConfig
    | KHotConfig
    | ShiftWeightConfig
    | AdditiveConfig
    | TernaryConfig
)


def _require_width(config: ShiftWeightConfig | AdditiveConfig, least: int, most: int) -> None:
    if not least <= config.bit_width <= most:
        raise NumericError(
            f"{type(config).__name__}: bit_width is {config.bit_width}, expected {least}..{most}"
        )


def _require_scale(config: AdditiveConfig | TernaryConfig) -> None:
    if config.scale is Scale.ONE:
        raise NumericError(
            f"{type(config).__name__}: scale is ONE, expected POWER_OF_TWO or FREE: the codes "
            "follow from the scale"
        )
