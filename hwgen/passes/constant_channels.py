"""Which channels of a value always hold the same code: a second inference of types, a finer one.

Types give thresholds and tables one interval for all channels, and a bit is always -1 or +1. Here
each channel has its own interval, so that one whose ends meet is a constant. Used by
`remove_dead_channels.py`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace

import numpy as np

from hwgen.ir import Codes, Graph, Op, TensorType, union
from hwgen.numeric import CodeType
from hwgen.ops.depthwise import Depthwise
from hwgen.ops.matvec import Kernel, MatVec
from hwgen.ops.table import Table
from hwgen.ops.thresholds import Thresholds
from hwgen.passes.narrow_operator import Mask


def channel_types(graph: Graph) -> Mapping[str, TensorType]:
    """Return the type of every value with an interval for each channel, none of them bipolar."""
    found = {source.name: _integers(source.type) for source in graph.inputs}
    for node in graph.nodes:
        found[node.name] = _integers(_inferred(node.op, [found[name] for name in node.inputs]))
    return found


def constants(x: TensorType) -> tuple[Mask, Codes]:
    """Return which channels of `x`, of `channel_types`, are constant, and the lowest codes."""
    low = np.array([codes.lo for codes in x.per_channel()], dtype=np.int64)
    high = np.array([codes.hi for codes in x.per_channel()], dtype=np.int64)
    return low == high, low


def _inferred(op: Op, inputs: list[TensorType]) -> TensorType:
    if isinstance(op, MatVec | Depthwise):
        op = replace(op, kernel=Kernel.MAC)  # takes any codes; the intervals are the same
    if isinstance(op, Thresholds):
        (x,) = inputs
        ends = np.array([[c.lo for c in x.per_channel()], [c.hi for c in x.per_channel()]])
        return _typed(x, np.sort(op.evaluate(ends), axis=0).T)  # never falls or never rises
    if isinstance(op, Table):
        (x,) = inputs
        rows = np.broadcast_to(op.contents, (x.channels, op.contents.shape[1]))
        reached = [
            row[codes.lo - op.lo : codes.hi - op.lo + 1]
            for row, codes in zip(rows, x.per_channel(), strict=True)
        ]
        return _typed(x, ((row.min(), row.max()) for row in reached))
    return op.infer(*inputs)


def _typed(x: TensorType, ends: Iterable[tuple[int, int]]) -> TensorType:
    each = tuple(CodeType(int(low), int(high)) for low, high in ends)
    return TensorType(x.shape, union(each), each)


def _integers(x: TensorType) -> TensorType:
    """Return bits as the integers -1..1: the interval of a channel may then be smaller."""
    return _typed(x, ((codes.lo, codes.hi) for codes in x.per_channel()))
