"""Small seeded networks, folded at random, as graphs of integer codes."""

from __future__ import annotations

import itertools

import numpy as np

from hwgen.ir import Graph, Input, Node, Op, TensorType
from hwgen.numeric import CodeType, Rounding
from hwgen.ops.add import Add
from hwgen.ops.concat import Concat
from hwgen.ops.lane_choices import divisors
from hwgen.ops.matvec import Kernel, MatVec
from hwgen.ops.max_pool import MaxPool
from hwgen.ops.requantize import Requantize
from hwgen.ops.reshape import Reshape
from hwgen.ops.sliding_window import SlidingWindow
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


class Builder:
    """Append nodes; keeps the types, so that foldings can be drawn that fit."""

    def __init__(self, seed: int, kind: TensorType) -> None:
        self.rng = np.random.default_rng(seed)
        self.nodes: list[Node] = []
        self.types = {"x": kind}

    def add(self, op: Op, *inputs: str) -> str:
        name = f"{op.name}{len(self.nodes)}"
        self.nodes.append(Node(name, op, inputs))
        self.types[name] = op.infer(*(self.types[value] for value in inputs))
        return name

    def lanes(self, channels: int) -> int:
        return int(self.rng.choice(divisors(channels)))

    def convolution(self, value: str, channels: int, stride: int = 1) -> str:
        """3x3, padded, and a requantization to 0..15."""
        x = self.types[value]
        window = SlidingWindow(
            (3, 3), (stride, stride), padding=(1, 1, 1, 1), pe=self.lanes(x.channels)
        )
        patches = self.add(window, value)
        columns = 9 * x.channels
        weights = self.rng.integers(-4, 5, (channels, columns))
        return self.matvec(patches, weights)

    def matvec(self, value: str, weights: np.ndarray) -> str:
        rows, columns = weights.shape
        pe, simd = self.lanes(rows), self.lanes(columns)
        return self.quantize(self.add(MatVec(weights, pe, simd), value), pe)

    def quantize(self, value: str, pe: int) -> str:
        shift = max(self.types[value].codes.width - 5, 0)
        one, zero = np.array([1]), np.array([0])
        op = Requantize(one, zero, shift, Rounding.RND, CodeType(0, 15), pe)
        return self.add(op, value)

    def graph(self, output: str) -> Graph:
        return Graph("network", (Input("x", self.types["x"]),), tuple(self.nodes), (output,))


def residual_network(seed: int, size: int = 6) -> Graph:
    """Fork and join twice, once around two convolutions; pool, flatten, classify."""
    net = Builder(seed, TensorType((size, size, 2), CodeType(0, 15)))
    first = net.convolution("x", 4)
    stride = 1 + seed % 2
    inner = net.convolution(net.convolution(first, 4, stride), 4)
    short = first if stride == 1 else net.add(SlidingWindow((1, 1), (2, 2), pe=2), first)
    pe = net.lanes(4)
    total = net.quantize(net.add(Add(np.array([2, 1]), pe), inner, short), pe)
    both = net.add(Concat(net.lanes(4)), total, net.convolution(total, 4))
    pooled = net.add(MaxPool((2, 2), (2, 2), pe=net.lanes(8)), both)
    flat = net.add(Reshape((net.types[pooled].size,), net.lanes(8)), pooled)
    columns = net.types[flat].size
    return net.graph(net.matvec(flat, net.rng.integers(-4, 5, (6, columns))))
