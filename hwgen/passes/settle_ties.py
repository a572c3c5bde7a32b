"""Replace chains with free scales, where only float32's roundings stand against it, by a line.

Runs before `tabulate.py`, which is exact. A boundary between two of the model's codes that lies
within float32's rounding error of an accumulator's code falls on either side of it by chance; an
affine form that reproduces all of these by chance too would need dozens of bits, or thresholds.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import ClassVar

import numpy as np

from hwgen.errors import HwgenError
from hwgen.ir import Graph, TensorType
from hwgen.ops.elementwise import Elementwise
from hwgen.ops.float_ties import ExactChain, exact_chain
from hwgen.ops.requantize import Requantize
from hwgen.passes.base import Pass
from hwgen.passes.find_steps import finite_function
from hwgen.passes.finite_function import FiniteFunction, StepRow
from hwgen.passes.fit_requantize import searched
from hwgen.passes.float_differences import differences, near
from hwgen.passes.function_forms import Form, forms, parameters, priced

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
                    op, price, other = settled
                    done = replace(node, op=op, why=_reason(node.op, op, x, price, other))
                    graph = graph.with_nodes(tuple(done if n is node else n for n in graph.nodes))
        return graph

    def ensures(self, before: Graph, after: Graph) -> None:
        """Each replacement differs from its chain near ties only."""
        super().ensures(before, after)
        for node, done in zip(before.nodes, after.nodes, strict=True):
            if isinstance(node.op, Elementwise) and node.op is not done.op:
                (x,) = after.input_types(done)
                differences(node.op, done.op, x)


def settled_line(op: Elementwise, x: TensorType) -> tuple[Requantize, float, float] | None:
    """Return a requantization that equals `op` but near ties, if it is worth it.

    Behind it its price in LUTs, and that of the cheapest exact form.
    """
    chain = exact_chain(op.steps, op.quantizer, op.channels)
    if chain is None or x.codes.bipolar or op.quantizer.codes.size <= 2:
        return None
    try:
        price = forms(op, x)[0].price
    except HwgenError:
        price = np.inf
    if price <= CHEAP_LUTS:
        return None
    found = searched(_trimmed(finite_function(op, x), op, chain))
    if found is None:
        return None
    try:
        own = priced((found,), x)
    except HwgenError:
        return None  # wider than the unit's arithmetic
    return (found, own, price) if own < price else None


def _reason(op: Elementwise, done: Requantize, x: TensorType, price: float, other: float) -> str:
    count, total = differences(op, done, x)
    against = f"against {other:.0f} of the cheapest" if np.isfinite(other) else "as there is no"
    return (
        f"{parameters(Form((done,), price))}{price:.0f} LUT a lane, {against} exact form; "
        f"{count} of {total} codes differ from float32, each at a rounding tie"
    )


def _trimmed(function: FiniteFunction, op: Elementwise, chain: ExactChain) -> FiniteFunction:
    """Return `function` without the codes near ties at the ends of its steps."""
    rows = []
    for number, row in enumerate(function.rows):
        starts, ends = row.starts.copy(), row.ends.copy()
        for _ in range(MAX_TRIMMED):
            first, last = (near(op, chain, at, number) for at in (starts, ends))
            if not (first.any() or last.any()):
                break
            starts, ends = starts + first, ends - last
        kept = starts <= ends
        if not kept.any():
            return function
        rows.append(StepRow(starts[kept], ends[kept], row.values[kept]))
    return FiniteFunction(function.x, tuple(rows), function.bipolar)
