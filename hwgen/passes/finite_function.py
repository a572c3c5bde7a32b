"""`FiniteFunction`: an element-wise chain as what it is, a function on a finite set of integers.

For each channel the reachable codes fall into steps of equal value; `find_steps.py` finds them,
`tabulate.py` turns them into hardware.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np

from hwgen.ir import Codes, TensorType
from hwgen.numeric import CodeType


class Evaluates(Protocol):
    """An operator, or several behind each other."""

    def evaluate(self, *codes: Codes) -> Codes:
        """Return what becomes of codes."""


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

    def equals(self, op: Evaluates, keeps_order: bool) -> bool:
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
