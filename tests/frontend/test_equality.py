"""The imported graph, its integer form, the float executor and qonnx: equal on every sample."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hwgen.frontend import load_model
from hwgen.frontend.execute import execute
from hwgen.passes import PASSES, run_passes
from tests.frontend.models import (
    ROUNDINGS,
    Builder,
    execute_with_qonnx,
    grid_frames,
    perceptron,
)


def integer_outputs(model, frames):
    """Outputs of the imported graph, and of the graph after the passes, which must agree."""
    graph = load_model(model)
    lowered = run_passes(graph, PASSES)
    codes = graph.inputs[0].quantize(frames.reshape(len(frames), -1))
    results = lowered.evaluate(codes)
    assert np.array_equal(graph.dequantize(graph.evaluate(codes)), lowered.dequantize(results))
    return lowered.dequantize(results)


def assert_equal_everywhere(model, frames):
    outputs = integer_outputs(model, frames)
    reference = execute(model, frames).reshape(outputs.shape)
    assert np.array_equal(outputs, reference)
    assert np.array_equal(execute_with_qonnx(model, frames).reshape(outputs.shape), reference)


@settings(max_examples=40)
@given(
    seed=st.integers(0, 2**32 - 1),
    widths=st.lists(st.integers(1, 9), min_size=2, max_size=4),
    rounding=st.sampled_from(ROUNDINGS),
    batch_normalization=st.booleans(),
    per_channel=st.booleans(),
    activation=st.sampled_from(["Relu", "Identity", "LeakyRelu", "Neg", "Abs", "Sign"]),
)
def test_random_perceptrons(seed, widths, rounding, batch_normalization, per_channel, activation):
    rng = np.random.default_rng(seed)
    model = perceptron(
        rng,
        widths=tuple(widths),
        rounding=rounding,
        batch_normalization=batch_normalization,
        per_channel=per_channel,
        activation=activation,
    )
    assert_equal_everywhere(model, grid_frames(rng, (widths[0],)))


@pytest.mark.parametrize("batch_normalization", [False, True])
def test_bipolar_perceptron(rng, batch_normalization):
    model = perceptron(
        rng, widths=(8, 6, 6, 3), bipolar=True, batch_normalization=batch_normalization
    )
    assert_equal_everywhere(model, grid_frames(rng, (8,)))


def test_bipolar_input_after_scaling(rng):
    b = Builder(("N", 6))
    shifted = b.node("Sub", b.node("Mul", "x", b.constant(2.0)), b.constant([1.0]))
    y = b.node("MatMul", b.bipolar(shifted), b.weights(rng.integers(-3, 4, (6, 3))))
    model = b.model(y)
    frames = (rng.integers(0, 9, (30, 6)) / 8).astype(np.float32)  # 0.5 is the tie: +1
    assert (frames == 0.5).any()
    assert_equal_everywhere(model, frames)


@pytest.mark.parametrize("domain", ["onnx.brevitas", "finn.custom_op.general", "qonnx", ""])
@pytest.mark.parametrize("op_type", ["Quant", "IntQuant"])
def test_domains_that_real_files_use(rng, domain, op_type):
    b = Builder(("N", 3), domain=domain)
    y = b.node("MatMul", b.quant("x", op_type=op_type), b.weights(np.eye(3)))
    frames = grid_frames(rng, (3,))
    model = b.model(y)
    assert np.array_equal(integer_outputs(model, frames), execute(model, frames))


def test_image_is_flattened_by_a_computed_shape(rng):
    """The prologue older exporters write: Shape, Gather, Unsqueeze, Concat, Reshape."""
    b = Builder((1, 1, 2, 3), opset=11)
    index = b.constant(0, dtype=np.int64)
    batch = b.node("Unsqueeze", b.node("Gather", b.node("Shape", "x"), index, axis=0), axes=[0])
    shape = b.node("Concat", batch, b.constant([-1], dtype=np.int64), axis=0)
    x = b.quant(b.node("Reshape", "x", shape))
    y = b.node("MatMul", x, b.weights(rng.integers(-3, 4, (6, 2))))
    model, frames = b.model(y), grid_frames(rng, (1, 2, 3))
    assert np.array_equal(integer_outputs(model, frames), execute(model, frames))


def test_gemm_with_everything(rng):
    b = Builder(("N", 5))
    w = b.quant(b.constant(rng.integers(-7, 8, (3, 5)) / 4), [[0.25], [0.25], [0.25]])
    bias = b.constant(rng.integers(-9, 10, (1, 3)) / 8)
    y = b.node("Gemm", b.quant("x"), w, bias, transB=1, alpha=0.5, beta=2.0)
    assert_equal_everywhere(b.model(y), grid_frames(rng, (5,)))


def test_per_channel_scales_of_the_last_layer(rng):
    b = Builder(("N", 4))
    w = b.weights(rng.integers(-7, 8, (4, 3)), [[0.5, 0.25, 2.0]])
    assert_equal_everywhere(b.model(b.node("MatMul", b.quant("x"), w)), grid_frames(rng, (4,)))


def test_output_that_is_not_a_dyadic_line(rng):
    """A division and a nonlinear end: all bits of the float32 results become codes."""
    b = Builder(("N", 4))
    y = b.node("MatMul", b.quant("x"), b.weights(rng.integers(-7, 8, (4, 3))))
    y = b.node("Add", b.node("Div", y, b.constant(17.3)), b.constant(-1.21))
    assert_equal_everywhere(b.model(y), grid_frames(rng, (4,)))


@pytest.mark.parametrize("op_type", ["Sigmoid", "Tanh", "HardSwish", "HardSigmoid", "Softsign"])
def test_curves(rng, op_type):
    """Only against the reference evaluator: other libraries round these their own way."""
    b = Builder(("N", 4))
    y = b.node("MatMul", b.quant("x", 0.5), b.weights(rng.integers(-7, 8, (4, 3))))
    model = b.model(b.quant(b.node(op_type, y), 0.0625, 6))
    frames = grid_frames(rng, (4,))
    assert np.array_equal(integer_outputs(model, frames), execute(model, frames))


def test_odd_scales_equal_the_float_execution_but_for_rounding_ties(rng):
    """Scales that are not powers of two: every difference is one code, at a float32 tie."""
    b = Builder(("N", 16))
    x = b.quant("x", 0.3, 5)
    x = b.node("MatMul", x, b.weights(rng.integers(-7, 8, (16, 8)), 0.07))
    model = b.model(b.quant(b.node("Relu", x), 0.21, 5, signed=0))
    frames = grid_frames(rng, (16,), 200)
    outputs, reference = integer_outputs(model, frames), execute(model, frames)
    graph = load_model(model)
    trace = graph.trace(graph.inputs[0].quantize(frames))
    accumulators, scale = trace[graph.nodes[0].name], graph.nodes[0].scale[0]
    differs = np.abs(outputs - reference) > 0.1
    in_codes = accumulators[differs] * scale / 0.21
    assert differs.any()  # 0.3 * 0.07 / 0.21 = 0.1: ties do occur
    assert np.abs(np.abs(in_codes - np.floor(in_codes)) - 0.5).max() < 1e-5
