"""Functions written as several nodes that fork and meet again: one function of one value."""

import numpy as np
import pytest

from hwgen.errors import FrontendError
from hwgen.frontend import load_model
from hwgen.frontend.explain import explain
from tests.frontend.equality import assert_equal_everywhere, integer_outputs, kinds
from tests.frontend.models import Builder, grid_frames
from tests.frontend.qdq_models import Linear, QdqBuilder, onnxruntime_outputs

FUNCTIONS = ("requantize", "thresholds", "table")


def silu(b, x):
    return b.node("Mul", x, b.node("Sigmoid", x))


def sigmoid_by_exp(b, x):
    bottom = b.node("Add", b.constant(1.0), b.node("Exp", b.node("Neg", x)))
    return b.node("Div", x, bottom)


def hard_swish(b, x):
    gate = b.node("Clip", b.node("Add", x, b.constant(3.0)), b.constant(0.0), b.constant(6.0))
    return b.node("Mul", x, b.node("Div", gate, b.constant(6.0)))


def hard_sigmoid_gate(b, x):
    return b.node("Mul", x, b.node("HardSigmoid", x, alpha=1 / 6, beta=0.5))


def mish(b, x):
    return b.node("Mul", x, b.node("Tanh", b.node("Softplus", x)))


def gelu_by_erf(b, x):
    inner = b.node("Erf", b.node("Div", x, b.constant(np.sqrt(2.0))))
    gate = b.node("Add", inner, b.constant(1.0))
    return b.node("Mul", b.node("Mul", x, gate), b.constant(0.5))


def gelu_by_tanh(b, x):
    cube = b.node("Mul", b.node("Pow", x, b.constant(3.0)), b.constant(0.044715))
    inner = b.node("Mul", b.node("Add", x, cube), b.constant(np.sqrt(2 / np.pi)))
    gate = b.node("Add", b.constant(1.0), b.node("Tanh", inner))
    return b.node("Mul", b.node("Mul", b.constant(0.5), x), gate)


def gelu_attribute(b, x):
    return b.node("Gelu", x, approximate="tanh")


def leaky_by_where(b, x):
    positive = b.node("Greater", x, b.constant(0.0))
    return b.node("Where", positive, x, b.node("Mul", x, b.constant(0.1)))


def leaky_by_max(b, x):
    return b.node("Max", x, b.node("Mul", x, b.constant(0.125)), b.constant(-0.5))


def window(b, x):
    inside = b.node(
        "And",
        b.node("GreaterOrEqual", x, b.constant(-1.0)),
        b.node("Not", b.node("Less", b.constant(2.0), x)),
    )
    return b.node("Where", inside, x, b.constant(-3.0))


def soft_shrink(b, x):
    cut = b.node("Min", b.node("Max", x, b.constant(-0.5)), b.constant(0.5))
    return b.node("Sub", x, cut)


def square(b, x):
    return b.node("Sub", b.node("Mul", x, x), b.node("Pow", x, b.constant(2, dtype=np.int64)))


def mean(b, x):
    return b.node("Mean", x, b.node("Relu", x), b.node("Abs", x))


def sums(b, x):
    return b.node("Sum", x, b.node("Relu", x), b.node("Sigmoid", x))


def quantized_gate(b, x):
    """As PT2E and ONNX Runtime quantize a SiLU: the gate has codes of its own."""
    gate = b.pair(b.node("Sigmoid", x), Linear(1 / 256, -128))
    return b.node("Mul", x, gate)


def twice(b, x):
    return silu(b, silu(b, x))


SPELLED = (
    *(silu, sigmoid_by_exp, hard_swish, hard_sigmoid_gate, mish, gelu_by_erf, gelu_by_tanh),
    *(gelu_attribute, leaky_by_where, leaky_by_max, window, soft_shrink, square, mean, sums),
    *(quantized_gate, twice),
)


@pytest.mark.parametrize("function", SPELLED, ids=lambda f: f.__name__)
def test_of_codes(rng, function):
    """One function of the 8-bit input, the same numbers as onnxruntime's nodes."""
    b = QdqBuilder(("N", 6), opset=21)
    y = b.pair(function(b, b.pair("x", Linear(0.0625, 5))), Linear(0.03125, -20))
    frames = grid_frames(rng, (6,), 60)
    model = b.model(y)
    assert np.array_equal(integer_outputs(model, frames), onnxruntime_outputs(model, frames))
    assert len(load_model(model).nodes) == 1


@pytest.mark.parametrize("function", SPELLED, ids=lambda f: f.__name__)
def test_of_sums_with_constants_a_channel(rng, function):
    """Behind a product and a bias; each channel is a function of its own."""
    b = QdqBuilder(("N", 4), opset=21)
    w = b.integers(rng.integers(-7, 8, (4, 5)), 0.0625)
    x = b.node("MatMul", b.pair("x", Linear(0.25)), w)
    x = b.node("Add", x, b.constant(rng.integers(-9, 10, 5) / 8))
    y = b.pair(function(b, x), Linear(0.0625, -20))
    frames = grid_frames(rng, (4,), 60)
    model = b.model(y)
    assert np.array_equal(integer_outputs(model, frames), onnxruntime_outputs(model, frames))
    assert len(load_model(model).nodes) == 2


def test_images_between_convolutions(rng):
    b = Builder(("N", 2, 5, 5))
    conv = b.node("Conv", b.quant("x"), b.weights(rng.integers(-7, 8, (3, 2, 3, 3)), 0.125, 4))
    y = b.quant(silu(b, b.quant(conv, 0.125, 6)), 0.125, 5)
    y = b.node("Conv", y, b.weights(rng.integers(-7, 8, (2, 3, 2, 2)), 0.125, 4))
    graph = assert_equal_everywhere(b.model(y), grid_frames(rng, (2, 5, 5)))
    shape = [kind if kind not in FUNCTIONS else "function" for kind in kinds(graph)]
    window = ["sliding_window", "matvec"]
    assert shape == [*window, "function", "function", *window]


def test_a_value_that_others_read_stays(rng, tmp_path):
    """The gate's codes are the function's input and a branch of a residual sum."""
    b = Builder(("N", 4))
    x = b.quant("x", 0.125, 6)
    gate = b.quant(b.node("Sigmoid", x), 0.0625, 5, signed=0)
    y = b.quant(b.node("Mul", x, gate), 0.125, 6)
    w = b.weights(rng.integers(-7, 8, (4, 3)))
    y = b.node("Add", b.node("MatMul", y, w), b.node("MatMul", gate, w))
    graph = assert_equal_everywhere(b.model(y), grid_frames(rng, (4,)))
    assert kinds(graph).count("matvec") == 2


def test_rows_name_what_is_in_the_graph(tmp_path):
    """A quantizer inside a branch becomes no operator of its own."""
    b = QdqBuilder(("N", 4))
    model = b.model(b.pair(quantized_gate(b, b.pair("x", Linear(0.125))), Linear(0.125)))
    path = tmp_path / "model.onnx"
    path.write_bytes(model.SerializeToString())
    explanation = explain(path)
    assert explanation.problems == ()
    made = [row.becomes for row in explanation.rows if "finite function " in row.becomes]
    assert [words.split()[-1] for words in made if words.startswith("finite")] == [
        node.name for node in explanation.graph.nodes
    ]


def refusal(model):
    with pytest.raises(FrontendError) as caught:
        load_model(model)
    return str(caught.value)


def test_product_of_two_values_is_refused(rng):
    b = Builder(("N", 4))
    x = b.quant("x")
    w = b.weights(rng.integers(-7, 8, (4, 4)))
    y = b.node("Mul", x, b.quant(b.node("MatMul", x, w)))
    assert "got 2 that different operators give" in refusal(b.model(b.quant(y)))


def test_endless_doubling_is_refused(rng):
    """Each node of a file may double the steps; the file stays small."""
    b = Builder(("N", 4))
    y = b.quant("x")
    for _ in range(40):
        y = b.node("Mul", y, b.node("Tanh", y))
    assert "expected at most 4096 element-wise steps in one function" in refusal(
        b.model(b.quant(y))
    )


def test_not_a_number_in_a_branch_is_refused(rng):
    """Also where a quantizer in the branch would turn it into some integer."""
    b = Builder(("N", 4))
    x = b.quant("x")
    y = b.node("Max", x, b.quant(b.node("Sqrt", x)))
    with pytest.raises(Exception, match="NaN"):
        integer_outputs(b.model(b.quant(y)), grid_frames(rng, (4,)))
