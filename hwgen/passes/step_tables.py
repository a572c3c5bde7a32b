"""A finite function as thresholds, as a table of all codes, or as a table of its steps.

Used by `function_forms.py`.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from hwgen.ops.table import Table
from hwgen.ops.thresholds import Thresholds
from hwgen.passes.finite_function import FiniteFunction


def thresholds(function: FiniteFunction) -> Thresholds:
    """Return the first code at which each result is reached, in each channel."""
    codes = function.codes
    table, falling = [], []
    for row in function.rows:
        # How many of the K results above the first one each step has passed.
        rank = np.searchsorted(codes.codes(), row.values)
        down = row.direction < 0
        passed = codes.size - 1 - rank if down else rank
        reached_by = np.searchsorted(passed, np.arange(1, codes.size))
        beyond = np.append(row.starts, row.ends[-1] + 1)  # never reached
        table.append(beyond[reached_by])
        falling.append(int(down))
    flags = np.array(falling, dtype=np.int64)
    return Thresholds(np.stack(table), flags, codes)


def table(function: FiniteFunction) -> Table:
    """Return the value of every code; codes that cannot occur repeat a neighbour's."""
    x = function.x.codes
    entries = np.arange(x.lo, x.hi + 1)
    contents = [
        row.values[np.clip(np.searchsorted(row.starts, entries, side="right") - 1, 0, None)]
        for row in function.rows
    ]
    return Table(np.stack(contents), x.lo, function.codes)


def values(function: FiniteFunction) -> Table:
    """Return the value of every step, by its number."""
    most = max(len(row.values) for row in function.rows)
    contents = [
        np.pad(row.values, (0, most - len(row.values)), mode="edge") for row in function.rows
    ]
    return Table(np.stack(contents), 0, function.codes)


def numbered(function: FiniteFunction) -> FiniteFunction:
    """Return which step each code is in."""
    rows = tuple(replace(row, values=np.arange(len(row.starts))) for row in function.rows)
    return FiniteFunction(function.x, rows, False)
