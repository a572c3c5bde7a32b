"""Small mapped graphs: a perceptron in every kernel, folded and unrolled, and lone operators."""

from __future__ import annotations

import numpy as np

from hwgen.ir import Graph, Input, Node, TensorType
from hwgen.numeric import CodeType, Rounding
from hwgen.ops.case import bipolar_vector, integers, vector
from hwgen.ops.convert_lanes import ConvertLanes
from hwgen.ops.fifo import Fifo
from hwgen.ops.matvec import Kernel, MatVec
from hwgen.ops.requantize import Requantize
from hwgen.ops.thresholds import Thresholds


def chain(name: str, x: TensorType, *ops: tuple[str, object, str]) -> Graph:
    """Return a graph of (name, op, source) nodes, each reading the one before."""
    nodes, previous = [], "x"
    for node_name, op, source in ops:
        nodes.append(Node(node_name, op, (previous,), source=source))
        previous = node_name
    return Graph(name, (Input("x", x, source="images"),), tuple(nodes), (previous,))


def perceptron(kernel: Kernel, unrolled: bool = False, name: str = "network") -> Graph:
    """Two layers, 6 -> 4 -> 3, with a threshold activation, a converter, a FIFO, a rescale."""
    binary = kernel is Kernel.XNOR
    reach = {Kernel.XNOR: 1, Kernel.SIGNED_ADD: 1, Kernel.SHIFT_ADD: 6}.get(kernel, 31)
    step = 2 if binary else 1
    first = integers((4, 6), -reach, reach, step, seed=1)
    second = integers((3, 4), -reach, reach, step, seed=2)
    x = bipolar_vector(6) if binary else vector(6, -8, 7)
    codes = CodeType.binary() if binary else CodeType(0, 3)
    thresholds = np.sort(integers((4, codes.size - 1), -20, 20, seed=3), axis=1)
    pe, simd = (4, 6) if unrolled else (2, 3)
    last_pe, last_simd = (3, 4) if unrolled else (1, 4)
    rescale = Requantize(
        integers((3,), 1, 9), integers((3,), -9, 9), 3, Rounding.RND_CONV, CodeType(-8, 7), last_pe
    )
    middle = [("to_fc2", ConvertLanes(pe, 4), "")] if pe != 4 else []
    return chain(
        name,
        x,
        ("fc1", MatVec(first, pe, simd, kernel), "/fc1/MatMul"),
        ("act1", Thresholds(thresholds, integers((4,), 0, 1), codes, pe), "/relu1/Quant"),
        *middle,
        ("fifo1", Fifo(4, 4), ""),
        ("fc2", MatVec(second, last_pe, last_simd, kernel), "/fc2/MatMul"),
        ("scale2", rescale, "/fc2/Quant"),
    )


def lone(op: object, x: TensorType, name: str = "lone") -> Graph:
    """Return a graph of one operator."""
    return chain(name, x, ("unit", op, ""))
