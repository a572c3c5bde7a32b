"""`row_intervals`: what the sums of a constant matrix-vector product can be, exactly."""

from __future__ import annotations

from functools import lru_cache

import numpy as np

from hwgen.ir import Codes, Same, TensorType
from hwgen.numeric import CodeType


# Kept by identity, as in matvec.py.
@lru_cache(maxsize=256)
def row_intervals(weights: Same[Codes], x: Same[TensorType]) -> tuple[CodeType, ...]:
    """Interval arithmetic over each row, exact because each input varies on its own."""
    matrix, inputs = weights.value, x.value
    reach = max(abs(inputs.codes.lo), abs(inputs.codes.hi))
    bound = int(np.abs(matrix).sum(axis=1).max()) * reach
    exact = np.int64 if bound < 1 << 62 else object
    low = np.array([c.lo for c in inputs.per_channel()], dtype=exact)
    high = np.array([c.hi for c in inputs.per_channel()], dtype=exact)
    up, down = (part(matrix, 0).astype(exact) for part in (np.maximum, np.minimum))
    lo, hi = up @ low + down @ high, up @ high + down @ low
    return tuple(CodeType(int(a), int(b)) for a, b in zip(lo, hi, strict=True))
