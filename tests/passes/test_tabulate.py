"""Each outcome of a finite function, one network in IR text each, and equality in all of them."""

import re

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hwgen.errors import PassError
from hwgen.ir import Graph, Input, Node, TensorType
from hwgen.ir.text import parse_graph, print_graph
from hwgen.numeric import CodeType, Rounding
from hwgen.ops.elementwise import Elementwise
from hwgen.ops.float_steps import Add, Apply, Clip, Curve, LeakyRectify, Multiply, Quantize, reals
from hwgen.ops.registry import IR_OPERATORS
from hwgen.ops.requantize import Requantize
from hwgen.ops.table import Table
from hwgen.ops.thresholds import Thresholds
from hwgen.passes import Tabulate, run_passes
from hwgen.passes.find_steps import finite_function
from hwgen.passes.fit_exact_line import symbolic
from hwgen.passes.fit_requantize import searched
from hwgen.passes.function_forms import forms, keeps_order, reason
from hwgen.passes.step_tables import table, thresholds


def lowered(codes, steps, quantizer, scale="0x1p+0"):
    """The operator that a chain on three channels of `codes` becomes."""
    text = f"""graph g
%x : [3] {codes} scale 0x1p+0 = input rounding=RND_CONV zero_point=0 prepare=()
%y : [3] {quantizer.split("codes=")[1].split(",")[0]} scale 0x1p+0 = elementwise(%x) \
scale=[{scale}] steps=({steps}) quantizer=Quantize({quantizer})
output %y
"""
    graph = parse_graph(text, IR_OPERATORS)
    after = run_passes(graph, [Tabulate()])
    x = graph.types["x"].codes
    ordered = x.codes() if x.size < 1 << 18 else np.linspace(x.lo, x.hi, 1 << 16).astype(np.int64)
    every = np.repeat(ordered[:, None], 3, axis=1)
    assert np.array_equal(after.evaluate(every), graph.evaluate(every))
    return after.node("y").op


def quantizer(codes, scale="0x1p+0", rounding="TRN"):
    return f"scale=[{scale}], zero_point=0, codes={codes}, rounding={rounding}"


def test_wire():
    op = lowered("-8..7", "", quantizer("-8..7"))
    assert isinstance(op, Requantize)
    assert (op.multiplier, op.offset, op.shift) == ([1], [0], 0)


def test_constant():
    op = lowered(
        "-8..7", "Multiply(constant=[0x0p+0]), Add(constant=[0x1.8p+1])", quantizer("0..7")
    )
    assert isinstance(op, Requantize)
    assert op.multiplier == [0]
    assert op.codes == CodeType(3, 3)


def test_constant_of_one_bit():
    op = lowered("-8..7", "Multiply(constant=[0x0p+0])", quantizer("bipolar"))
    assert op.codes.bipolar
    assert np.array_equal(op.evaluate(np.array([[-8, 0, 7]])), [[1, 1, 1]])


def test_shift():
    op = lowered("-512..511", "", quantizer("-8..7", "0x1p+6"))
    assert isinstance(op, Requantize)
    assert (op.multiplier, op.shift, op.rounding) == ([1], 6, Rounding.TRN)


def test_half_even_shift_keeps_the_ties():
    op = lowered("-512..511", "", quantizer("-128..127", "0x1p+2", "RND_CONV"))
    assert isinstance(op, Requantize)
    assert (op.multiplier, op.shift, op.rounding) == ([1], 2, Rounding.RND_CONV)
    assert np.array_equal(op.evaluate(np.array([[2], [6], [10], [-2]]))[:, 0], [0, 2, 2, 0])


def test_ties_that_cannot_occur_need_no_rounding_logic():
    op = lowered(
        "-512..511", "Add(constant=[0x1p-2])", quantizer("-128..127", "0x1p+2", "RND_CONV")
    )
    assert isinstance(op, Requantize)
    assert (op.multiplier, op.shift, op.rounding) == ([1], 2, Rounding.TRN)


def test_affine_with_one_multiplier_for_all_channels():
    op = lowered(
        "-2000..2000",
        "Multiply(constant=[0x1.47ae14p-7]), Add(constant=[0x1p+0 -0x1.2p+1 0x0p+0])",
        quantizer("-64..63", "0x1p-2", "RND_CONV"),
    )
    assert isinstance(op, Requantize)
    assert op.multiplier.shape == (1,)
    assert op.rounding is Rounding.TRN


def test_affine_with_a_multiplier_a_channel_and_a_negative_one():
    op = lowered(
        "-2000..2000",
        "Multiply(constant=[0x1.47ae14p-7 -0x1.5p-6 0x0p+0])",
        quantizer("-128..127", "0x1p-3", "RND_CONV"),
    )
    assert isinstance(op, Requantize)
    assert op.multiplier[0] > 0 > op.multiplier[1]


def test_rectifier_becomes_the_clip():
    op = lowered(
        "-512..511", "Clip(low=[0x0p+0], high=[inf])", quantizer("-128..127", "0x1p+2", "RND_CONV")
    )
    assert isinstance(op, Requantize)
    assert op.codes == CodeType(0, 127)


def test_thresholds_rising_and_falling():
    op = lowered(
        "-700..700",
        "Multiply(constant=[0x1p+0 -0x1p+0 0x1p+0]), Add(constant=[0x1p+1 0x1p+0 -0x1.8p+3])",
        quantizer("bipolar"),
    )
    assert isinstance(op, Thresholds)
    assert op.thresholds.tolist() == [[-2], [2], [12]]
    assert op.falling.tolist() == [0, 1, 0]


def test_thresholds_of_a_bent_line():
    op = lowered("-700..700", "LeakyRectify(slope=[0x1p-3])", quantizer("-2..1", "0x1p+5"))
    assert isinstance(op, Thresholds)


def test_table_of_a_function_that_turns():
    op = lowered("-100..100", "Apply(curve=Abs)", quantizer("0..15", "0x1p+3"))
    assert isinstance(op, Table)
    assert op.contents.shape == (1, 201)


def test_table_with_a_row_a_channel():
    steps = "Add(constant=[0x1p+0 0x1p+1 0x1p+2]), Apply(curve=HardSwish)"
    op = lowered("-20..20", steps, quantizer("-8..31", "0x1p-1", "RND_CONV"))
    assert isinstance(op, Table)
    assert op.contents.shape == (3, 41)


def test_sign_with_its_third_value():
    op = lowered("-4..4", "Apply(curve=Sign)", quantizer("-1..1"))
    assert np.array_equal(op.evaluate(np.array([[-3, 0, 2]])), [[-1, 0, 1]])


def test_wide_input_is_bisected_not_enumerated():
    op = lowered("-1000000000..1000000000", "", quantizer("-8..7", "0x1p+27"))
    # Not a shift: float32 has 24 bits, so codes just below a boundary round up to it.
    assert isinstance(op, Thresholds)
    assert op.thresholds[0, 7:10].tolist() == [0, 2**27 - 4, 2**28 - 8]


def test_wide_input_without_order_is_refused():
    with pytest.raises(PassError) as caught:
        lowered("-1000000000..1000000000", "Apply(curve=Tanh)", quantizer("-8..7", "0x1p-3"))
    assert str(caught.value) == (
        "pass tabulate (after no pass): y (from ): the chain is not known to keep order and "
        "reaches 2000000001 codes in 1 channels, expected at most 67108864 evaluations; use "
        "fewer bits for weights or activations"
    )


def test_function_without_a_form_is_refused():
    with pytest.raises(PassError, match=r"no affine form, 255 thresholds or 65536 table entries"):
        lowered("-100000..100000", "Apply(curve=Abs)", quantizer("0..4095", "0x1p+5"))


def test_nan_is_refused():
    with pytest.raises(PassError, match="a reachable code gives NaN"):
        lowered("0..1", "Multiply(constant=[inf])", quantizer("0..3"))


@pytest.mark.parametrize("rounding", list(Rounding))
def test_symbolic_form_has_every_rounding(rounding):
    op = Elementwise(
        np.array([1.0]), (Add(reals(-3.0)),), Quantize(reals(8.0), 0, CodeType(-16, 15), rounding)
    )
    x = TensorType((2,), CodeType(-200, 200))
    function = finite_function(op, x)
    (candidate,) = symbolic(op, function)
    assert function.equals(candidate, keeps_order=True)
    assert candidate.rounding is rounding


def elementwise_chains():
    """Random chains on three channels."""
    numbers = st.floats(-4, 4, width=32).map(lambda v: np.float32(v))
    three = st.lists(numbers, min_size=3, max_size=3)
    step = st.one_of(
        three.map(lambda c: Add(reals(c))),
        three.map(lambda c: Multiply(reals(c))),
        numbers.map(lambda c: Clip(reals(c), reals(abs(c) + 3))),
        st.floats(0, 1, width=32).map(lambda c: LeakyRectify(reals(c))),
        st.sampled_from([Curve.TANH, Curve.HARD_SWISH, Curve.SIGN]).map(Apply),
    )
    codes = st.tuples(st.integers(-9, 9), st.integers(0, 40)).map(
        lambda t: CodeType(t[0], t[0] + t[1])
    )
    quantize = st.builds(
        Quantize,
        st.sampled_from([0.25, 0.3, 1.0, 2.0]).map(reals),
        st.integers(-3, 3),
        st.one_of(codes, st.just(CodeType.binary())),
        st.sampled_from(list(Rounding)),
    )
    scale = st.sampled_from([0.5, 0.0625, 0.1])
    return st.builds(
        lambda s, steps, q: Elementwise(np.array([s]), tuple(steps), q),
        scale,
        st.lists(step, max_size=3),
        quantize,
    )


@settings(max_examples=150)
@given(op=elementwise_chains(), lo=st.integers(-300, 0), hi=st.integers(1, 300))
def test_every_candidate_that_passes_the_check_is_equal(op, lo, hi):
    channels = (CodeType(lo, hi), CodeType(lo, 0), CodeType(0, hi))
    x = TensorType((3,), CodeType(lo, hi), channels)
    every = np.stack([np.clip(np.arange(lo, hi + 1), c.lo, c.hi) for c in channels], axis=1)
    expected = op.evaluate(every)
    function = finite_function(op, x)
    for form in forms(op, x):
        assert np.array_equal(form.evaluate(every), expected)
    assert np.array_equal(table(function).evaluate(every), expected)
    for candidate in (searched(function), *symbolic(op, function)):
        if candidate is not None and function.equals(candidate, keeps_order=True):
            assert np.array_equal(candidate.evaluate(every), expected)
    if all(row.direction for row in function.rows) and function.codes.size > 1:
        assert np.array_equal(thresholds(function).evaluate(every), expected)


@settings(max_examples=60)
@given(
    multiplier=st.lists(st.integers(-40, 40), min_size=3, max_size=3),
    offset=st.lists(st.integers(-5000, 5000), min_size=3, max_size=3),
    shift=st.integers(0, 12),
    lo=st.integers(-20, 0),
    hi=st.integers(1, 60),
)
def test_search_finds_every_floor_rounding_line(multiplier, offset, shift, lo, hi):
    """What such a line computes is found again, with no more bits than it had."""
    hidden = Requantize(
        np.array(multiplier), np.array(offset), shift, Rounding.TRN, CodeType(lo, hi)
    )
    x = TensorType((3,), CodeType(-400, 400))
    every = np.repeat(np.arange(-400, 401)[:, None], 3, axis=1)
    chain = Elementwise(
        np.array([2.0**-shift]),
        (Multiply(reals(multiplier)), Add(reals(np.array(offset) / 2.0**shift))),
        Quantize(reals(1.0), 0, CodeType(lo, hi), Rounding.TRN),
    )
    function = finite_function(chain, x)
    found = searched(function)
    assert found is not None
    assert np.array_equal(found.evaluate(every), hidden.evaluate(every))
    assert function.equals(found, keeps_order(found))
    assert found.multiplier.size == 3 or found.shift <= shift + 4


def test_float32_batchnorm_of_many_channels_becomes_multiply_and_shift():
    rng = np.random.default_rng(3)
    chain = (
        Add(reals(rng.standard_normal(64))),
        Multiply(reals(rng.random(64) + 0.5)),
        Clip(reals(0.0), reals(np.inf)),
    )
    op = Elementwise(
        np.array([0.003]), chain, Quantize(reals(6.0), 0, CodeType(0, 15), Rounding.RND_CONV)
    )
    (best,) = forms(op, TensorType((64,), CodeType(-30000, 30000)))[0].ops
    assert isinstance(best, Requantize)
    assert best.multiplier.shape == (64,)
    every = np.repeat(np.arange(-30000, 30001)[:, None], 64, axis=1)
    assert np.array_equal(best.evaluate(every), op.evaluate(every))


def test_a_wrong_candidate_is_noticed():
    op = Elementwise(np.array([1.0]), (), Quantize(reals(4.0), 0, CodeType(-8, 7), Rounding.TRN))
    function = finite_function(op, TensorType((1,), CodeType(-32, 31)))
    right = searched(function)
    for wrong in (
        Requantize(right.multiplier, right.offset + 1, right.shift, right.rounding, right.codes),
        Requantize(right.multiplier, right.offset, right.shift, Rounding.RND, right.codes),
        Requantize(right.multiplier, right.offset, right.shift, right.rounding, CodeType(-8, 6)),
    ):
        assert not function.equals(wrong, keeps_order=True)
    contents = table(function).contents.copy()
    contents[0, 5] += 1
    assert not function.equals(Table(contents, -32, CodeType(-8, 7)), keeps_order=False)


def test_bisection_and_enumeration_agree():
    op = Elementwise(
        np.array([0.01]),
        (Multiply(reals([1.5, -0.75])), Add(reals([0.1, 3.0]))),
        Quantize(reals(0.5), 0, CodeType(-4, 3), Rounding.RND_CONV),
    )
    x = TensorType((2,), CodeType(-5000, 5000))
    bisected = finite_function(op, x)
    every = np.repeat(np.arange(-5000, 5001)[:, None], 2, axis=1)
    points, values = bisected.listed()
    assert np.array_equal(np.stack(points, axis=1), every)
    assert np.array_equal(np.stack(values, axis=1), op.evaluate(every))
    assert len(bisected.rows[0].starts) == 8


def test_text_of_a_lowered_graph_is_stable():
    text = """graph g
%x : [2] -8..7 scale 0x1p+0 = input rounding=RND_CONV zero_point=0 prepare=()
%y : [2] -2..1 scale 0x1p+2 = elementwise(%x) scale=[0x1p+0] steps=() \
quantizer=Quantize(scale=[0x1p+2], zero_point=0, codes=-2..1, rounding=TRN)  # from "act"
output %y
"""
    after = run_passes(parse_graph(text, IR_OPERATORS), [Tabulate()])
    assert print_graph(after).splitlines()[3] == (
        "%y : [2] -2..1 scale 0x1p+2 = requantize(%x) multiplier=[1] offset=[0] shift=2 "
        'rounding=TRN codes=-2..1 pe=1  # from "act"'
    )


@pytest.mark.parametrize("channels", [1, 3])
def test_a_curve_of_wide_sums_becomes_steps_and_their_values(channels):
    """It neither keeps order nor fits a table; each channel counts its own steps."""
    shift = np.linspace(-1.0, 1.0, channels)
    op = Elementwise(
        np.array([2.0**-14]),
        (Add(reals(shift)), Apply(Curve.HARD_SWISH)),
        Quantize(reals(2.0**-4), 0, CodeType(-8, 63), Rounding.RND_CONV),
    )
    x = TensorType((3,), CodeType(-100_000, 120_000))
    graph = Graph("g", (Input("x", x),), (Node("y", op, ("x",), (2.0**-4,)),), ("y",))
    after = run_passes(graph, [Tabulate()])
    assert [(node.name, node.op.name) for node in after.nodes] == [
        ("y_steps", "thresholds"),
        ("y", "table"),
    ]
    every = np.repeat(np.arange(-100_000, 120_001)[:, None], 3, axis=1)
    assert np.array_equal(after.evaluate(every), graph.evaluate(every))
    assert "the only form" in after.node("y").why


def test_the_reason_names_form_and_prices():
    """What `hwgen check` shows: the chosen form's sizes, and what the others cost."""
    op = Elementwise(np.array([1.0]), (), Quantize(reals(4.0), 0, CodeType(-8, 7), Rounding.TRN))
    found = forms(op, TensorType((1,), CodeType(-32, 31)))
    assert found[0].words == "requantize"
    words = r"M of 1 bits, S 2: \d+ LUT a lane, against (thresholds|table) \d+, .*"
    assert re.fullmatch(words, reason(found))
