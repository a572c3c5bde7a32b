"""QuantizeLinear and DequantizeLinear: equal to onnxruntime bit for bit where scales are dyadic."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from onnx import TensorProto, helper

from hwgen.errors import FrontendError
from hwgen.frontend import load_model
from hwgen.frontend.execute import execute
from tests.frontend.equality import integer_outputs, kinds
from tests.frontend.models import grid_frames
from tests.frontend.qdq_models import Linear, QdqBuilder, convolution, onnxruntime_outputs

IMAGE = (2, 5, 5)


def assert_equal(model, frames):
    """The graph, after passes too, gives onnxruntime's numbers and the reference evaluator's."""
    outputs, reference = integer_outputs(model, frames), onnxruntime_outputs(model, frames)
    assert outputs.shape == reference.shape
    assert np.array_equal(outputs, reference)
    assert np.array_equal(execute(model, frames), reference)
    return load_model(model)


@settings(max_examples=20)
@given(
    seed=st.integers(0, 2**32 - 1),
    dtype=st.sampled_from([np.int8, np.uint8]),
    zero=st.integers(0, 100),
    weight_zero=st.sampled_from([0, 0, -3]),
    per_channel=st.booleans(),
    activation=st.sampled_from(["Relu", "Clip", "none"]),
    pool=st.sampled_from(["MaxPool", "GlobalAveragePool", "none"]),
)
def test_convolution(seed, dtype, zero, weight_zero, per_channel, activation, pool):
    rng = np.random.default_rng(seed)
    b = QdqBuilder(("N", *IMAGE))
    x = b.pair("x", Linear(0.125, zero, dtype))
    scale = 2.0 ** rng.integers(-6, -3, 3) if per_channel else 2.0**-5
    y = convolution(b, rng, x, scale, 0.125, zero=weight_zero)
    if activation != "none":
        bounds = (b.constant(0.0), b.constant(6.0)) if activation == "Clip" else ()
        y = b.node(activation, y, *bounds)
    out = Linear(0.5, zero // 2, dtype)
    y = b.pair(y, out)
    if pool != "none":
        window = {"kernel_shape": [2, 2], "strides": [2, 2]} if pool == "MaxPool" else {}
        y = b.pair(b.node(pool, y, **window), out)
    assert_equal(b.model(y), grid_frames(rng, IMAGE, 8))


@settings(max_examples=10)
@given(seed=st.integers(0, 2**32 - 1), exponents=st.tuples(*[st.integers(-4, 0)] * 3))
def test_residual_of_dyadic_scales(seed, exponents):
    rng = np.random.default_rng(seed)
    b = QdqBuilder(("N", *IMAGE))
    x = b.pair("x", Linear(0.125, 5))
    scales = [2.0**e for e in exponents]
    left = b.pair(convolution(b, rng, x, 2.0**-5, 0.125), Linear(scales[0], -7))
    right = b.pair(convolution(b, rng, x, 2.0**-5, 0.125), Linear(scales[1], 11))
    y = b.pair(b.node("Relu", b.node("Add", left, right)), Linear(scales[2], -128))
    graph = assert_equal(b.model(y), grid_frames(rng, IMAGE, 4))
    assert kinds(graph).count("add") == 1


@pytest.mark.parametrize("op_type", ["MatMul", "Gemm"])
@pytest.mark.parametrize(
    ("kind", "codes", "zero"),
    [
        (TensorProto.INT4, (-8, 8), 1),
        (TensorProto.UINT4, (0, 16), 7),
        (TensorProto.INT16, (-9000, 9001), 0),
        (TensorProto.UINT8, (0, 256), 131),
    ],
)
def test_types_of_weights(rng, op_type, kind, codes, zero):
    b = QdqBuilder(("N", 6))
    x = b.pair("x", Linear(0.25, 3))
    values = rng.integers(*codes, (6, 4))
    b.initializers += [
        helper.make_tensor("w", kind, (6, 4), values.ravel().tolist()),
        helper.make_tensor("z", kind, (4,), [zero] * 4),
    ]
    w = b.node("DequantizeLinear", "w", b.constant([0.25, 0.5, 0.125, 1.0]), "z", axis=1)
    bias = b.constant([1.0, -2.0, 0.5, 0.0])
    y = b.node("Gemm", x, w, bias) if op_type == "Gemm" else b.node("MatMul", x, w)
    y = b.pair(y, Linear(2.0, 9))
    frames = grid_frames(rng, (6,))
    outputs = integer_outputs(b.model(y), frames)
    assert np.array_equal(outputs, onnxruntime_outputs(b.model(y), frames))


@pytest.mark.parametrize("kind", [np.int16, np.uint16])
def test_activations_of_16_bits(rng, kind):
    b = QdqBuilder(("N", 6))
    x = b.pair("x", Linear(2.0**-10, 77, kind))
    w = b.integers(rng.integers(-7, 8, (6, 4)), 0.25)
    y = b.pair(b.node("Relu", b.node("MatMul", x, w)), Linear(2.0**-8, 1000, kind))
    assert_equal(b.model(y), grid_frames(rng, (6,)))


def test_integers_enter_and_leave(rng):
    """An int8 input in the order (H, W, C), an int8 output: the model's own integers."""
    b = QdqBuilder(("N", 5, 5, 2))
    x = b.dequantize(b.node("Transpose", "x", perm=[0, 3, 1, 2]), Linear(0.125, -9))
    y = b.quantize(b.node("Relu", convolution(b, rng, x, 2.0**-5, 0.125)), Linear(0.5, -100))
    model = b.integer_model(y, TensorProto.INT8)
    frames = rng.integers(-128, 128, (6, 5, 5, 2)).astype(np.int8)
    graph = assert_equal(model, frames)
    assert (graph.inputs[0].type.codes.lo, graph.inputs[0].type.codes.hi) == (-119, 136)
    assert kinds(graph)[0] == "sliding_window"  # the host takes the zero point off


def test_integer_input_with_two_readers(rng):
    """The second DequantizeLinear is another scale: it becomes an operator, not a wrong input."""
    b = QdqBuilder(("N", 6))
    left = b.dequantize("x", Linear(0.25, 3))
    right = b.dequantize("x", Linear(0.5, -4))
    both = b.node("Concat", left, right, axis=1)
    w = b.integers(rng.integers(-7, 8, (12, 4)), 0.25)
    model = b.integer_model(b.pair(b.node("MatMul", both, w), Linear(0.5)))
    assert_equal(model, rng.integers(-128, 128, (9, 6)).astype(np.int8))


def test_integer_pixels_by_cast(rng):
    b = QdqBuilder(("N", 6))
    x = b.node("Mul", b.node("Cast", "x", to=TensorProto.FLOAT), b.constant(0.125))
    w = b.integers(rng.integers(-7, 8, (6, 4)), 0.25)
    model = b.integer_model(b.pair(b.node("MatMul", b.pair(x, Linear(0.25)), w), Linear(0.5)))
    assert_equal(model, rng.integers(-128, 128, (9, 6)).astype(np.int8))


def test_moves_and_pools_between_the_pairs(rng):
    b = QdqBuilder(("N", 2, 4, 4))
    x = b.quantize("x", Linear(0.25, 8))
    x = b.node("MaxPool", x, kernel_shape=[2, 2], strides=[2, 2])
    x = b.dequantize(b.node("Flatten", x), Linear(0.25, 8))
    w = b.integers(rng.integers(-7, 8, (8, 4)), 0.25)
    assert_equal(b.model(b.pair(b.node("MatMul", x, w), Linear(0.5))), grid_frames(rng, (2, 4, 4)))


def test_weights_that_are_quantized_in_the_file(rng):
    b = QdqBuilder(("N", 4))
    x = b.pair("x", Linear(0.25))
    w = b.pair(b.constant(rng.standard_normal((4, 3))), Linear(0.125, 3))
    assert_equal(b.model(b.pair(b.node("MatMul", x, w), Linear(0.5))), grid_frames(rng, (4,)))


def test_final_softmax_stays_on_the_host(rng):
    """Outputs are its inputs; the order of onnxruntime's probabilities is theirs."""
    b = QdqBuilder(("N", 4))
    w = b.integers(rng.integers(-7, 8, (4, 3)), 0.25)
    y = b.pair(b.node("MatMul", b.pair("x", Linear(0.25)), w, name="fc"), Linear(0.5))
    soft = b.node("Softmax", y, axis=-1)
    end = b.quantize(soft, Linear(1 / 256, -128))
    frames = grid_frames(rng, (4,))
    outputs = integer_outputs(b.model(end, TensorProto.INT8), frames)
    assert np.array_equal(outputs, onnxruntime_outputs(b.model(y), frames))
    assert np.array_equal(execute(b.model(end, TensorProto.INT8), frames), outputs)
    probabilities = onnxruntime_outputs(b.model(soft), frames)
    chosen = np.take_along_axis(probabilities, outputs.argmax(1)[:, None], 1)[:, 0]
    assert np.array_equal(chosen, probabilities.max(1))


def refusal(model):
    with pytest.raises(FrontendError) as caught:
        load_model(model)
    return str(caught.value)


def test_refusals(rng):
    b = QdqBuilder(("N", 4))
    x = b.quantize("x", Linear(0.25))
    assert "expected real numbers, got the integers of 'quantizelinear0'" in refusal(
        b.model(b.node("Relu", x))
    )
    b = QdqBuilder(("N", 4))
    x = b.node("QuantizeLinear", "x", b.constant([0.5] * 4), block_size=2, axis=1)
    assert "got blocks; quantize per channel" in refusal(b.model(x, TensorProto.UINT8))
    b = QdqBuilder(("N", 4))
    x = b.node("DequantizeLinear", "x", b.constant(0.5))
    assert "expected integers, got the real numbers of 'x'" in refusal(b.model(x))
    b = QdqBuilder(("N", 4))
    x = b.pair("x", Linear(-0.25))
    assert "expected positive scales, got -0.25" in refusal(b.model(x))
    b = QdqBuilder(("N", 4))
    x = b.node("QuantizeLinear", "x", b.constant([0.5] * 3), axis=1)
    assert "one for each place of axis 1 of shape (1, 4), got shape (3,)" in refusal(
        b.model(x, TensorProto.UINT8)
    )
    b = QdqBuilder(("N", 4))
    b.nodes.append(helper.make_node("DynamicQuantizeLinear", ["x"], ["y", "scale", "zero"], "dyn"))
    assert "quantize statically" in refusal(b.model("y", TensorProto.UINT8))


@pytest.mark.parametrize("scale", [0.25, 0.0173])
@pytest.mark.parametrize("op_type", ["Conv", "Pad", "MaxPool"])
def test_a_relu_behind_a_pair_leaves_codes(rng, scale, op_type):
    """Its numbers are multiples of the same scale: no further quantizer is needed."""
    b = QdqBuilder(("N", 2, 5, 5))
    x = b.pair("x", Linear(0.25))
    y = b.node("Relu", b.pair(convolution(b, rng, x, 2.0**-9, 0.25), Linear(scale, 4)))
    if op_type == "Pad":
        y = b.node("Pad", y, b.constant([0, 0, 1, 1, 0, 0, 1, 1], dtype=np.int64))
    elif op_type == "MaxPool":
        y = b.node("MaxPool", y, kernel_shape=[2, 2])
    elif scale == 0.25:
        y = b.pair(convolution(b, rng, y, 2.0**-9, scale, inputs=3), Linear(0.5))
    model, frames = b.model(y), grid_frames(rng, (2, 5, 5))
    ours, theirs = integer_outputs(model, frames), onnxruntime_outputs(model, frames)
    assert np.array_equal(ours.astype(np.float32), theirs)


def test_a_curve_behind_a_pair_needs_a_quantizer(rng):
    b = QdqBuilder(("N", 2, 5, 5))
    y = b.node("Tanh", b.pair("x", Linear(0.25)))
    with pytest.raises(FrontendError, match="unquantized activation: expected an input that ends"):
        load_model(b.model(b.pair(convolution(b, rng, y, 2.0**-9, 0.25), Linear())))
