"""`finite_function`: the steps of an element-wise chain, found by running its own float32 nodes.

Every reachable code is tried, or, where the chain is known to keep order, the steps are found by
bisection. Used by `tabulate.py`.
"""

from __future__ import annotations

import numpy as np

from hwgen.errors import PassError
from hwgen.ir import TensorType
from hwgen.numeric import CodeType
from hwgen.ops.elementwise import Elementwise
from hwgen.passes.finite_function import FiniteFunction, StepRow

MAX_EVALUATIONS = 1 << 26
MAX_LEVELS = 1 << 22
CHUNK = 1 << 20


def finite_function(op: Elementwise, x: TensorType) -> FiniteFunction:
    """Find the steps of `op` on everything reachable in `x`.

    Raises
    ------
    PassError : when that takes more than 2**26 evaluations
    """
    shared = op.channels == 1
    intervals = (x.codes,) if shared else x.per_channel()
    count = sum(interval.size for interval in intervals)
    levels = op.quantizer.codes.size * len(intervals)
    keeps_order = bool(op.direction(len(intervals)).all()) and not x.codes.bipolar
    if keeps_order and levels * 64 < count and levels <= MAX_LEVELS:
        rows = _bisect(op, intervals)
    elif count <= MAX_EVALUATIONS:
        rows = tuple(_enumerate(op, c, interval) for c, interval in enumerate(intervals))
    else:
        order = "keeps order" if keeps_order else "is not known to keep order"
        raise PassError(
            f"the chain {order} and reaches {count} codes in {len(intervals)} channels, expected "
            f"at most {MAX_EVALUATIONS} evaluations; use fewer bits for weights or activations"
        )
    return FiniteFunction(x, rows, op.quantizer.codes.bipolar)


def _enumerate(op: Elementwise, channel: int, interval: CodeType) -> StepRow:
    """Evaluate every code of one channel."""
    stride = 2 if interval.bipolar else 1
    starts, values = [], []
    last: int | None = None
    for first in range(interval.lo, interval.hi + 1, CHUNK):
        codes = np.arange(first, min(first + CHUNK, interval.hi + 1), stride, dtype=np.int64)
        results = op.at(codes, np.full(codes.shape, channel))
        changed = np.flatnonzero(np.diff(results, prepend=results[0] - 1 if last is None else last))
        starts.append(codes[changed])
        values.append(results[changed])
        last = int(results[-1])
    start = np.concatenate(starts)
    ends = np.append(start[1:] - stride, interval.hi)
    return StepRow(start, ends, np.concatenate(values))


def _bisect(op: Elementwise, intervals: tuple[CodeType, ...]) -> tuple[StepRow, ...]:
    """Find, for every channel and every level between its ends' values, where it is reached."""
    every = np.arange(len(intervals))
    low = np.array([c.lo for c in intervals], dtype=np.int64)
    high = np.array([c.hi for c in intervals], dtype=np.int64)
    sign = op.direction(len(intervals))
    first, last = sign * op.at(low, every), sign * op.at(high, every)
    counts = np.maximum(last - first, 0)
    row = np.repeat(every, counts)
    level = first[row] + 1 + np.arange(len(row)) - np.repeat(np.cumsum(counts) - counts, counts)
    # Invariant: the level is not reached at `below` and reached at `reached`.
    below, reached = low[row], high[row]
    while (reached - below > 1).any():
        middle = below + (reached - below) // 2
        hit = sign[row] * op.at(middle, row) >= level
        reached, below = np.where(hit, middle, reached), np.where(hit, below, middle)
    rows = []
    for channel in every:
        start = np.unique(np.append(reached[row == channel], low[channel]))
        ends = np.append(start[1:] - 1, high[channel])
        rows.append(StepRow(start, ends, op.at(start, np.full(start.shape, channel))))
    return tuple(rows)
