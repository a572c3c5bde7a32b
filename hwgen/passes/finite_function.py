"""`FiniteFunction`: an element-wise chain as what it is, a function on a finite set of integers.

For each channel the reachable codes fall into steps of equal value. They are found by evaluating
the model's own float32 nodes, on every code or, where the chain is known to keep order, by
bisection. Used by `tabulate.py`.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from hwgen.errors import PassError
from hwgen.ir import Codes, Op, TensorType
from hwgen.numeric import CodeType
from hwgen.ops.elementwise import Elementwise

MAX_EVALUATIONS = 1 << 26
MAX_LEVELS = 1 << 22
CHUNK = 1 << 20


@dataclass(frozen=True, eq=False)
class StepRow:
    """One channel: code c gives values[i] for starts[i] <= c <= ends[i]."""

    starts: Codes
    ends: Codes
    values: Codes

    @property
    def direction(self) -> int:
        """1 when the value never falls, -1 when it never rises, else 0."""
        jumps = np.diff(self.values)
        if (jumps >= 0).all():
            return 1
        return -1 if (jumps <= 0).all() else 0


@dataclass(frozen=True, eq=False)
class FiniteFunction:
    """Steps of each channel; a single row when all channels are treated alike.

    Parameters
    ----------
    x : type of the input
    rows : 1 or as many as channels
    bipolar : whether the results are the codes -1 and +1 of one bit
    """

    x: TensorType
    rows: tuple[StepRow, ...]
    bipolar: bool

    @property
    def codes(self) -> CodeType:
        """Tightest type around all results."""
        if self.bipolar:
            return CodeType.binary()
        return CodeType.of(np.concatenate([row.values for row in self.rows]))

    def equals(self, op: Op, keeps_order: bool) -> bool:
        """Whether `op` gives the function's value on every reachable code.

        Parameters
        ----------
        op : reads and gives one code a channel
        keeps_order : each channel of `op` never falls or never rises, so that agreement on both
            ends of every step is agreement inside; else every code is tried
        """
        if keeps_order:
            points = [np.concatenate([row.starts, row.ends]) for row in self.rows]
            wanted = [np.tile(row.values, 2) for row in self.rows]
        else:
            points, wanted = self.listed()
        frames, expected = _columns(points), _columns(wanted)
        if len(self.rows) < self.x.channels:
            frames = np.repeat(frames, self.x.channels, axis=1)
        return bool((op.evaluate(frames) == expected).all())

    def listed(self) -> tuple[list[Codes], list[Codes]]:
        """Return every reachable code of each row, and its value."""
        stride = 2 if self.x.codes.bipolar else 1
        points = [np.arange(r.starts[0], r.ends[-1] + 1, stride) for r in self.rows]
        values = [
            row.values[np.searchsorted(row.starts, p, side="right") - 1]
            for row, p in zip(self.rows, points, strict=True)
        ]
        return points, values


def _columns(lists: list[Codes]) -> Codes:
    """Return [longest, rows]; a shorter column repeats its last number."""
    longest = max(map(len, lists))
    return np.stack([np.pad(c, (0, longest - len(c)), mode="edge") for c in lists], axis=1)


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
