"""`in_ultra_ram`: FIFOs move into UltraRAM where the board has some left.

Line memories are choices of the folding search; a FIFO's depth is known only behind it.
"""

from __future__ import annotations

from dataclasses import replace

from hwgen.board import Board
from hwgen.cost import Resources
from hwgen.ir import Graph, Node
from hwgen.ops.fifo import Fifo


def in_ultra_ram(graph: Graph, board: Board) -> Graph:
    """Return `graph` with the largest FIFOs in UltraRAM, as many as the board has room for."""
    used = sum((_resources(graph, node).uram for node in graph.nodes), 0.0)
    moved: dict[str, Node] = {}
    for node in sorted(graph.nodes, key=lambda node: -_resources(graph, node).bram36):
        if isinstance(node.op, Fifo):
            ultra = replace(node, op=replace(node.op, ultra_ram=True))
            needed = _resources(graph, ultra).uram
            if needed and used + needed <= board.resources.uram:
                moved[node.name] = ultra
                used += needed
    return graph.with_nodes(tuple(moved.get(node.name, node) for node in graph.nodes))


def _resources(graph: Graph, node: Node) -> Resources:
    return node.op.estimate(*graph.input_types(node))
