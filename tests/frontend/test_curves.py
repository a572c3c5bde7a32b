"""Functions of one number, each held to onnxruntime; constants computed once; bounds on both."""

import numpy as np
import pytest
from onnx import helper

from hwgen.errors import FrontendError
from hwgen.frontend import load_model
from tests.frontend.equality import integer_outputs
from tests.frontend.models import grid_frames
from tests.frontend.qdq_models import Linear, QdqBuilder, onnxruntime_outputs

CURVES = (
    "Abs Atan Ceil Celu Cos Elu Erf Exp Floor Gelu HardSigmoid HardSwish LeakyRelu Mish Neg Relu "
    "Round Selu Sigmoid Sign Sin Softplus Softsign Tanh ThresholdedRelu"
).split()


@pytest.mark.parametrize("op_type", CURVES)
def test_curve(rng, op_type):
    b = QdqBuilder(("N", 6), opset=21)
    y = b.pair(b.node(op_type, b.pair("x", Linear(0.0625, 5))), Linear(0.03125, -20))
    frames = grid_frames(rng, (6,), 60)
    assert np.array_equal(
        integer_outputs(b.model(y), frames), onnxruntime_outputs(b.model(y), frames)
    )


@pytest.mark.parametrize("op_type", ["Log", "Sqrt", "Reciprocal"])
def test_curve_of_positive_numbers(rng, op_type):
    b = QdqBuilder(("N", 6), opset=21)
    x = b.node("Add", b.pair("x", Linear(0.0625)), b.constant(8.125))
    y = b.pair(b.node(op_type, x), Linear(0.03125, -20))
    frames = grid_frames(rng, (6,), 60)
    assert np.array_equal(
        integer_outputs(b.model(y), frames), onnxruntime_outputs(b.model(y), frames)
    )


def test_computed_shape(rng):
    """What exporters leave in front of a Reshape."""
    b = QdqBuilder(("N", 2, 3))
    x = b.pair("x", Linear(0.25))
    kept = b.node("Equal", b.constant([0, 6], dtype=np.int64), b.constant(0, dtype=np.int64))
    batch = b.node(
        "ConstantOfShape",
        b.constant([2], dtype=np.int64),
        value=helper.make_tensor("v", 7, [1], [-1]),
    )
    shape = b.node("Where", kept, batch, b.constant([0, 6], dtype=np.int64))
    w = b.integers(rng.integers(-7, 8, (6, 4)))
    y = b.pair(b.node("MatMul", b.node("Reshape", x, shape), w), Linear(0.5))
    frames = grid_frames(rng, (2, 3))
    assert np.array_equal(
        integer_outputs(b.model(y), frames), onnxruntime_outputs(b.model(y), frames)
    )


def refusal(model):
    with pytest.raises(FrontendError) as caught:
        load_model(model)
    return str(caught.value)


@pytest.mark.parametrize(
    ("op_type", "inputs"),
    [
        ("ConstantOfShape", [[1 << 20, 1 << 20]]),
        ("Expand", [[[1]], [1 << 20, 1 << 20]]),
        ("Expand", [[[1]], [-(1 << 20), 1 << 20]]),
    ],
)
def test_huge_constants_are_refused_before_they_are_made(op_type, inputs):
    b = QdqBuilder()
    huge = b.node(op_type, *(b.constant(value, dtype=np.int64) for value in inputs))
    model = b.model(b.pair(b.node("Add", b.pair("x", Linear()), huge), Linear()))
    assert "expected a constant of at most 67108864 elements" in refusal(model)


def test_choosing_frames_is_refused():
    b = QdqBuilder(("N", 4))
    ends = [b.constant([value], dtype=np.int64) for value in (0, 3, 0)]
    model = b.model(b.node("Slice", b.pair("x", Linear()), *ends))
    assert "expected all frames to be kept, got a choice of them on axis 0" in refusal(model)
