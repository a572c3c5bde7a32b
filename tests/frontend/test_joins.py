"""Residual sums and concatenations: scales are aligned exactly, and flows may be read often."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.frontend.equality import assert_equal_everywhere, kinds
from tests.frontend.models import Builder, grid_frames

IMAGE = (2, 5, 5)


def convolved(b, rng, x, scale=0.25, inputs=2, outputs=2):
    shape = (outputs, inputs, 3, 3)
    return b.node("Conv", x, b.weights(rng.integers(-7, 8, shape), scale, 4), pads=[1, 1, 1, 1])


@settings(max_examples=25)
@given(
    seed=st.integers(0, 2**32 - 1),
    exponents=st.lists(st.integers(-4, 1), min_size=2, max_size=2),
    op_type=st.sampled_from(["Add", "Sub", "Sum"]),
    left=st.sampled_from(["quantized", "sums", "sums of channels", "biased", "rectified"]),
    right=st.sampled_from(["input", "quantized", "sums", "sums of channels", "the same"]),
)
def test_residual(seed, exponents, op_type, left, right):
    rng = np.random.default_rng(seed)
    b = Builder(("N", *IMAGE))
    x = b.quant("x", 0.5, 4)

    def branch(kind, scale):
        if kind == "input":
            return x
        each = np.full((2, 1, 1, 1), scale)
        each[1] *= 4 if kind == "sums of channels" else 1
        y = convolved(b, rng, x, each)
        if kind == "biased":
            y = b.node("Add", y, b.constant(rng.integers(-9, 10, (1, 2, 1, 1)) / 16))
        if kind == "rectified":
            y = b.node("Relu", b.node("Add", y, b.constant([[[0.5]], [[-1.0]]])))
        return b.quant(y, scale, 5) if kind == "quantized" else y

    first = branch(left, 2.0 ** exponents[0])
    second = first if right == "the same" else branch(right, 2.0 ** exponents[1])
    y = b.node(op_type, first, second, name="join")
    y = b.quant(b.node("Relu", y), 0.5, 6, signed=0)
    graph = assert_equal_everywhere(b.model(y), grid_frames(rng, IMAGE, 6))
    assert "add" in kinds(graph) or right == "the same"


def test_scales_in_the_proportion_of_small_integers(rng):
    """0.75 and 1.25 have 0.25 in common: 3 a + 5 b."""
    b = Builder(("N", 4))
    x = b.quant("x", 0.25)
    left = b.quant(b.node("MatMul", x, b.weights(rng.integers(-7, 8, (4, 3)))), 0.75)
    right = b.quant(b.node("MatMul", x, b.weights(rng.integers(-7, 8, (4, 3)))), 1.25)
    graph = assert_equal_everywhere(
        b.model(b.node("Add", left, right, name="sum1")), grid_frames(rng, (4,))
    )
    assert graph.node("sum1").op.multipliers.tolist() == [3, 5]
    assert graph.node("sum1").scale == (0.25,)


def test_chain_of_residuals_ends_in_an_average(rng):
    """The skeleton of a small ResNet."""
    b = Builder(("N", *IMAGE))
    x = b.quant("x")
    for k in range(3):
        y = b.quant(b.node("Relu", convolved(b, rng, x)), 0.5, 4, signed=0)
        y = b.node("Add", convolved(b, rng, y), x, name=f"add{k}")
        x = b.quant(b.node("Relu", y), 0.5, 4, signed=0)
    y = b.quant(b.node("GlobalAveragePool", x), 0.125, 7, signed=0)
    y = b.node("Gemm", b.node("Flatten", y), b.weights(rng.integers(-7, 8, (2, 5))))
    graph = assert_equal_everywhere(b.model(y), grid_frames(rng, IMAGE))
    assert kinds(graph).count("add") == 3


def test_one_flow_with_two_quantizers(rng):
    """Each reader makes its own function of the same sums."""
    b = Builder(("N", *IMAGE))
    sums = b.node("BatchNormalization", convolved(b, rng, b.quant("x")), *_statistics(b, rng))
    fine, coarse = b.quant(sums, 0.25, 6), b.quant(b.node("Relu", sums), 1.0, 3, signed=0)
    graph = assert_equal_everywhere(
        b.model(b.quant(b.node("Add", fine, coarse))), grid_frames(rng, IMAGE)
    )
    assert kinds(graph).count("matvec") == 1


def _statistics(b, rng):
    return [b.constant(v) for v in (*rng.standard_normal((3, 2)), rng.random(2) + 0.1)]


def test_input_with_two_equal_quantizers(rng):
    b = Builder(("N", *IMAGE))
    y = b.node("Add", convolved(b, rng, b.quant("x")), b.quant("x"))
    graph = assert_equal_everywhere(b.model(y), grid_frames(rng, IMAGE))
    assert len(graph.inputs) == 1


@pytest.mark.parametrize("scales", [(0.5, 0.5, 0.5), (0.5, 0.25, 1.0)])
def test_concat(rng, scales):
    b = Builder(("N", *IMAGE))
    x = b.quant("x")
    parts = [b.quant(convolved(b, rng, x, outputs=k + 1), s) for k, s in enumerate(scales)]
    y = b.node("Concat", *parts, x, axis=1)
    y = convolved(b, rng, y, inputs=8, outputs=3)
    graph = assert_equal_everywhere(b.model(y), grid_frames(rng, IMAGE))
    assert "concat" in kinds(graph)


def test_concat_of_bits_and_numbers(rng):
    b = Builder(("N", *IMAGE))
    x = b.quant("x", 1.0, 3)
    bits = b.bipolar(convolved(b, rng, x))
    y = convolved(b, rng, b.node("Concat", bits, x, axis=1), inputs=4)
    assert_equal_everywhere(b.model(y), grid_frames(rng, IMAGE))


def test_concat_of_flattened_images(rng):
    b = Builder(("N", *IMAGE))
    x = b.quant("x")
    small = b.node("MaxPool", b.quant(convolved(b, rng, x)), kernel_shape=[2, 2], strides=[2, 2])
    y = b.node("Concat", b.node("Flatten", x), b.node("Flatten", small), axis=1)
    y = b.node("MatMul", y, b.weights(rng.integers(-7, 8, (58, 3))))
    assert_equal_everywhere(b.model(y), grid_frames(rng, IMAGE))


def test_split_channels_and_join_again(rng):
    """Each half has its own constants of the normalization before."""
    b = Builder(("N", *IMAGE))
    y = convolved(b, rng, b.quant("x"), outputs=4)
    shift = b.constant(rng.integers(-9, 10, (1, 4, 1, 1)) / 8)
    y = b.node("Add", y, shift)
    sizes = b.constant([3, 1], dtype=np.int64)
    first = b.node("Split", y, sizes, axis=1)
    b.nodes[-1].output.append("second")
    left, right = b.quant(first, 0.5), b.quant("second", 0.25)
    y = b.node("Concat", left, right, axis=1)
    graph = assert_equal_everywhere(b.model(y), grid_frames(rng, IMAGE))
    assert kinds(graph).count("slice") == 2


def test_batch_of_vectors_joined(rng):
    b = Builder(("N", 6))
    x = b.quant("x")
    y = b.quant(b.node("MatMul", x, b.weights(rng.integers(-7, 8, (6, 4)))), 0.25)
    y = b.node("MatMul", b.node("Concat", x, y, axis=1), b.weights(rng.integers(-7, 8, (10, 2))))
    assert_equal_everywhere(b.model(y), grid_frames(rng, (6,)))
