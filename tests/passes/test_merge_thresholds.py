"""A product takes in the lone thresholds behind it; what it gives stays the same."""

import numpy as np
import pytest

from hwgen.ir import Graph, Input, Node, TensorType
from hwgen.ir.text import parse_graph, print_graph
from hwgen.numeric import CodeType
from hwgen.ops.matvec import MatVec
from hwgen.ops.matvec_threshold import MatVecThreshold
from hwgen.ops.registry import IR_OPERATORS
from hwgen.ops.thresholds import Thresholds
from hwgen.passes import MergeThresholds, run_passes

HEAD = """graph g

%x : [2] -8..7 scale 0x1p+0 = input rounding=RND_CONV zero_point=0 prepare=()
"""


def network(compare, weights=((3, -3), (5, -5)), outputs=("act",)):
    fc = Node("fc", MatVec(np.array(weights)), ("x",), (0.125,), "fc.weight")
    act = Node("act", compare, ("fc",), (2.0,), "sign")
    source = Input("x", TensorType((2,), CodeType(-8, 7)))
    return Graph("g", (source,), (fc, act), outputs)


def cut(thresholds, falling, codes):
    return Thresholds(np.array(thresholds), np.array(falling), codes)


def same_codes(before, after):
    frames = np.array([[a, b] for a in range(-8, 8) for b in range(-8, 8)])
    assert np.array_equal(before.evaluate(frames), after.evaluate(frames))
    assert before.scale_of(before.outputs[0]) == after.scale_of(after.outputs[0])


def test_before_and_after():
    before = network(cut([[4], [-9]], [0, 1], CodeType.binary()))
    after = run_passes(before, [MergeThresholds()])
    same_codes(before, after)
    assert print_graph(after) == HEAD + (
        "%fc : [2] bipolar scale 0x1p+1 = matvec_threshold(%x) weights=[[3 -3] [-5 5]] pe=1 simd=1 "
        'kernel=mac pixels=1 thresholds=[4 10] codes=bipolar  # from "fc.weight, sign"\n'
        "output %fc\n"
    )
    assert print_graph(parse_graph(print_graph(after), IR_OPERATORS)) == print_graph(after)


@pytest.mark.parametrize("seed", range(8))
def test_random_networks(seed):
    rng = np.random.default_rng(seed)
    weights = rng.integers(-4, 5, (3, 2))
    weights[0] = -4, 4
    codes = CodeType.binary() if seed % 2 else CodeType(0, 1)
    before = network(
        cut(rng.integers(-40, 40, (3, 1)), rng.integers(0, 2, 3 if seed % 3 else 1), codes), weights
    )
    after = run_passes(before, [MergeThresholds()])
    assert [type(node.op) for node in after.nodes] == [MatVecThreshold]
    same_codes(before, after)


@pytest.mark.parametrize(
    "before",
    [
        network(cut([[4, 5], [2, 9]], [0], CodeType(0, 2))),
        network(cut([[4], [2]], [0], CodeType(1, 2))),
        network(cut([[4], [2]], [1], CodeType(0, 1)), ((3, -8), (5, -5))),
    ],
    ids=["several thresholds", "other codes", "weights would grow"],
)
def test_left_alone(before):
    assert print_graph(run_passes(before, [MergeThresholds()])) == print_graph(before)
