"""The verifier: run after the frontend and after every pass; a broken graph never travels on."""

from __future__ import annotations

import math

from hwgen.errors import IRError
from hwgen.ir.graph import IDENTIFIER, Graph


def verify(graph: Graph) -> None:
    """Check names, order, types and scales.

    Raises
    ------
    IRError : naming the node at fault
    """
    seen: set[str] = set()
    for name in (graph.name, *(i.name for i in graph.inputs), *(n.name for n in graph.nodes)):
        if not IDENTIFIER.fullmatch(name):
            raise IRError(f"{name!r} is not an identifier; expected {IDENTIFIER.pattern}")
    for source in graph.inputs:
        seen.add(source.name)
    for node in graph.nodes:
        if node.name in seen:
            raise IRError(f"{node.name}: two values have this name")
        seen.add(node.name)
    types = graph.types
    for node in graph.nodes:
        if len(node.scale) not in (1, types[node.name].channels):
            raise IRError(
                f"{node.name}: {len(node.scale)} scales for {types[node.name].channels} channels"
            )
        if not all(0 < scale < float("inf") for scale in node.scale):
            raise IRError(f"{node.name}: scale {node.scale} is not positive and finite")
    if not graph.outputs:
        raise IRError(f"graph {graph.name} has no output")
    for name in graph.outputs:
        if name not in types:
            raise IRError(f"output {name!r} is computed by no node")
    layouts = [(source.name, source.layout) for source in graph.inputs]
    for name, layout in (*layouts, (graph.outputs[0], graph.output_layout)):
        if layout is not None and math.prod(layout.model) != types[name].size:
            raise IRError(
                f"{name}: frames of the model are {layout.model}, expected {types[name].size} codes"
            )
