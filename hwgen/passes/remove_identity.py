"""Remove operators that change no code: a quantizer whose step became a wire."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import ClassVar

from hwgen.errors import PassError
from hwgen.ir import Graph, Node
from hwgen.ops.requantize import Requantize
from hwgen.passes.base import Pass


@dataclass(frozen=True)
class RemoveIdentity(Pass):
    """Let readers of a wire read what the wire reads.

    1. A requantization by multiplier 1, offset 0, shift 0 whose clip holds every code that can
       come goes away; its scale moves to the node before it.  # x*1 + 0 -> x

    Left alone when: it widens bits -1 and +1 to integers; it reads the network's input, or a value
    with other readers, and the scales differ; or no other node would be left.
    Numeric effect: none.
    """

    name: ClassVar[str] = "remove_identity"

    def run(self, graph: Graph) -> Graph:
        """Remove one wire after the other."""
        for name in [node.name for node in graph.nodes]:
            node = graph.node(name)  # as it is by now: it may read something else
            if is_wire(graph, node) and len(graph.nodes) > 1:
                graph = _without(graph, node)
        return graph

    def ensures(self, before: Graph, after: Graph) -> None:
        """Every output is still there."""
        super().ensures(before, after)
        if len(before.outputs) != len(after.outputs):
            raise PassError("an output went away")


def is_wire(graph: Graph, node: Node) -> bool:
    """Whether `node` gives exactly the codes it reads."""
    op = node.op
    if not isinstance(op, Requantize):
        return False
    (x,) = graph.input_types(node)
    same = bool((op.multiplier == 1).all()) and not op.offset.any() and op.shift == 0
    return same and not x.codes.bipolar and op.codes.lo <= x.codes.lo and x.codes.hi <= op.codes.hi


def _without(graph: Graph, wire: Node) -> Graph:
    (before,) = wire.inputs
    if graph.scale_of(before) != wire.scale:
        is_node = any(n.name == before for n in graph.nodes)
        if not is_node or len(graph.consumers(before)) > 1 or before in graph.outputs:
            return graph
    nodes = []
    for node in graph.nodes:
        if node.name == wire.name:
            continue
        if node.name == before:
            node = replace(node, scale=wire.scale)
        inputs = tuple(before if name == wire.name else name for name in node.inputs)
        nodes.append(replace(node, inputs=inputs))
    outputs = tuple(before if name == wire.name else name for name in graph.outputs)
    return replace(graph, nodes=tuple(nodes), outputs=outputs)
