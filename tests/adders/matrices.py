"""Matrices and input intervals of every kind an adder graph must bear."""

import numpy as np
from hypothesis import strategies as st

from hwgen.numeric import CodeType

KINDS = {
    "general": list(range(-40, 41)),
    "ternary": [-1, 0, 1],
    "binary": [-1, 1],
    "powers of two": [0, 1, -2, 4, -8, 64],
    "negative": [-7, -3, -1],
    "zero": [0],
}


@st.composite
def matrices(draw):
    """Return small matrices, some with duplicate, negated and zero rows."""
    rows, columns = draw(st.integers(1, 6)), draw(st.integers(1, 6))
    weights = st.sampled_from(KINDS[draw(st.sampled_from(sorted(KINDS)))])
    row = st.lists(weights, min_size=columns, max_size=columns)
    matrix = draw(st.lists(row, min_size=rows, max_size=rows))
    for way in draw(st.lists(st.sampled_from([1, -1, 2, 0]), max_size=2)):
        matrix.append([way * weight for weight in matrix[0]])
    return np.array(matrix, dtype=np.int64)


@st.composite
def intervals(draw, count):
    """Return an interval for each input: signed, unsigned, lopsided, constant."""
    ends = st.tuples(st.integers(-20, 20), st.integers(0, 30))
    return tuple(CodeType(lo, lo + span) for lo, span in (draw(ends) for _ in range(count)))


def corners(inputs, seed=0, samples=20):
    """Return random input vectors and the two extreme ones."""
    rng = np.random.default_rng(seed)
    lo = np.array([codes.lo for codes in inputs])
    hi = np.array([codes.hi for codes in inputs])
    return np.vstack([lo, hi, rng.integers(lo, hi + 1, (samples, len(inputs)))])
