"""The float32 steps an element-wise chain is made of: what each node of the model computes.

The frontend translates nodes such as BatchNormalization or Gemm's bias into these, in the order in
which ONNX defines them, so that float32 results agree bit for bit. They never become hardware.

Source: ONNX operator definitions; QONNX IntQuant and BipolarQuant.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields, replace
from enum import Enum
from fractions import Fraction

import numpy as np
import numpy.typing as npt

from hwgen.errors import IRError
from hwgen.numeric import CodeType, Rounding, round_real

Reals = npt.NDArray[np.float32]
Integers = npt.NDArray[np.int64]

RISING, FALLING, UNKNOWN = 1, -1, 0


def reals(values: npt.ArrayLike) -> Reals:
    """Return constants of one or of each channel as a read-only float32 vector."""
    array = np.array(values, dtype=np.float32).reshape(-1)
    if np.isnan(array).any():
        raise IRError("a constant of an element-wise step is NaN")
    array.setflags(write=False)
    return array


def pick(constants: Reals, channels: Integers) -> Reals:
    """Return each channel's constant; a lone constant serves all channels."""
    return constants if constants.size == 1 else constants[channels]


@dataclass(frozen=True, eq=False)
class Step(ABC):
    """One float32 operation on each channel."""

    def __post_init__(self) -> None:
        for field in fields(self):
            if isinstance(getattr(self, field.name), np.ndarray):
                object.__setattr__(self, field.name, reals(getattr(self, field.name)))

    @abstractmethod
    def apply(self, x: Reals, channels: Integers) -> Reals:
        """Return the result for values `x` of `channels` (same shape, or broadcastable)."""

    @abstractmethod
    def direction(self, channels: Integers) -> Integers:
        """Return RISING, FALLING or UNKNOWN for each channel; float32 rounding keeps order."""

    def sizes(self) -> set[int]:
        """Return for how many channels there are constants, 1 for those of all."""
        values = (getattr(self, field.name) for field in fields(self))
        return {value.size for value in values if isinstance(value, np.ndarray)}

    def count(self) -> int:
        """Return of how many operations it is made."""
        return 1

    def picked(self, channels: Integers) -> Step:
        """Return the step for `channels`, which may repeat and leave out some."""
        values = {field.name: getattr(self, field.name) for field in fields(self)}
        own = {n: v for n, v in values.items() if isinstance(v, np.ndarray) and v.size > 1}
        return replace(self, **{name: value[channels] for name, value in own.items()})

    def __eq__(self, other: object) -> bool:
        return type(self) is type(other) and all(
            np.array_equal(getattr(self, f.name), getattr(other, f.name)) for f in fields(self)
        )

    def __hash__(self) -> int:
        return hash(type(self))


def _sign(constants: Reals, channels: Integers) -> Integers:
    signs = np.where(pick(constants, channels) < 0, FALLING, RISING)
    return np.broadcast_to(signs, channels.shape).astype(np.int64)


def _everywhere(direction: int, channels: Integers) -> Integers:
    return np.full(channels.shape, direction, dtype=np.int64)


@dataclass(frozen=True, eq=False)
class Add(Step):
    """x + constant."""

    constant: Reals

    def apply(self, x: Reals, channels: Integers) -> Reals:
        """See `Step.apply`."""
        return x + pick(self.constant, channels)

    def direction(self, channels: Integers) -> Integers:
        """Rising."""
        return _everywhere(RISING, channels)


@dataclass(frozen=True, eq=False)
class Multiply(Step):
    """x * constant."""

    constant: Reals

    def apply(self, x: Reals, channels: Integers) -> Reals:
        """See `Step.apply`."""
        return x * pick(self.constant, channels)

    def direction(self, channels: Integers) -> Integers:
        """Falling where the constant is negative; a zero gives a constant, which may be both."""
        return _sign(self.constant, channels)


@dataclass(frozen=True, eq=False)
class Divide(Step):
    """x / constant."""

    constant: Reals

    def apply(self, x: Reals, channels: Integers) -> Reals:
        """See `Step.apply`."""
        return x / pick(self.constant, channels)

    def direction(self, channels: Integers) -> Integers:
        """Falling where the constant is negative."""
        return _sign(self.constant, channels)


@dataclass(frozen=True, eq=False)
class Clip(Step):
    """min(max(x, low), high); a rectifier is Clip(0, inf)."""

    low: Reals
    high: Reals

    def apply(self, x: Reals, channels: Integers) -> Reals:
        """See `Step.apply`."""
        return np.minimum(np.maximum(x, pick(self.low, channels)), pick(self.high, channels))

    def direction(self, channels: Integers) -> Integers:
        """Rising."""
        return _everywhere(RISING, channels)


@dataclass(frozen=True, eq=False)
class LeakyRectify(Step):
    """x where it is not negative, x * slope elsewhere."""

    slope: Reals

    def apply(self, x: Reals, channels: Integers) -> Reals:
        """See `Step.apply`."""
        return np.where(x < 0, x * pick(self.slope, channels), x)

    def direction(self, channels: Integers) -> Integers:
        """Rising unless the slope is negative."""
        rising = np.broadcast_to(pick(self.slope, channels) >= 0, channels.shape)
        return np.where(rising, RISING, UNKNOWN).astype(np.int64)


class Curve(Enum):
    """Functions without parameters; the value is the ONNX operator's name."""

    SIGMOID = "Sigmoid"
    TANH = "Tanh"
    SIGN = "Sign"
    HARD_SWISH = "HardSwish"
    SOFTSIGN = "Softsign"
    ABS = "Abs"
    ERF = "Erf"
    GELU = "Gelu"
    MISH = "Mish"
    SOFTPLUS = "Softplus"
    EXP = "Exp"
    LOG = "Log"
    SQRT = "Sqrt"
    RECIPROCAL = "Reciprocal"
    FLOOR = "Floor"
    CEIL = "Ceil"
    ROUND = "Round"
    SIN = "Sin"
    COS = "Cos"
    ATAN = "Atan"


class Bend(Enum):
    """Functions of one parameter; the value is the ONNX operator's name."""

    ELU = "Elu"
    CELU = "Celu"
    THRESHOLDED = "ThresholdedRelu"
    SWISH = "Swish"


def _sigmoid(x: Reals) -> Reals:
    # Two forms, so that neither exponential overflows.
    small = np.exp(-np.abs(x))
    return np.where(x > 0, 1 / (1 + small), small / (1 + small)).astype(np.float32)


def _hard_swish(x: Reals) -> Reals:
    gate = np.clip(x * np.float32(1 / 6) + np.float32(0.5), np.float32(0), np.float32(1))
    return np.asarray(x * gate, dtype=np.float32)


def _softsign(x: Reals) -> Reals:
    return np.asarray(x / (1 + np.abs(x)), dtype=np.float32)


def _erf(x: Reals) -> Reals:
    return np.asarray(np.frompyfunc(math.erf, 1, 1)(x.astype(np.float64)), dtype=np.float32)


def _gelu(x: Reals) -> Reals:
    half = np.float32(0.5) * x
    return np.asarray(half * (1 + _erf(x / np.sqrt(np.float32(2)))), dtype=np.float32)


def _softplus(x: Reals) -> Reals:
    return np.logaddexp(x, np.float32(0))


def _elu(x: Reals, alpha: Reals) -> Reals:
    return np.where(x > 0, x, alpha * np.expm1(np.minimum(x, 0)))


_BENDS: dict[Bend, Callable[[Reals, Reals], Reals]] = {
    Bend.ELU: _elu,
    Bend.CELU: lambda x, alpha: np.where(x > 0, x, alpha * np.expm1(np.minimum(x, 0) / alpha)),
    Bend.THRESHOLDED: lambda x, alpha: np.where(x > alpha, x, 0),
    Bend.SWISH: lambda x, alpha: x * _sigmoid(alpha * x),
}
_CURVES: dict[Curve, Callable[[Reals], Reals]] = {
    Curve.SIGMOID: _sigmoid,
    Curve.TANH: np.tanh,
    Curve.SIGN: np.sign,
    Curve.HARD_SWISH: _hard_swish,
    Curve.SOFTSIGN: _softsign,
    Curve.ABS: np.abs,
    Curve.ERF: _erf,
    Curve.GELU: _gelu,
    Curve.MISH: lambda x: x * np.tanh(_softplus(x)),
    Curve.SOFTPLUS: _softplus,
    Curve.EXP: np.exp,
    Curve.LOG: np.log,
    Curve.SQRT: np.sqrt,
    Curve.RECIPROCAL: np.reciprocal,
    Curve.FLOOR: np.floor,
    Curve.CEIL: np.ceil,
    Curve.ROUND: np.rint,
    Curve.SIN: np.sin,
    Curve.COS: np.cos,
    Curve.ATAN: np.arctan,
}
_RISING = frozenset({Curve.SIGN, Curve.FLOOR, Curve.CEIL, Curve.ROUND})


@dataclass(frozen=True, eq=False)
class Apply(Step):
    """curve(x)."""

    curve: Curve

    def apply(self, x: Reals, channels: Integers) -> Reals:
        """See `Step.apply`."""
        with np.errstate(divide="ignore"):
            return np.asarray(_CURVES[self.curve](x), dtype=np.float32)

    def direction(self, channels: Integers) -> Integers:
        """Known of Sign and rounding: float32 libraries do not promise order to the last bit."""
        return _everywhere(RISING if self.curve in _RISING else UNKNOWN, channels)


@dataclass(frozen=True, eq=False)
class ApplyBend(Step):
    """bend(x, alpha)."""

    bend: Bend
    alpha: Reals

    def apply(self, x: Reals, channels: Integers) -> Reals:
        """See `Step.apply`."""
        return np.asarray(_BENDS[self.bend](x, pick(self.alpha, channels)), dtype=np.float32)

    def direction(self, channels: Integers) -> Integers:
        """Unknown."""
        return _everywhere(UNKNOWN, channels)


@dataclass(frozen=True, eq=False)
class Quantize(Step):
    """The quantizer that ends a chain: codes = round(clip(x / scale + zero_point)) - zero_point.

    Parameters
    ----------
    scale : float32 [C or 1], positive
    zero_point : integer added before rounding; the codes have it taken off again
    codes : what comes out, zero point taken off; bipolar means the sign, sign(0) = +1
    rounding : applied after the clip
    """

    scale: Reals
    zero_point: int
    codes: CodeType
    rounding: Rounding

    def apply(self, x: Reals, channels: Integers) -> Reals:
        """Return the real numbers the codes stand for; NaN, which none does, stays."""
        real = self.quantize(np.nan_to_num(x), channels).astype(np.float32)
        return np.where(np.isnan(x), x, real * pick(self.scale, channels))

    def quantize(self, x: Reals, channels: Integers) -> Integers:
        """Return the codes."""
        if self.codes.bipolar:
            return np.where(x >= 0, 1, -1).astype(np.int64)
        shifted = x / pick(self.scale, channels) + np.float32(self.zero_point)
        low, high = self.codes.lo + self.zero_point, self.codes.hi + self.zero_point
        clipped = np.clip(shifted.astype(np.float64), low, high)
        return round_real(clipped, self.rounding).astype(np.int64) - self.zero_point

    def direction(self, channels: Integers) -> Integers:
        """Rising: every rounding mode keeps order."""
        return _everywhere(RISING, channels)


Line = tuple[Fraction, Fraction]  # real = slope * code + offset


def affine_lines(
    scale: Sequence[float], steps: Sequence[Step], channels: int, through_clips: bool = False
) -> list[Line] | None:
    """Return each channel's exact line, as if nothing rounded; None where a step is not affine.

    Parameters
    ----------
    scale : real value of input code 1, one or one per channel
    through_clips : take a Clip for a wire, which it is between its bounds
    """
    slopes = [Fraction(s) for s in np.broadcast_to(np.array(scale), (channels,)).tolist()]
    offsets = [Fraction(0)] * channels
    for step in steps:
        if isinstance(step, Clip) and through_clips:
            continue
        if not isinstance(step, Add | Multiply | Divide):
            return None
        constants = np.broadcast_to(step.constant, (channels,)).tolist()
        if not all(map(math.isfinite, constants)):
            return None
        exact = [Fraction(c) for c in constants]
        if isinstance(step, Add):
            offsets = [o + c for o, c in zip(offsets, exact, strict=True)]
            continue
        factors = exact if isinstance(step, Multiply) else [1 / c for c in exact]
        slopes = [s * f for s, f in zip(slopes, factors, strict=True)]
        offsets = [o * f for o, f in zip(offsets, factors, strict=True)]
    return list(zip(slopes, offsets, strict=True))
