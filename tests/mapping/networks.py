"""Small seeded networks, folded at random, as graphs of integer codes."""

from __future__ import annotations

import itertools

import numpy as np

from hwgen.ir import Graph, Input, Node, TensorType
from hwgen.numeric import CodeType, Rounding
from hwgen.ops.matvec import Kernel, MatVec, divisors
from hwgen.ops.requantize import Requantize
from hwgen.ops.thresholds import Thresholds


def random_network(seed: int, widths: tuple[int, ...] = (12, 8, 6, 4), fold: bool = True) -> Graph:
    """Alternate fixed-point and binary layers; foldings drawn from the divisors."""
    rng = np.random.default_rng(seed)
    kind = TensorType((widths[0],), CodeType(0, 7))
    nodes: list[Node] = []
    name = "x"
    for k, (columns, rows) in enumerate(itertools.pairwise(widths)):
        binary = kind.codes.bipolar
        weights = (
            rng.choice([-1, 1], (rows, columns)) if binary else rng.integers(-7, 8, (rows, columns))
        )
        pe = int(rng.choice(divisors(rows))) if fold else 1
        simd = int(rng.choice(divisors(columns))) if fold else 1
        op = MatVec(weights, pe, simd, Kernel.XNOR if binary else Kernel.MAC)
        nodes.append(Node(f"fc{k}", op, (name,)))
        kind = op.infer(kind)
        if rng.random() < 0.5:
            bound = kind.codes.hi
            table = rng.integers(-bound, bound, (rows, 1))
            function = Thresholds(table, rng.integers(0, 2, rows), CodeType.binary(), pe)
        else:
            offset = rng.integers(-50, 50, rows)
            one = np.array([1])
            function = Requantize(one, offset, 3, Rounding.RND_CONV, CodeType(0, 15), pe)
        nodes.append(Node(f"act{k}", function, (f"fc{k}",)))
        kind = function.infer(kind)
        name = f"act{k}"
    source = Input("x", TensorType((widths[0],), CodeType(0, 7)))
    return Graph("network", (source,), tuple(nodes), (name,))
