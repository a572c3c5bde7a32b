"""Frames that stand at the edges of the network's finite functions.

An off-by-one threshold shows only on the one input code where the function steps, which a random
frame meets by chance. Of many random frames this keeps those that together meet the most edges.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import numpy as np
import numpy.typing as npt

from hwgen.ir import Codes, Graph, Node
from hwgen.ops.convert_lanes import ConvertLanes
from hwgen.ops.fifo import Fifo
from hwgen.ops.matvec import MatVec
from hwgen.ops.matvec_threshold import MatVecThreshold

_CANDIDATES = 2048
_MOST_CODES = 1 << 27  # of all values of all candidates: a large network has fewer to choose from
_PORTION_CODES = 1 << 24  # of these in memory at once
_MOST_EDGES = 1 << 15  # of a node; beyond, its steps are so many that random frames meet them


def boundary_frames(graph: Graph, candidates: Codes, count: int) -> Codes:
    """Return the `count` candidates that greedily meet the most edges, best first.

    Parameters
    ----------
    candidates : input codes, frames first
    """
    count = min(count, len(candidates))
    met = edges_met(graph, candidates)
    left = np.ones(met.shape[1], dtype=bool)
    chosen: list[int] = []
    free = np.ones(len(candidates), dtype=bool)
    gains = met.sum(axis=1)
    while len(chosen) < count:
        best = int(np.argmax(np.where(free, gains, -1)))
        chosen.append(best)
        free[best] = False
        new = met[best] & left
        left &= ~new
        gains = gains - met[:, new].sum(axis=1)
    return candidates[chosen]


def edges_met(graph: Graph, frames: Codes) -> npt.NDArray[np.bool_]:
    """Return which edges each frame meets: bool [frames, edges].

    An edge is a channel, an output code, and the side on which the next input code gives another.
    """
    graph = _with_sums(graph)
    functions = [node for node in graph.nodes if _is_function(node, graph)]
    if not functions:
        return np.zeros((len(frames), 0), dtype=bool)
    portion = max(_PORTION_CODES // graph.codes_per_frame, 1)
    rows = []
    for begin in range(0, len(frames), portion):
        values = graph.trace(frames[begin : begin + portion])
        columns = [m for n in functions for m in _edges_of(graph, n, values[n.inputs[0]])]
        rows.append(np.concatenate(columns, axis=1))
    met = np.concatenate(rows)
    return np.asarray(met[:, met.any(axis=0)])


def _with_sums(graph: Graph) -> Graph:
    """Return `graph` with products apart from their thresholds."""
    nodes: list[Node] = []
    for node in graph.nodes:
        if isinstance(node.op, MatVecThreshold):
            product, compare = node.op.parts
            sums = f"{node.name}_sums"
            nodes += [
                replace(node, name=sums, op=product),
                replace(node, op=compare, inputs=(sums,)),
            ]
        else:
            nodes.append(node)
    return graph.with_nodes(tuple(nodes))


def candidate_frames(graph: Graph, rng: np.random.Generator) -> Codes:
    """Return random frames to choose from."""
    kind = graph.inputs[0].type
    every = kind.codes.codes()
    count = min(_CANDIDATES, max(_MOST_CODES // graph.codes_per_frame, 1))
    return every[rng.integers(0, len(every), (count, *kind.shape))]


def _is_function(node: Node, graph: Graph) -> bool:
    """Whether the node maps each code by itself, and not just moves them."""
    if len(node.inputs) != 1 or isinstance(node.op, MatVec | ConvertLanes | Fifo):
        return False
    (x,) = graph.input_types(node)
    out = graph.types[node.name]
    return x.shape == out.shape and out.channels * out.codes.size <= _MOST_EDGES


def _edges_of(graph: Graph, node: Node, x: Codes) -> Iterator[npt.NDArray[np.bool_]]:
    codes = graph.input_types(node)[0].codes
    out = graph.types[node.name]
    y = node.op.evaluate(x)
    step = 2 if codes.bipolar else 1
    channel = np.broadcast_to(np.arange(out.channels), y.shape)
    edge = channel * out.codes.size + (y - out.codes.lo) // (2 if out.codes.bipolar else 1)
    frame = np.broadcast_to(np.arange(len(x)).reshape(-1, *[1] * (x.ndim - 1)), y.shape)
    for side in (-step, step):
        neighbour = node.op.evaluate(np.clip(x + side, codes.lo, codes.hi))
        at_edge = neighbour != y
        met = np.zeros((len(x), out.channels * out.codes.size), dtype=bool)
        met[frame[at_edge], edge[at_edge]] = True
        yield met
