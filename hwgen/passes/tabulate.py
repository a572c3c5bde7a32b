"""Replace every element-wise chain by the cheapest operator that equals it on all reachable codes.

`find_steps.py` finds the function, `function_forms.py` the operators that equal it.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import ClassVar

from hwgen.errors import HwgenError, PassError
from hwgen.ir import Graph, Node, Op, TensorType
from hwgen.ops.elementwise import Elementwise
from hwgen.passes.base import Pass
from hwgen.passes.find_steps import finite_function
from hwgen.passes.function_forms import Form, forms, reason


@dataclass(frozen=True)
class Tabulate(Pass):
    """Evaluate each chain on every reachable code, then choose its hardware.

    1. A chain becomes an affine requantization `clip((a*M + B) >> S)` where one equals it, with
       floor or the quantizer's own rounding. M = 0 is a constant; M = 1 a shift or, S = 0, a wire.
    2. A chain that never falls, or never rises, in each channel may become thresholds.
    3. Any chain on at most 2**16 codes may become a table.
    4. Any chain of at most 256 steps may become thresholds, which count its steps, and a table of
       their values.
    5. Of the forms that equal the chain, the one that costs least is taken; `Node.why` says so.

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
                    found = forms(node.op, x)
                except HwgenError as error:
                    raise PassError(f"{node.name} (from {node.source}): {error}") from error
                done = _nodes(graph, node, found[0], reason(found))
                at = graph.nodes.index(node)
                graph = graph.with_nodes((*graph.nodes[:at], *done, *graph.nodes[at + 1 :]))
        return graph

    def ensures(self, before: Graph, after: Graph) -> None:
        """No chain is left, and what replaces each agrees with it again."""
        super().ensures(before, after)
        for done in after.nodes:
            if isinstance(done.op, Elementwise):
                raise PassError(f"{done.name}: still an element-wise chain")
        for node in before.nodes:
            if isinstance(node.op, Elementwise):
                form, x = _form(after, node)
                if not form.equals(finite_function(node.op, x)):
                    raise PassError(f"{node.name}: {form.words} differs from the chain")


def _nodes(graph: Graph, node: Node, form: Form, why: str) -> tuple[Node, ...]:
    """Return `node` with the operators of `form`; of two, the first gets a name of its own."""
    *before, last = form.ops
    value, nodes = node.inputs[0], []
    for op in before:
        name = f"{node.name[:56]}_steps"
        while name in graph.types:
            name = f"{name[:-1]}x"
        nodes.append(Node(name, op, (value,), (1.0,), node.source, why))
        value = name
    return (*nodes, replace(node, op=last, inputs=(value,), why=why))


def _form(after: Graph, node: Node) -> tuple[Form, TensorType]:
    """Return the operators between what `node` read and its value, and their input."""
    ops: list[Op] = []
    value = node.name
    while value != node.inputs[0]:
        done = after.node(value)
        ops.insert(0, done.op)
        (value,) = done.inputs
    return Form(tuple(ops), 0.0), after.types[value]
