"""Chains that end without a quantizer: their real numbers as exact codes.

A bias, a scale or a BatchNorm after a linear box leaves real numbers, at the end of a model or
before two tensors are added. They are exact codes too when one power of two divides them all; this
finds that power.
"""

from __future__ import annotations

import math
from fractions import Fraction

import numpy as np

from hwgen.errors import FrontendError
from hwgen.ir import Scale, TensorType
from hwgen.numeric import CodeType, Rounding
from hwgen.ops.elementwise import Elementwise
from hwgen.ops.float_steps import Line, Quantize, Reals, Step, affine_lines, reals
from hwgen.ops.requantize import Requantize

MAX_CODE_BITS = 32
MAX_EVALUATIONS = 1 << 22


def exact_codes(
    x: TensorType,
    scale: Scale,
    steps: tuple[Step, ...],
    max_bits: int = MAX_CODE_BITS,
    advice: str = "end the model with a Quant node",
) -> tuple[Requantize | Elementwise | None, Scale]:
    """Return the operator that gives a chain's codes (None: they are there), and their scale.

    Parameters
    ----------
    x, scale : of what the chain reads
    max_bits : that the codes may have
    advice : what to try when they need more

    Raises
    ------
    FrontendError : when the numbers need more bits
    """
    lines = affine_lines(scale, steps, x.channels)
    if lines is not None and all(offset == 0 and slope > 0 for slope, offset in lines):
        return None, tuple(float(slope) for slope, _ in (lines[:1] if _same(lines) else lines))
    if lines is not None:
        found = _on_dyadic_grid(x, lines)
        if found is not None:
            return found
    own = on_own_grid(x, scale, steps)
    if own is not None:
        return own, scale
    return _on_float_grid(x, scale, steps, max_bits, advice)


def _same(lines: list[Line]) -> bool:
    return len(set(lines)) == 1


def _on_dyadic_grid(x: TensorType, lines: list[Line]) -> tuple[Requantize, Scale] | None:
    """Integer multiplier and offset on the coarsest grid, when float32 computes them exactly."""
    numbers = [number for line in lines for number in line]
    denominators = {number.denominator for number in numbers}
    if any(d & (d - 1) for d in denominators):
        return None
    grid = Fraction(1, max(denominators))
    common = math.gcd(*(int(number / grid) for number in numbers))
    grid *= (common & -common) or 1
    multiplier = [int(slope / grid) for slope, _ in lines]
    offset = [int(o / grid) for _, o in lines]
    ends = [
        m * end + o
        for m, o, codes in zip(multiplier, offset, x.per_channel(), strict=True)
        for end in (codes.lo, codes.hi)
    ]
    interval = CodeType(min(ends), max(ends))
    if interval.width > 25:  # beyond, float32 rounds: the float grid knows what it gives
        return None
    op = Requantize(_shared(multiplier), _shared(offset), 0, Rounding.TRN, interval)
    return op, (float(grid),)


def _shared(values: list[int]) -> np.ndarray[tuple[int], np.dtype[np.int64]]:
    return np.array(values[:1] if len(set(values)) == 1 else values, dtype=np.int64)


def on_own_grid(x: TensorType, scale: Scale, steps: tuple[Step, ...]) -> Elementwise | None:
    """Return a chain's codes on the scale of its input, as after a Relu; None where there are none.

    A scale that is no power of two has multiples that no grid of float32 holds.
    """
    real = _evaluated(x, scale, steps)
    if real is None or not np.isfinite(real).all():
        return None
    unit = np.array(scale)
    codes = np.rint(real / unit).astype(np.int64)
    if not np.array_equal((codes * unit).astype(np.float32), real) or codes.min() == codes.max():
        return None
    quantizer = Quantize(reals(unit), 0, CodeType.of(codes), Rounding.RND_CONV)
    return Elementwise(unit, steps, quantizer)


def _evaluated(x: TensorType, scale: Scale, steps: tuple[Step, ...]) -> Reals | None:
    """Return the float32 results of all reachable codes, [codes, channels]; None: too many."""
    if x.codes.size * x.channels > MAX_EVALUATIONS:
        return None
    channels = np.arange(x.channels)
    with np.errstate(over="ignore", invalid="ignore"):
        real = (x.codes.codes()[:, None] * np.array(scale)).astype(np.float32)
        for step in steps:
            real = step.apply(real, channels)
    return np.asarray(real)


def _on_float_grid(
    x: TensorType, scale: Scale, steps: tuple[Step, ...], max_bits: int, advice: str
) -> tuple[Elementwise, Scale]:
    """Evaluate every reachable code and keep the float32 results, all bits of them."""
    real = _evaluated(x, scale, steps)
    if real is None:
        raise FrontendError(
            f"unquantized: expected an affine chain or at most {MAX_EVALUATIONS} reachable "
            f"numbers, got {x.channels} channels of {x.codes}; {advice}"
        )
    if not np.isfinite(real).all():
        raise FrontendError(f"a reachable output is NaN or infinite; {advice}")
    exponent, magnitude = _finest_bit(real), float(np.abs(real).max())
    width = max(math.frexp(magnitude)[1], exponent) - exponent + 1
    if width > max_bits:
        raise FrontendError(
            f"type too wide: expected outputs of at most {max_bits} bits, got {width} "
            f"(multiples of 2**{exponent} up to {magnitude:g}); {advice}"
        )
    grid = math.ldexp(1.0, exponent)
    outputs = np.round(real.astype(np.float64) / grid).astype(np.int64)
    quantizer = Quantize(reals(grid), 0, CodeType.of(outputs), Rounding.RND_CONV)
    return Elementwise(np.array(scale), steps, quantizer), (grid,)


def _finest_bit(real: np.ndarray[tuple[int, ...], np.dtype[np.float32]]) -> int:
    """Return the largest e so that all numbers are multiples of 2**e."""
    nonzero = real[real != 0]
    if nonzero.size == 0:
        return 0
    mantissa, exponent = np.frexp(nonzero.astype(np.float64))
    whole = np.abs(np.ldexp(mantissa, 24)).astype(np.int64)
    trailing = np.log2((whole & -whole).astype(np.float64)).astype(np.int64)
    return int((exponent - 24 + trailing).min())
