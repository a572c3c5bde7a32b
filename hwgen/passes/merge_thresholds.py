"""Merge a matrix-vector product with the lone threshold of each of its rows."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import ClassVar

import numpy as np

from hwgen.errors import PassError
from hwgen.ir import Graph, Node
from hwgen.numeric import CodeType
from hwgen.ops.matvec import MatVec
from hwgen.ops.matvec_threshold import ONE_BIT, MatVecThreshold
from hwgen.ops.thresholds import Thresholds
from hwgen.passes.base import Pass


@dataclass(frozen=True)
class MergeThresholds(Pass):
    """Let the product say which sums have reached their threshold.

    1. A product and the thresholds behind it, one a channel, become one node of the product's
       name.  # (W x >= t) -> matvec_threshold(x)
    2. Where a channel falls its row changes sign.  # not (w x >= t) -> -w x >= 1 - t

    Left alone when: something else reads the sums; the result is not -1 and +1, or 0 and 1; or a
    row that changes sign would leave the interval of the weights.
    Numeric effect: none.
    """

    name: ClassVar[str] = "merge_thresholds"

    def run(self, graph: Graph) -> Graph:
        """Merge one pair after the other."""
        for name in [node.name for node in graph.nodes]:
            node = graph.node(name)
            merged = merged_node(graph, node)
            if merged is not None:
                graph = _with(graph, merged, node)
        return graph

    def ensures(self, before: Graph, after: Graph) -> None:
        """Every output has the shape and type it had."""
        super().ensures(before, after)
        kinds = [[g.types[name] for name in g.outputs] for g in (before, after)]
        if kinds[0] != kinds[1]:
            raise PassError("an output has another type")


def merged_node(graph: Graph, node: Node) -> Node | None:
    """Return what `node` and the product before it become, or None where they stay apart."""
    compare = node.op
    product = next((n for n in graph.nodes if n.name == node.inputs[0]), None)
    if not isinstance(compare, Thresholds) or product is None:
        return None
    if type(product.op) is not MatVec or compare.codes not in ONE_BIT:
        return None
    if len(graph.consumers(product.name)) > 1 or product.name in graph.outputs:
        return None
    rows = len(product.op.weights)
    thresholds = np.broadcast_to(compare.thresholds[:, 0], rows)
    falling = np.broadcast_to(compare.falling, rows) == 1
    weights = np.where(falling[:, None], -product.op.weights, product.op.weights)
    before, after = CodeType.of(product.op.weights), CodeType.of(weights)
    if after.lo < before.lo or after.hi > before.hi:
        return None
    op = MatVecThreshold(
        weights, thresholds=np.where(falling, 1 - thresholds, thresholds), codes=compare.codes
    )
    source = ", ".join(n.source for n in (product, node) if n.source)
    return replace(product, op=op, scale=node.scale, source=source)


def _with(graph: Graph, merged: Node, compare: Node) -> Graph:
    nodes = []
    for node in graph.nodes:
        if node.name == compare.name:
            continue
        reads = tuple(merged.name if name == compare.name else name for name in node.inputs)
        nodes.append(merged if node.name == merged.name else replace(node, inputs=reads))
    outputs = tuple(merged.name if name == compare.name else name for name in graph.outputs)
    return replace(graph, nodes=tuple(nodes), outputs=outputs)
