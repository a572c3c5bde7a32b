"""Channels without bits go away with their rows, columns, parameters and taps; no code changes."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hwgen.errors import PassError
from hwgen.ir import Graph, Input, Node, TensorType, verify
from hwgen.ir.text import parse_graph, print_graph
from hwgen.numeric import CodeType, Rounding
from hwgen.ops.add import Add
from hwgen.ops.border_offset import zero_padding
from hwgen.ops.case import bipolar_vector, integers, vector
from hwgen.ops.depthwise import Depthwise
from hwgen.ops.matvec import MatVec
from hwgen.ops.max_pool import MaxPool
from hwgen.ops.registry import IR_OPERATORS
from hwgen.ops.requantize import Requantize
from hwgen.ops.reshape import Reshape
from hwgen.ops.sliding_window import SlidingWindow
from hwgen.ops.sum_pool import SumPool
from hwgen.ops.table import Table
from hwgen.ops.thresholds import Thresholds
from hwgen.ops.window_max import WindowMax
from hwgen.passes import RemoveDeadChannels, run_passes
from hwgen.passes.constant_channels import channel_types, constants
from hwgen.passes.remove_dead_channels import kept_channels, random_frames
from tests.mapping.network import Network
from tests.ops.simulation import from_beats, simulate, to_beats

SAME = (1, 1, 1, 1)
IMAGE = TensorType((4, 4, 2), CodeType(-4, 3))


def network(x, *ops, outputs=None):
    """A graph of (name, op, inputs or nothing: the node before)."""
    nodes, previous = [], "x"
    for name, op, *inputs in ops:
        nodes.append(Node(name, op, tuple(inputs) or (previous,)))
        previous = name
    return Graph("g", (Input("x", x),), tuple(nodes), (outputs or previous,))


def smaller(graph, frames=64):
    """The graph without dead channels, which gives the same codes."""
    verify(graph)
    after = run_passes(graph, [RemoveDeadChannels()])
    x = graph.inputs[0].type
    codes = np.random.default_rng(1).choice(x.codes.codes(), (frames, *x.shape))
    assert np.array_equal(after.evaluate(codes), graph.evaluate(codes))
    assert run_passes(after, [RemoveDeadChannels()]) is after
    return after


def shapes(graph):
    return {n.name: n.op.weights.shape for n in graph.nodes if isinstance(n.op, MatVec)}


def relu(offset, high=15, shift=2):
    return Requantize(np.array([1]), np.array(offset), shift, Rounding.TRN, CodeType(0, high))


def test_before_and_after():
    head = "graph g\n\n%x : [2] -8..7 scale 0x1p+0 = input rounding=RND_CONV zero_point=0 "
    head += "prepare=()\n"
    fold, mode = "pe=1 simd=1 kernel=mac pixels=1\n", "shift=1 rounding=TRN codes=0..15 pe=1\n"
    text = (
        f"{head}%a : [3] -75..75 scale 0x1p+0 = matvec(%x) weights=[[3 2] [0 0] [5 -5]] {fold}"
        f"%f : [3] 0..15 scale 0x1p+0 = requantize(%a) multiplier=[1] offset=[1 9 3] {mode}"
        f"%b : [2] -11..121 scale 0x1p+0 = matvec(%f) weights=[[0 4 7] [0 1 -1]] {fold}"
        f"%g : [2] 0..15 scale 0x1p+0 = requantize(%b) multiplier=[3] offset=[1] {mode}output %g\n"
    )
    before = parse_graph(text, IR_OPERATORS)
    # Channel 0 is unread; channel 1 is always 9 >> 1 = 4, which gives 16 and 4.
    assert print_graph(smaller(before)) == (
        f"{head}%a : [1] -75..75 scale 0x1p+0 = matvec(%x) weights=[[5 -5]] {fold}"
        f"%f : [1] 0..15 scale 0x1p+0 = requantize(%a) multiplier=[1] offset=[3] {mode}"
        f"%b : [2] -15..105 scale 0x1p+0 = matvec(%f) weights=[[7] [-1]] {fold}"
        f"%g : [2] 0..15 scale 0x1p+0 = requantize(%b) multiplier=[3] offset=[49 13] {mode}"
        "output %g\n"
    )


def functions(draw, channels, reach):
    """A requantization, thresholds or a table of `channels` sums of at most `reach`."""
    kind = draw(st.sampled_from(["requantize", "thresholds", "bits", "table"]))
    chance = np.random.default_rng(draw(st.integers(0, 2**16)))
    rows = channels if draw(st.booleans()) else 1
    if kind == "requantize":
        factor, offset = chance.integers(-3, 4, rows), chance.integers(-40, 40, channels)
        return Requantize(factor, offset, 3, draw(st.sampled_from(Rounding)), CodeType(-2, 5))
    if kind == "table":
        contents = np.repeat(chance.integers(-3, 4, (rows, reach // 8 + 1)), 16, axis=1)
        return Table(contents, -reach - 1, CodeType(-3, 3))
    codes = CodeType.binary() if kind == "bits" else CodeType(0, 3)
    table = np.sort(chance.integers(-2 * reach, 2 * reach, (rows, codes.size - 1)), axis=1)
    return Thresholds(table, chance.integers(0, 2, rows), codes)


@st.composite
def perceptrons(draw):
    """Layers with zero rows and columns, and functions that reach few of their codes."""
    x = draw(st.sampled_from([vector(4, -3, 2), bipolar_vector(4)]))
    ops, graph, count = [], None, draw(st.integers(2, 4))
    for k in range(count):
        columns = x.channels if graph is None else graph.types[f"f{k - 1}"].channels
        rows = draw(st.integers(1, 6))
        chance = np.random.default_rng(draw(st.integers(0, 2**16)))
        weights = chance.integers(-3, 4, (rows, columns))
        weights[chance.random(rows) < 0.3] = 0
        weights[:, chance.random(columns) < 0.3] = 0
        ops.append((f"m{k}", MatVec(weights)))
        sums = network(x, *ops).types[f"m{k}"].codes
        ops.append((f"f{k}", functions(draw, rows, max(-sums.lo, sums.hi, 1))))
        graph = network(x, *ops)
    return graph


@settings(max_examples=80)
@given(graph=perceptrons())
def test_random_perceptrons_give_the_same_codes(graph):
    after = smaller(graph)
    for name, (_, columns) in shapes(after).items():
        weights = after.node(name).op.weights
        read = after.node(name).inputs[0]
        if read != "x" and columns > 1:  # so few channels leave no spare ones
            assert weights.any(axis=0).all()
            assert not constants(channel_types(after)[read])[0].any()


@st.composite
def convolutions(draw):
    """Windows, pools and a flattened head around channels of which some are dead or constant."""
    chance = np.random.default_rng(draw(st.integers(0, 2**16)))
    padding = draw(st.sampled_from([SAME, (0, 0, 0, 0)]))
    first = chance.integers(-2, 3, (5, 18))
    first[chance.random(5) < 0.4] = 0
    ops = [("w1", SlidingWindow((3, 3), padding=SAME)), ("m1", MatVec(first))]
    ops.append(("f1", functions(draw, 5, 9 * 2 * 2 * 4)))
    bipolar = ops[-1][1].codes.bipolar
    middle = draw(st.sampled_from(["none", "max", "sum", "depthwise", "window_max"]))
    pad_code = draw(st.sampled_from([-1, 1])) if bipolar else draw(st.integers(-1, 1))
    around = SlidingWindow((2, 2), padding=padding, pad_code=pad_code)
    ops += {
        "none": [],
        "max": [("p", MaxPool((2, 2), (2, 2)))],
        "sum": [("p", SumPool((1, 2), (1, 2)))],
        "depthwise": [("v", around), ("p", Depthwise(chance.integers(-2, 3, (5, 4))))],
        "window_max": [("v", around), ("p", WindowMax(4))],
    }[middle]
    shape = network(IMAGE, *ops).types[ops[-1][0]].shape
    if draw(st.booleans()):
        wide = middle in ("none", "max", "window_max") and bipolar
        pad = draw(st.sampled_from([-1, 1])) if wide else draw(st.integers(-1, 1))
        ops.append(("w2", SlidingWindow((2, 2), padding=SAME, pad_code=pad)))
        shape = network(IMAGE, *ops).types["w2"].shape
    else:
        ops.append(("flat", Reshape((int(np.prod(shape)),))))
        shape = (int(np.prod(shape)),)
    weights = chance.integers(-2, 3, (3, shape[-1] // 5, 5)) * (chance.random(5) < 0.7)
    ops.append(("m2", MatVec(weights.reshape(3, -1))))
    reach = network(IMAGE, *ops).types["m2"].codes
    ops.append(("f2", functions(draw, 3, max(-reach.lo, reach.hi, 1))))
    return network(IMAGE, *ops)


@settings(max_examples=80)
@given(graph=convolutions())
def test_random_convolutions_give_the_same_codes(graph):
    after = smaller(graph, frames=16)
    unread = ~graph.node("m2").op.weights.reshape(3, -1, 5).any(axis=(0, 1))
    rows, columns = shapes(after)["m1"][0], shapes(after)["m2"][1]
    assert rows <= max(5 - unread.sum(), 1)
    assert columns * 5 == shapes(graph)["m2"][1] * rows


def test_constant_next_to_padding_stays_unless_the_padding_is_the_same_code():
    first = integers((3, 2), -3, 3)
    first[1] = 0
    for offset, rows in (([0, 0, 0], 2), ([0, 4, 0], 3)):
        graph = network(
            IMAGE,
            ("m1", MatVec(first)),
            ("f1", relu(offset)),
            ("w", SlidingWindow((3, 3), padding=SAME)),
            ("m2", MatVec(integers((2, 27), 1, 3))),
            ("f2", relu([0])),
        )
        assert shapes(smaller(graph)) == {"m1": (rows, 2), "m2": (2, 9 * rows)}


def test_border_of_bits_takes_the_constant_over():
    signs = integers((3, 2), -1, 1, step=2)
    window = SlidingWindow((3, 3), padding=SAME, pad_code=1)
    weights = integers((2, 27), -1, 1, step=2)
    bits = TensorType((4, 4, 3), CodeType.binary())
    graph = network(
        IMAGE,
        ("m1", MatVec(signs)),
        ("f1", Thresholds(np.array([[0], [-99], [2]]), np.array([0]), CodeType.binary())),
        ("w", window),
        ("m2", MatVec(weights)),
        ("border", zero_padding(window, bits, weights)),
        ("f2", Thresholds(np.array([[3]]), np.array([0]), CodeType.binary())),
    )
    assert shapes(smaller(graph)) == {"m1": (2, 2), "m2": (2, 18)}


def forked(last, *end):
    first = integers((3, 4), 1, 3)
    ahead, beside = integers((2, 3), 1, 3), integers((2, 3), 1, 3)
    ahead[:, 0], beside[:, :2] = 0, 0
    nodes = ("m1", MatVec(first)), ("f1", relu([0])), ("a", MatVec(ahead), "f1")
    return network(vector(4, -3, 2), *nodes, ("b", MatVec(beside), "f1"), last, *end)


def test_readers_of_a_fork_must_agree():
    graph = forked(("sum", Add(np.array([1, 2])), "a", "b"))
    assert shapes(smaller(graph)) == {"m1": (2, 4), "a": (2, 2), "b": (2, 2)}


def test_scales_of_channels_go_with_them():
    graph = forked(("sum", Add(np.array([1, 2])), "a", "b"))
    scales = {"m1": (1.0, 2.0, 4.0), "f1": (0.5, 0.25, 0.125)}
    nodes = (replace(node, scale=scales.get(node.name, node.scale)) for node in graph.nodes)
    after = smaller(graph.with_nodes(tuple(nodes)))
    assert after.node("m1").scale == (2.0, 4.0)
    assert after.node("f1").scale == (0.25, 0.125)


def test_left_alone_where_a_join_or_the_output_reads():
    first = integers((2, 4), 1, 3)
    first[1] = 0
    graph = network(vector(4, -3, 2), ("m1", MatVec(first)), ("f1", relu([0])))
    assert smaller(graph) is graph
    graph = network(
        vector(4, -3, 2),
        ("m1", MatVec(first)),
        ("m2", MatVec(first[::-1]), "x"),
        ("sum", Add(np.array([1, 1])), "m1", "m2"),
        ("m3", MatVec(np.array([[1, 0]]))),
    )
    assert smaller(graph) is graph


def test_constant_that_reaches_bare_sums_stays():
    first = integers((2, 4), 1, 3)
    first[1] = 0
    for offset, rows in (([0, 0], 1), ([0, 8], 2)):
        ops = ("m1", MatVec(first)), ("f1", relu(offset)), ("m2", MatVec(integers((2, 2), 1, 3)))
        graph = network(vector(4, -3, 2), *ops)
        assert shapes(smaller(graph)) == {"m1": (rows, 4), "m2": (2, rows)}


def test_one_channel_is_left_of_a_layer_that_says_nothing():
    ops = ("m1", MatVec(np.zeros((3, 4), dtype=np.int64))), ("f1", relu([4, 8, 12]))
    graph = network(
        vector(4, -3, 2), *ops, ("m2", MatVec(integers((2, 3), 1, 3))), ("f2", relu([0]))
    )
    assert shapes(smaller(graph)) == {"m1": (1, 4), "m2": (2, 1)}


@pytest.mark.parametrize(
    ("needed", "channels", "stay"), [(5, 9, 5), (15, 16, 15), (17, 20, 18), (61, 64, 64), (0, 4, 1)]
)
def test_many_channels_keep_a_number_that_folds(needed, channels, stay):
    flags = np.arange(channels) >= channels - needed
    kept = kept_channels(flags)
    assert kept.sum() == stay
    assert kept[flags].all()


def test_a_pass_that_changed_a_code_would_be_found():
    graph = forked(("sum", Add(np.array([1, 2])), "a", "b"))
    wrong = forked(("sum", Add(np.array([1, 1])), "a", "b"))
    with pytest.raises(PassError, match="sum: gives other codes for random frames"):
        RemoveDeadChannels().ensures(graph, wrong)
    assert random_frames(bipolar_vector(3)).min() == -1


def test_hardware_of_what_is_left_gives_the_codes_of_the_whole():
    first = integers((4, 18), -2, 2, seed=4)
    first[1] = 0
    second = integers((2, 16), -3, 3, seed=5)
    second[:, 3::4] = 0
    graph = network(
        IMAGE,
        ("w1", SlidingWindow((3, 3), padding=SAME)),
        ("m1", MatVec(first)),
        ("f1", relu([0, 9, 4, 2], shift=1)),
        ("pool", MaxPool((2, 2), (2, 2))),
        ("flat", Reshape((16,))),
        ("m2", MatVec(second)),
        ("f2", relu([3, -5], 63, 0)),
    )
    after = smaller(graph)
    assert shapes(after) == {"m1": (2, 18), "m2": (2, 8)}
    codes = np.random.default_rng(2).integers(-4, 4, (3, 4, 4, 2))
    run = simulate(Network(after), to_beats(codes, IMAGE.codes, 1), 6, idle=0.2, stall=0.2)
    assert not run.violations
    given_codes = from_beats(run.beats, after.types["f2"].codes, 1).reshape(3, 2)
    assert np.array_equal(given_codes, graph.evaluate(codes))
