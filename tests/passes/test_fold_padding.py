"""A border moves into the windows that read it; one that somebody else sees stays."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hwgen.ir import Graph, Input, Node, TensorType
from hwgen.ir.text import parse_graph, print_graph
from hwgen.numeric import CodeType
from hwgen.ops.pad import Pad
from hwgen.ops.registry import IR_OPERATORS
from hwgen.ops.sliding_window import SlidingWindow
from hwgen.passes import FoldPadding, run_passes

TEXT = """graph g

%x : [4, 4, 1] -8..7 scale 0x1p+0 = input rounding=RND_CONV zero_point=0 prepare=()
"""
BORDER = """%p : [5, 5, 1] -8..7 scale 0x1p+0 = pad(%x) padding=(0, 0, 1, 1) pad_code=0 pe=1 \
pixels=1
"""
WINDOW = """%w : [2, 2, 9] -8..7 scale 0x1p+0 = sliding_window(%{reads}) kernel=(3, 3) \
stride=(2, 2) dilation=(1, 1) padding={padding} pad_code=0 pe=1 taps=1 pixels=1 ultra_ram=false
output %w
"""
BEFORE = TEXT + BORDER + WINDOW.format(reads="p", padding=(0, 0, 0, 0))
AFTER = TEXT + WINDOW.format(reads="x", padding=(0, 0, 1, 1))
SIGNED = CodeType(-8, 7)


def parsed(text):
    return parse_graph(text, IR_OPERATORS)


def network(*ops, codes=SIGNED, shape=(4, 5, 2), outputs=1):
    """Operators one behind the other; the last `outputs` of them are outputs."""
    names = ["x", *(f"n{index}" for index in range(len(ops)))]
    nodes = [Node(names[i + 1], op, (names[i],), (1.0,)) for i, op in enumerate(ops)]
    x = Input("x", TensorType(shape, codes))
    return Graph("g", (x,), tuple(nodes), tuple(names[-outputs:]))


def folded(before, rng):
    """Return the graph after the pass, which computes the same."""
    after = run_passes(before, [FoldPadding()])
    kind = before.inputs[0].type
    codes = rng.integers(kind.codes.lo, kind.codes.hi + 1, (3, *kind.shape))
    codes = np.where(codes == 0, 1, codes) if kind.codes.bipolar else codes
    for name in before.outputs:
        one, other = (g.trace(codes)[name] for g in (before, after))
        assert np.array_equal(one, other)
    return after


def operators(graph):
    return [node.op.name for node in graph.nodes]


def test_before_and_after(rng):
    assert print_graph(folded(parsed(BEFORE), rng)) == print_graph(parsed(AFTER))


def test_two_borders_and_the_windows_own(rng):
    window = SlidingWindow((3, 3), padding=(1, 0, 0, 1), pad_code=3)
    after = folded(network(Pad((0, 1, 0, 0), 3), Pad((1, 0, 0, 1), 3), window), rng)
    assert operators(after) == ["sliding_window"]
    assert after.nodes[0].op.padding == (2, 1, 0, 2)


@pytest.mark.parametrize("pad_code", [-1, 1])
def test_bits(rng, pad_code):
    window = SlidingWindow((2, 2), padding=(1, 0, 0, 0), pad_code=pad_code)
    after = folded(network(Pad((0, 1, 0, 1), pad_code), window, codes=CodeType.binary()), rng)
    assert operators(after) == ["sliding_window"]


@pytest.mark.parametrize(
    ("ops", "why"),
    [
        ((Pad((1, 0, 0, 0)), SlidingWindow((2, 2), padding=(0, 1, 0, 0), pad_code=3)), "codes"),
        ((Pad((2, 0, 0, 0)), SlidingWindow((2, 2))), "a window of padding alone"),
        ((Pad((1, 1, 0, 0)), SlidingWindow((1, 1), (2, 2))), "a kernel of one tap"),
        ((Pad((1, 0, 0, 0)), Pad((0, 1, 0, 0))), "no window"),
    ],
)
def test_left_alone(ops, why, rng):
    before = network(*ops)
    assert print_graph(folded(before, rng)) == print_graph(before), why


def test_a_border_that_others_read_stays_beside_the_window(rng):
    before = network(Pad((1, 1, 1, 1)), SlidingWindow((3, 3)), outputs=2)
    after = folded(before, rng)
    assert operators(after) == ["pad", "sliding_window"]
    assert after.nodes[1].inputs == ("x",)


sides = st.tuples(*[st.integers(0, 2)] * 4)


@given(sides.filter(any), sides, st.integers(1, 3), st.integers(1, 2), st.integers(0, 2**32 - 1))
def test_any_padding_computes_the_same(border, own, kernel, dilation, seed):
    reach = (kernel - 1) * dilation + 1
    own = tuple(min(side, reach - 1) for side in own)
    stride = 2 if kernel == 1 else 1
    window = SlidingWindow((kernel, kernel), (stride, stride), (dilation, dilation), own)
    after = folded(network(Pad(border), window, shape=(6, 5, 2)), np.random.default_rng(seed))
    assert operators(after)[-1] == "sliding_window"
