"""The text form: parsing what was printed gives the same graph, and bad text names its line."""

from contextlib import suppress

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hwgen.errors import IRError
from hwgen.ir import Graph, Input, Layout, Node, TensorType
from hwgen.ir.text import parse_graph, print_graph
from hwgen.numeric import CodeType, Rounding
from hwgen.ops import elementwise
from hwgen.ops.elementwise import Elementwise
from hwgen.ops.float_steps import Add, Apply, Clip, Curve, LeakyRectify, Multiply, Quantize, reals
from hwgen.ops.matvec import MatVec
from hwgen.ops.registry import IR_OPERATORS, OPERATOR_MODULES
from hwgen.ops.reshape import Reshape

TEXT = """graph tiny

%x : [2] -8..7 scale 0x1p-3 = input rounding=RND_CONV zero_point=0 prepare=()
%fc1 : [2] -75..75 scale 0x1p-7 = matvec(%x) weights=[[3 2] [5 -5]] pe=1 simd=1 kernel=mac \
pixels=1 target=AdderTarget(effort=0x0p+0, three_operands=false, \
multiplier=MultiplierShape(name="DSP48E2", wide=27, narrow=18), family="xcup", period_ps=0)  \
# from "fc1/MatMul"
output %fc1
"""


def round_trip(graph):
    text = print_graph(graph)
    parsed = parse_graph(text, IR_OPERATORS)
    assert parsed == graph
    assert print_graph(parsed) == text
    return text


def test_the_text_is_as_documented():
    assert print_graph(parse_graph(TEXT, IR_OPERATORS)) == TEXT


CASES = [case for module in (*OPERATOR_MODULES, elementwise) for case in module.CASES]


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.op.name)
def test_every_operator(case):
    inputs = tuple(Input(f"x{k}", kind, 0.3) for k, kind in enumerate(case.inputs))
    names = tuple(source.name for source in inputs)
    node = Node("y", case.op, names, (0.1,), source='a "quoted" \\ name\n')
    round_trip(Graph("g", inputs, (node,), ("y",)))


def test_every_step_and_field():
    steps = (
        Add(reals([0.1, -0.0, 3.4e38])),
        Multiply(reals(1e-45)),
        Clip(reals(-np.inf), reals(np.inf)),
        LeakyRectify(reals(0.01)),
        Apply(Curve.HARD_SWISH),
    )
    quantizer = Quantize(reals([0.3, 0.2, 0.1]), -7, CodeType.binary(), Rounding.UP)
    op = Elementwise(np.array([0.1, 1 / 3, 2.0**-1074]), steps, quantizer)
    source = Input(
        name="x",
        type=TensorType((3,), CodeType(-4, 3), (CodeType(-4, 3), CodeType(0, 0), CodeType(1, 2))),
        scale=0.1,
        rounding=Rounding.RND_MIN_INF,
        zero_point=-3,
        prepare=(("multiply", 2.0), ("add", -1.0)),
        source="\u202e\0;",
    )
    node = Node("y", op, ("x",), (0.1, 0.2, 0.3))
    text = round_trip(Graph("g", (source,), (node,), ("y",)))
    assert text.isascii()
    assert "\0" not in text


def test_layouts_of_images():
    source = Input(
        "x", TensorType((2, 3, 4), CodeType(0, 9)), layout=Layout((4, 2, 3), (4, 6), (1, 0))
    )
    node = Node("y", Reshape((24,)), ("x",))
    graph = Graph("g", (source,), (node,), ("y",), Layout((24,), (24,), (0,)))
    assert "layout=Layout(model=(4, 2, 3), split=(4, 6), axes=(1, 0))" in round_trip(graph)


@given(
    rows=st.integers(1, 6),
    columns=st.integers(1, 20),
    scale=st.floats(min_value=1e-300, max_value=1e300),
    seed=st.integers(0, 2**32 - 1),
)
def test_random_matrices(rows, columns, scale, seed):
    weights = np.random.default_rng(seed).integers(-(2**31), 2**31, (rows, columns))
    source = Input("x", TensorType((columns,), CodeType(-8, 7)), scale)
    node = Node("y", MatVec(weights), ("x",), (scale,))
    round_trip(Graph("g", (source,), (node,), ("y",)))


@pytest.mark.parametrize(
    ("old", "new", "error"),
    [
        ("graph tiny\n", "\n", "line 5: expected a line `graph NAME`, got the end of the text"),
        ("output %fc1\n", "\n", "line 5: expected a line `output %NAME`, got the end"),
        ("%fc1 :", "%x :", "line 4: %x is defined twice"),
        ("(%x)", "(%z)", "line 4: %z is not defined before"),
        ("output %fc1", "output %fc2", "line 5: %fc2 is not defined before"),
        ("matvec", "matvek", "line 4: operator 'matvek' is unknown; known are add, argmax, "),
        ("-75..75", "-75..76", "line 4: %fc1: the text says [2] -75..76, the operator gives [2]"),
        ("[2] -75..75", "[3] -75..75", "line 4: %fc1: the text says [3] -75..75"),
        ("pe=1", "pi=1", "line 4: field 'pi' is unknown; expected weights, pe, simd, kernel"),
        ("pe=1", "pe=1 pe=1", "line 4: field 'pe' is given twice"),
        ("pe=1 ", "", "line 4: expected also pe"),
        ("pe=1", "pe=one", "line 4: expected a number, got 'one'"),
        ("pe=1", "pe=3", "line 4: pe is 3, expected a divisor of 2 rows: [1, 2]"),
        ("kernel=mac", "kernel=fft", "line 4: expected one of xnor, signed_add, shift_add, mac"),
        ("[[3 2] [5 -5]]", "[[3 2] [5]]", "line 4: rows of an array have different lengths"),
        ("[[3 2] [5 -5]]", "@w", "line 4: array @w is not in the section below"),
        ("[[3 2] [5 -5]]", "[[3 2] [5 -5]", "line 4: "),
        ("0x1p-3", "(0x1p-3, 0x1p-4)", "line 3: an input has one scale, got 2"),
        ("0x1p-7", "fast", "line 4: expected a number, got 'fast'"),
        ("rounding=RND_CONV", "rounding=NEAREST", "line 3: expected one of TRN, TRN_ZERO, RND"),
        ("# from", "; from", "line 4: cannot read '  ; from"),
        ("output %fc1", "output %fc1 %x", "line 5: expected the end of the line, got '%'"),
        ("-8..7", "7..-8", "line 3: CodeType: empty interval 7..-8"),
        ("output %fc1\n", "output %fc1\n@w [2, 2]\n1 2 3\n@w [1]\n", "line 8: array @w is given"),
        ("[[3 2] [5 -5]]", "[[3 2] [5 99999999999999999999]]", "line 4: a number of an"),
    ],
)
def test_errors_name_the_line(old, new, error):
    assert old in TEXT
    with pytest.raises(IRError) as caught:
        parse_graph(TEXT.replace(old, new, 1), IR_OPERATORS)
    assert str(caught.value).startswith(error)


def test_array_that_does_not_fill_its_shape():
    text = TEXT.replace("[[3 2] [5 -5]]", "@w") + "\n@w [2, 2]\n3 2 5\n"
    with pytest.raises(IRError, match=r"line 4: array @w: 3 numbers for shape \[2, 2\]"):
        parse_graph(text, IR_OPERATORS)


@given(st.data())
def test_damaged_text_gives_an_error_or_a_graph(data):
    at = data.draw(st.integers(0, len(TEXT) - 1))
    length = data.draw(st.integers(0, 6))
    damaged = TEXT[:at] + data.draw(st.text(max_size=4)) + TEXT[at + length :]
    with suppress(IRError):
        round_trip(parse_graph(damaged, IR_OPERATORS))
