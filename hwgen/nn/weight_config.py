"""Settings of weights beside the ones of `config.py`: without multipliers, or of learned width.

| weights | integer codes | where |
|---|---|---|
| PowerOfTwoConfig | +-2**p: DeepShift-Q, rounded from a float weight | `power_of_two.py` |
| ShiftConfig | 0, +-2**p: DeepShift-PS, sign and shift are what is trained | `power_of_two.py` |
| DenseShiftConfig | +-2**p, p from a chain of on-off parameters, never 0 | `power_of_two.py` |
| AdditiveConfig | 0, sums of two or three powers of two: APoT | `additive.py` |
| TernaryConfig | -1, 0, +1: BitNet b1.58 | `ternary.py` |
| LearnedWidthConfig | integers of as many bits as pay for themselves: HGQ | `learned_width.py` |
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from typing import ClassVar

from hwgen.errors import NumericError
from hwgen.nn.config import (
    MAX_BIT_WIDTH,
    BinaryConfig,
    FixedPointConfig,
    KHotConfig,
    Scale,
)


@dataclass(frozen=True)
class _Shifts:
    """Weights of one power of two each: a sign, and a shift in the other bits."""

    unused: ClassVar[int] = 1  # codes of the shift that stand for no further power of two

    bit_width: int = 4

    def __post_init__(self) -> None:
        _require_width(self, 2, 5)

    @property
    def shifts(self) -> int:
        """The largest shift."""
        return (1 << (self.bit_width - 1)) - self.unused


@dataclass(frozen=True)
class PowerOfTwoConfig(_Shifts):
    """Weights sign(w) * 2**round(log2 |w|); right shifts 0..2**(bit_width-1) - 1, sign(0) = +1.

    The largest shift is also the number of fractional bits.
    """


@dataclass(frozen=True)
class ShiftConfig(_Shifts):
    """Weights sign * 2**shift of two trained tensors; right shifts 0..2**(bit_width-1) - 2.

    The sign is 0 where its parameter lies within +-0.5. The largest shift is also the number of
    fractional bits.
    """

    unused: ClassVar[int] = 2  # the second one says that the weight is zero


@dataclass(frozen=True)
class DenseShiftConfig(_Shifts):
    """Weights sign(a) * 2**p, p in 0..2**(bit_width-1) - 1, never zero.

    There are as many on-off parameters of a weight as there are shifts. `frac` fractional bits
    scale the tensor; None takes them from the initial weights.
    """

    bit_width: int = 3
    frac: int | None = None


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


class Group(Enum):
    """Which weights share a width."""

    TENSOR = "tensor"
    OUTPUT_CHANNEL = "output channel"  # a row: what reaches no bits is a constant
    INPUT_CHANNEL = "input channel"  # a column: what reaches no bits is not read
    WEIGHT = "weight"


@dataclass(frozen=True)
class LearnedWidthConfig:
    """Fixed-point weights whose width is learned against the price of `LutPrice`.

    Parameters
    ----------
    bit_width : with the sign; where training starts, and the most that it may use
    group : which weights share a width
    gradient_scale : factor on the gradient of the width
    """

    bit_width: int = 8
    group: Group = Group.OUTPUT_CHANNEL
    gradient_scale: float = 1.0

    def __post_init__(self) -> None:
        _require_width(self, 2, MAX_BIT_WIDTH)


ShiftWeightConfig = PowerOfTwoConfig | ShiftConfig | DenseShiftConfig
WeightConfig = (
    FixedPointConfig
    | BinaryConfig
    | KHotConfig
    | ShiftWeightConfig
    | AdditiveConfig
    | TernaryConfig
    | LearnedWidthConfig
)


def _require_width(
    config: _Shifts | AdditiveConfig | LearnedWidthConfig, least: int, most: int
) -> None:
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
