"""`with_target`: tell every matrix-vector product what its adders may be made of."""

from __future__ import annotations

from dataclasses import replace

from hwgen.adders import MULTIPLIERS, TERNARY_FAMILIES, AdderTarget
from hwgen.board import Board
from hwgen.ir import Graph, Node
from hwgen.ops.matvec import MatVec

# Of the clock's period; the rest is for its uncertainty and for the longer routes of a full device:
# whole graphs on ECP5 took 1.3 times as long as the chains that the model was fitted to.
USABLE_PERIOD = 0.7


def target_of(board: Board, clock_mhz: float, effort: float) -> AdderTarget:
    """Return what `board` allows at this clock.

    Parameters
    ----------
    effort : of the search for each unrolled matrix, in seconds of a common core
    """
    return AdderTarget(
        effort=effort,
        three_operands=board.family in TERNARY_FAMILIES,
        multiplier=MULTIPLIERS[board.family],
        family=board.family,
        period_ps=int(USABLE_PERIOD * 1e6 / clock_mhz),
    )


def with_target(graph: Graph, target: AdderTarget) -> Graph:
    """Return `graph` with `target` in every matrix-vector product."""
    return graph.with_nodes(tuple(_aimed(node, target) for node in graph.nodes))


def _aimed(node: Node, target: AdderTarget) -> Node:
    if not isinstance(node.op, MatVec):
        return node
    return replace(node, op=replace(node.op, target=target))
