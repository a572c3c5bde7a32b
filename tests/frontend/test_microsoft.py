"""ONNX Runtime's own quantized operators, executed by it and by the integer graph."""

import numpy as np
import pytest
from onnx import TensorProto, helper

from tests.frontend.models import grid_frames
from tests.frontend.qdq_models import Linear, QdqBuilder, onnxruntime_outputs
from tests.frontend.test_qdq import integer_outputs

IMAGE = (2, 4, 4)


def microsoft(b, op_type, *inputs, **attributes):
    y = b.node(op_type, *inputs, **attributes)
    b.nodes[-1].domain = "com.microsoft"
    return y


def model_of(b, output):
    model = b.model(output, TensorProto.UINT8)
    model.opset_import.append(helper.make_opsetid("com.microsoft", 1))
    return model


@pytest.mark.parametrize(
    ("op_type", "attributes"),
    [
        ("QLinearGlobalAveragePool", {"channels_last": 0}),
        ("QLinearAveragePool", {"kernel_shape": [2, 2], "strides": [2, 2]}),
        ("QLinearLeakyRelu", {"alpha": 0.25}),
        ("QLinearSigmoid", {}),
    ],
)
def test_one_input(rng, op_type, attributes):
    b = QdqBuilder(("N", *IMAGE))
    linear, out = Linear(0.125, 120, np.uint8), Linear(2.0**-7, 41, np.uint8)
    x = b.quantize("x", linear)
    y = microsoft(b, op_type, x, *b.parameters(linear), *b.parameters(out), **attributes)
    model, frames = model_of(b, y), grid_frames(rng, IMAGE)
    assert np.array_equal(integer_outputs(model, frames), onnxruntime_outputs(model, frames))


@pytest.mark.parametrize("op_type", ["QLinearAdd", "QLinearConcat"])
def test_two_inputs(rng, op_type):
    b = QdqBuilder(("N", 6))
    linear, out = Linear(0.125, 120, np.uint8), Linear(0.5, 41, np.uint8)
    x, real = b.quantize("x", linear), b.parameters(linear)
    w = b.constant(rng.integers(-9, 9, (6, 6)), dtype=np.int8)
    given = [x, *real, w, b.constant(0.25), b.constant(0, dtype=np.int8)]
    y = b.node("QLinearMatMul", *given, *b.parameters(Linear(0.25, 99, np.uint8)))
    pairs = [x, *real, y, *b.parameters(Linear(0.25, 99, np.uint8))]
    if op_type == "QLinearAdd":
        y = microsoft(b, op_type, *pairs, *b.parameters(out))
    else:
        y = microsoft(b, op_type, *b.parameters(out), *pairs, axis=1)
    model, frames = model_of(b, y), grid_frames(rng, (6,))
    assert np.array_equal(integer_outputs(model, frames), onnxruntime_outputs(model, frames))
