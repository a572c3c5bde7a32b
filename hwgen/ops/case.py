"""What every operator file ends with: parameter sets worth testing, and bad ones with their error.

`tests/ops/test_conformance.py` runs all of them; the small random arrays here are seeded.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from hwgen.ir import Codes, Op, TensorType
from hwgen.numeric import CodeType


@dataclass(frozen=True, eq=False)
class Case:
    """An operator and input types that fit it."""

    op: Op
    inputs: tuple[TensorType, ...]


@dataclass(frozen=True, eq=False)
class Reject:
    """An operator and input types that do not fit it, and the text of the error."""

    op: Op
    inputs: tuple[TensorType, ...]
    error: str


def integers(shape: tuple[int, ...], lo: int, hi: int, step: int = 1, seed: int = 0) -> Codes:
    """Return seeded random integers lo, lo + step, ... hi."""
    steps = np.random.default_rng(seed).integers(0, (hi - lo) // step + 1, shape)
    return np.asarray(lo + step * steps, dtype=np.int64)


def vector(channels: int, lo: int, hi: int) -> TensorType:
    """Return the type of a vector of codes lo..hi."""
    return TensorType((channels,), CodeType(lo, hi))


def bipolar_vector(channels: int) -> TensorType:
    """Return the type of a vector of bits that mean -1 and +1."""
    return TensorType((channels,), CodeType.binary())
