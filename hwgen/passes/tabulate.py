"""Replace every element-wise chain by the cheapest operator that equals it on all reachable codes.

Runs first: `find_steps.py` finds the function, `fit_requantize.py` and `fit_exact_line.py` a line.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import ClassVar

import numpy as np

from hwgen.errors import HwgenError, PassError
from hwgen.ir import Graph, Op, TensorType
from hwgen.ops.elementwise import Elementwise
from hwgen.ops.requantize import Requantize
from hwgen.ops.table import Table
from hwgen.ops.thresholds import Thresholds
from hwgen.passes.base import Pass
from hwgen.passes.find_steps import finite_function
from hwgen.passes.finite_function import FiniteFunction
from hwgen.passes.fit_exact_line import symbolic
from hwgen.passes.fit_requantize import searched

MAX_THRESHOLDS, MAX_TABLE_ENTRIES = 255, 1 << 16
MAX_TABLE_CONTENTS = 1 << 22  # of all channels; no device has memory for more
# One DSP slice or block RAM against LUTs: their ratio on mid-size parts, xczu3eg among them.
LUTS_PER_DSP, LUTS_PER_BRAM36, LUTS_PER_FF = 196.0, 326.0, 0.25


@dataclass(frozen=True)
class Tabulate(Pass):
    """Evaluate each chain on every reachable code, then choose its hardware.

    1. A chain becomes an affine requantization `clip((a*M + B) >> S)` where one equals it, with
       floor or the quantizer's own rounding. M = 0 is a constant; M = 1 a shift or, S = 0, a wire.
    2. A chain that never falls, or never rises, in each channel may become thresholds.
    3. Any chain on at most 2**16 codes may become a table.
    4. Of the operators that equal the chain, the one that costs least is taken.

    Left alone when: never; a chain that has no such form is refused.
    Numeric effect: none, equality is checked on every reachable code.
    """

    name: ClassVar[str] = "tabulate"

    def run(self, graph: Graph) -> Graph:
        """Replace in order, since a tighter type lets later chains be smaller."""
        for node in graph.nodes:
            if isinstance(node.op, Elementwise):
                (x,) = graph.input_types(node)
                try:
                    op = cheapest(node.op, x)
                except HwgenError as error:
                    raise PassError(f"{node.name} (from {node.source}): {error}") from error
                done = replace(node, op=op)
                graph = graph.with_nodes(tuple(done if n is node else n for n in graph.nodes))
        return graph

    def ensures(self, before: Graph, after: Graph) -> None:
        """No chain is left, and each replacement agrees with its chain again."""
        super().ensures(before, after)
        for node, done in zip(before.nodes, after.nodes, strict=True):
            if isinstance(done.op, Elementwise):
                raise PassError(f"{done.name}: still an element-wise chain")
            if isinstance(node.op, Elementwise):
                (x,) = after.input_types(done)
                function = finite_function(node.op, x)
                if not function.equals(done.op, keeps_order(done.op)):
                    raise PassError(f"{done.name}: {done.op.name} differs from the chain")


def cheapest(op: Elementwise, x: TensorType) -> Op:
    """Return the least costly operator that equals `op` on all codes reachable in `x`.

    Raises
    ------
    PassError : when none does
    """
    function = finite_function(op, x)
    best: tuple[float, Op] | None = None
    for candidate in candidates(op, function):
        try:
            candidate.infer(x)
        except HwgenError:
            continue  # sizes it cannot have: not a candidate
        if not function.equals(candidate, keeps_order(candidate)):
            continue
        price = cost(candidate, x)
        if best is None or price < best[0]:
            best = (price, candidate)
    if best is None:
        raise PassError(
            f"no affine form, {MAX_THRESHOLDS} thresholds or {MAX_TABLE_ENTRIES} table entries "
            f"express the chain from {x.codes} to {function.codes}; use fewer bits"
        )
    return best[1]


def candidates(op: Elementwise, function: FiniteFunction) -> Iterator[Op]:
    """Yield the operators worth comparing; at equal cost the earlier wins."""
    found = searched(function)
    if found is not None:
        yield found
    yield from symbolic(op, function)
    if 1 <= function.codes.size - 1 <= MAX_THRESHOLDS and all(r.direction for r in function.rows):
        yield thresholds(function)
    entries = function.x.codes.size
    if entries <= MAX_TABLE_ENTRIES and entries * len(function.rows) <= MAX_TABLE_CONTENTS:
        yield table(function)


def cost(op: Op, x: TensorType) -> float:
    """Return the operator's resources as a number of LUTs."""
    r = op.resources(x)
    return r.lut + LUTS_PER_FF * r.ff + LUTS_PER_DSP * r.dsp + LUTS_PER_BRAM36 * r.bram36


def keeps_order(op: Op) -> bool:
    """Whether each channel of `op` never falls or never rises, whatever its parameters."""
    return isinstance(op, Requantize | Thresholds)


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
