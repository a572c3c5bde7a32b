"""QLinearConv, QLinearMatMul, ConvInteger and MatMulInteger against onnxruntime."""

import numpy as np
import pytest
from onnx import TensorProto

from hwgen.errors import FrontendError
from hwgen.frontend import load_model
from tests.frontend.models import grid_frames
from tests.frontend.qdq_models import Linear, QdqBuilder
from tests.frontend.test_qdq import assert_equal, integer_outputs, onnxruntime_outputs

IMAGE = (2, 5, 5)


def weights(b, rng, shape, zero, dtype=np.int8):
    codes = rng.integers(-128, 128, shape) + (128 if dtype == np.uint8 else 0)
    return b.constant(codes, dtype=dtype), b.constant(zero, dtype=dtype)


@pytest.mark.parametrize("dtype", [np.int8, np.uint8])
@pytest.mark.parametrize("per_channel", [False, True])
@pytest.mark.parametrize("bias", [False, True])
def test_qlinear_conv(rng, dtype, per_channel, bias):
    b = QdqBuilder(("N", *IMAGE))
    x = b.quantize("x", Linear(0.25, 7, np.uint8))
    w, zero = weights(b, rng, (3, 2, 3, 3), [4] * 3 if per_channel and dtype == np.int8 else 4)
    scale = b.constant(2.0 ** rng.integers(-6, -3, 3) if per_channel else 2.0**-5)
    given = [x, *b.parameters(Linear(0.25, 7, np.uint8)), w, scale, zero]
    given += b.parameters(Linear(1.0, 31, np.uint8))
    given += [b.constant(rng.integers(-999, 999, 3), dtype=np.int32)] if bias else []
    y = b.node("QLinearConv", *given, pads=[1, 1, 1, 1], strides=[2, 2])
    model = b.model(b.dequantize(y, Linear(1.0, 31, np.uint8)))
    assert_equal(model, grid_frames(rng, IMAGE))


def test_qlinear_conv_of_free_scales(rng):
    """The multiplier is float32(float32(sx * sw) / sy), as onnxruntime has it."""
    b = QdqBuilder(("N", *IMAGE))
    x = b.quantize("x", Linear(0.173, -3))
    w, zero = weights(b, rng, (3, 2, 3, 3), 0)
    given = [x, *b.parameters(Linear(0.173, -3)), w, b.constant([0.011, 0.023, 0.007]), zero]
    y = b.node("QLinearConv", *given, *b.parameters(Linear(0.31, 5)))
    model = b.model(y, TensorProto.INT8)
    frames = grid_frames(rng, IMAGE, 40)
    assert np.array_equal(integer_outputs(model, frames), onnxruntime_outputs(model, frames))


@pytest.mark.parametrize("integer_input", [False, True])
def test_qlinear_matmul(rng, integer_input):
    b = QdqBuilder(("N", 6))
    x = "x" if integer_input else b.quantize("x", Linear(0.25, 7))
    w, zero = weights(b, rng, (6, 4), 3)
    given = [x, *b.parameters(Linear(0.25, 7)), w, b.constant(0.125), zero]
    y = b.node("QLinearMatMul", *given, *b.parameters(Linear(4.0, -9)))
    model = b.integer_model(y) if integer_input else b.model(y)
    model.graph.output[0].type.tensor_type.elem_type = TensorProto.INT8
    integers = rng.integers(-128, 128, (20, 6)).astype(np.int8)
    assert_equal(model, integers if integer_input else grid_frames(rng, (6,)))


@pytest.mark.parametrize("op_type", ["MatMulInteger", "ConvInteger"])
@pytest.mark.parametrize("end", ["Cast", "DequantizeLinear"])
def test_sums_of_integers(rng, op_type, end):
    image = op_type == "ConvInteger"
    shape = IMAGE if image else (6,)
    b = QdqBuilder(("N", *shape))
    x = b.quantize("x", Linear(0.25, 7, np.uint8))
    w, zero = weights(b, rng, (3, 2, 3, 3) if image else (6, 4), 100, np.uint8)
    y = b.node(op_type, x, w, b.constant(7, dtype=np.uint8), zero)
    if end == "Cast":
        y = b.node("Mul", b.node("Cast", y, to=TensorProto.FLOAT), b.constant(0.0625))
    else:
        y = b.dequantize(y, Linear(0.0625, 0, np.int32))
    model = b.model(b.pair(b.node("Relu", y), Linear(4.0, -128)))
    frames = grid_frames(rng, shape)
    assert np.array_equal(integer_outputs(model, frames), onnxruntime_outputs(model, frames))


def test_refusals(rng):
    b = QdqBuilder(("N", 6))
    w, zero = weights(b, rng, (6, 4), 3)
    y = b.node("MatMulInteger", "x", w, b.constant(7, dtype=np.int8), zero, name="fc")
    model = b.integer_model(y, TensorProto.INT32)
    load_model(model)
    model.graph.initializer[2].CopyFrom(b.initializers[0])  # a matrix as zero point
    model.graph.initializer[2].name = "c2"
    with pytest.raises(FrontendError, match="expected one zero point for activations, got several"):
        load_model(model)
