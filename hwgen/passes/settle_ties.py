"""Replace chains with free scales, where only float32's roundings stand against it, by a line.

Runs before `tabulate.py`, which is exact. A boundary between two of the model's codes that lies
within float32's rounding error of an accumulator's code falls on either side of it by chance; an
affine form that reproduces all of these by chance too would need dozens of bits, or thresholds.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import ClassVar

import numpy as np

from hwgen.errors import HwgenError, PassError
from hwgen.ir import Codes, Graph, Op, TensorType
from hwgen.ops.elementwise import Elementwise
from hwgen.ops.float_ties import ExactChain, exact_chain
from hwgen.ops.requantize import Requantize
from hwgen.passes.base import Pass
from hwgen.passes.find_steps import finite_function
from hwgen.passes.finite_function import FiniteFunction, StepRow
from hwgen.passes.fit_requantize import searched
from hwgen.passes.tabulate import cheapest, cost

CHEAP_LUTS = 2000.0  # exact forms below this are left as they are
MAX_TRIMMED = 64  # codes at the end of a step that may be near a tie


@dataclass(frozen=True)
class SettleTies(Pass):
    """Give expensive chains of free scales an integer meaning of their own.

    1. An affine chain whose cheapest exact form costs over 2000 LUTs becomes a requantization
       with the smallest multipliers that equal it on every reachable code but near ties, if that
       costs less. The requantization is the reference from here on.

    Left alone when: the chain rounds nowhere (then the exact form is a requantization already),
    has a step that is not affine, or no such form is found.
    Numeric effect: codes change by one where the exact result lies within float32's rounding error
    of the boundary between them, and nowhere else; checked on every reachable code.
    """

    name: ClassVar[str] = "settle_ties"

    def run(self, graph: Graph) -> Graph:
        """Replace in order."""
        for node in graph.nodes:
            if isinstance(node.op, Elementwise):
                (x,) = graph.input_types(node)
                settled = settled_line(node.op, x)
                if settled is not None:
                    done = replace(node, op=settled)
                    graph = graph.with_nodes(tuple(done if n is node else n for n in graph.nodes))
        return graph

    def ensures(self, before: Graph, after: Graph) -> None:
        """Each replacement differs from its chain near ties only."""
        super().ensures(before, after)
        for node, done in zip(before.nodes, after.nodes, strict=True):
            if isinstance(node.op, Elementwise) and node.op is not done.op:
                (x,) = after.input_types(done)
                differences(node.op, done.op, x)


def settled_line(op: Elementwise, x: TensorType) -> Requantize | None:
    """Return a requantization that equals `op` but near ties, if it is worth it."""
    chain = exact_chain(op.steps, op.quantizer, op.channels)
    if chain is None or x.codes.bipolar or op.quantizer.codes.size <= 2:
        return None
    try:
        price = cost(cheapest(op, x), x)
    except HwgenError:
        price = np.inf
    if price <= CHEAP_LUTS:
        return None
    found = searched(_trimmed(finite_function(op, x), op, chain))
    if found is None:
        return None
    try:
        found.infer(x)
    except HwgenError:
        return None  # wider than the unit's arithmetic
    return found if cost(found, x) < price else None


def _near(op: Elementwise, chain: ExactChain, codes: Codes, row: int) -> Codes:
    """Return 1 where `codes` of the channels of `row` lie near a tie."""
    scale = float(op.scale[row if op.scale.size > 1 else 0])
    return chain.channel(row).near_ties([codes * scale])[0].astype(np.int64)


def _trimmed(function: FiniteFunction, op: Elementwise, chain: ExactChain) -> FiniteFunction:
    """Return `function` without the codes near ties at the ends of its steps."""
    rows = []
    for number, row in enumerate(function.rows):
        starts, ends = row.starts.copy(), row.ends.copy()
        for _ in range(MAX_TRIMMED):
            first, last = (_near(op, chain, at, number) for at in (starts, ends))
            if not (first.any() or last.any()):
                break
            starts, ends = starts + first, ends - last
        kept = starts <= ends
        if not kept.any():
            return function
        rows.append(StepRow(starts[kept], ends[kept], row.values[kept]))
    return FiniteFunction(function.x, tuple(rows), function.bipolar)


def differences(op: Elementwise, done: Op, x: TensorType) -> tuple[int, int]:
    """Return on how many of the reachable codes of all channels `done` differs, and how many occur.

    Raises
    ------
    PassError : when `op` gives another code than `done` where nothing is near a tie
    """
    if not isinstance(done, Requantize):
        return 0, 0  # `tabulate.py` holds it to equality
    function = finite_function(op, x)
    chain = exact_chain(op.steps, op.quantizer, op.channels)
    count = total = 0
    for number, row in enumerate(function.rows):
        wrong = _wrong(row, _channel(done, number))
        count, total = count + wrong.size, total + int(row.ends[-1] - row.starts[0]) + 1
        if wrong.size and (chain is None or not _near(op, chain, wrong, number).all()):
            raise PassError(f"{done.name} differs from the chain at {wrong[0]}, which is no tie")
    return count, total


def _wrong(row: StepRow, done: Requantize) -> Codes:
    """Return the codes where `done`, which keeps order, differs: from the ends of steps inwards."""
    starts, ends, found = row.starts.copy(), row.ends.copy(), []
    for at, inward in ((starts, 1), (ends, -1)):
        while True:
            given = done.evaluate(at[:, None])[:, 0]
            wrong = (given != row.values) & (starts <= ends)
            if not wrong.any():
                break
            found.append(at[wrong])
            at += inward * wrong
    return np.concatenate(found) if found else np.zeros(0, dtype=np.int64)


def _channel(done: Requantize, channel: int) -> Requantize:
    multiplier, offset = (
        v[channel : channel + 1] if v.size > 1 else v for v in (done.multiplier, done.offset)
    )
    return replace(done, multiplier=multiplier, offset=offset)
