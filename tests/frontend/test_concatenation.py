"""Concat of tensors whose scales have nothing in common, in any layout, and chains of Split."""

import numpy as np
import pytest

from hwgen.errors import FrontendError
from hwgen.frontend import load_model
from tests.frontend.equality import assert_equal_everywhere, integer_outputs, kinds
from tests.frontend.models import Builder, grid_frames
from tests.frontend.qdq_models import Linear, QdqBuilder, convolution, onnxruntime_outputs
from tests.frontend.test_joins import convolved

FREE = (Linear(0.0173, 3), Linear(0.0311, -7), Linear(0.25))


def parts_of(b, rng, *linears):
    """The input and convolutions of it, one for each way to quantize."""
    x = b.pair("x", FREE[-1])
    return [
        *(b.pair(convolution(b, rng, x, 2.0**-9, 0.25), linear) for linear in linears),
        x,
    ]


BEHIND = {
    "quantizer": lambda b, y: y,
    "relu": lambda b, y: b.node("Relu", y),
    "pool": lambda b, y: b.node("MaxPool", y, kernel_shape=[2, 2], strides=[2, 2]),
    "slice": lambda b, y: b.node(
        "Slice", y, *(b.constant([k], dtype=np.int64) for k in (1, 7, 1))
    ),
    "upsampled": lambda b, y: b.node("Resize", y, "", b.constant([1, 1, 2, 2]), mode="nearest",
                                     coordinate_transformation_mode="asymmetric",
                                     nearest_mode="floor"),
    "concat": lambda b, y: b.node("Concat", y, b.node("Relu", y), axis=1),
}  # fmt: skip


@pytest.mark.parametrize("behind", BEHIND)
def test_free_scales(rng, behind):
    """Each channel keeps its scale up to the quantizer, which is then a function a channel."""
    b = QdqBuilder(("N", 2, 4, 4))
    y = b.node("Concat", *parts_of(b, rng, *FREE[:2]), axis=1)
    y = b.pair(BEHIND[behind](b, y), Linear(0.125, 5))
    model, frames = b.model(y), grid_frames(rng, (2, 4, 4))
    assert np.array_equal(integer_outputs(model, frames), onnxruntime_outputs(model, frames))


def test_free_scales_at_the_end(rng):
    """The output's numbers have a scale a channel."""
    b = QdqBuilder(("N", 2, 4, 4))
    model = b.model(b.node("Concat", *parts_of(b, rng, *FREE[:2]), axis=1))
    frames = grid_frames(rng, (2, 4, 4))
    wanted = onnxruntime_outputs(model, frames)
    assert np.array_equal(integer_outputs(model, frames).astype(np.float32), wanted)
    assert len(load_model(model).nodes[-1].scale) == 8


def test_free_scales_of_vectors(rng):
    b = QdqBuilder(("N", 5))
    x = b.pair("x", Linear(0.25))
    w = b.integers(rng.integers(-7, 8, (5, 3)), 0.0625)
    y = b.node("Concat", x, b.pair(b.node("MatMul", x, w), FREE[0]), axis=-1)
    model, frames = b.model(b.pair(y, Linear(0.125))), grid_frames(rng, (5,))
    assert np.array_equal(integer_outputs(model, frames), onnxruntime_outputs(model, frames))


def test_bits_and_free_scales(rng):
    b = Builder(("N", 2, 4, 4))
    x = b.quant("x")
    y = b.node("Concat", b.bipolar(convolved(b, rng, x), 0.3), b.quant(x, 0.0171), axis=1)
    graph = assert_equal_everywhere(b.model(b.quant(y, 0.25, 5)), grid_frames(rng, (2, 4, 4)))
    assert "concat" in kinds(graph)


def test_a_product_needs_a_quantizer_behind_free_scales(rng):
    b = QdqBuilder(("N", 2, 4, 4))
    y = b.node("Concat", *parts_of(b, rng, *FREE[:2]), axis=1)
    y = convolution(b, rng, y, 0.25, 0.25, inputs=8)
    with pytest.raises(FrontendError, match=r"one input scale, got 8 of .*put a quantizer"):
        load_model(b.model(b.pair(y, Linear())))


def test_wide_sums_that_no_common_scale_holds(rng):
    """2**-30 and 1 have a common measure, but not in 24 bits."""
    b = Builder(("N", 4))
    x = b.quant("x")
    fine = b.node("MatMul", x, b.weights(rng.integers(-7, 8, (4, 3)), 2.0**-20))
    coarse = b.node("MatMul", x, b.weights(rng.integers(-7, 8, (4, 3)), 1.0))
    y = b.quant(b.node("Concat", fine, coarse, axis=1), 0.5, 6)
    assert_equal_everywhere(b.model(y), grid_frames(rng, (4,)))


def test_split_quantized_differently_and_joined(rng):
    """As CSP blocks and ShuffleNet's units do: half goes on, half is convolved."""
    b = QdqBuilder(("N", 2, 4, 4))
    y = b.pair(convolution(b, rng, b.pair("x", Linear(0.25)), 2.0**-9, 0.25, outputs=4), FREE[0])
    left = b.node("Split", y, axis=1, num_outputs=2)
    b.nodes[-1].output.append("right")
    right = b.pair(b.node("Relu", "right"), FREE[1])
    y = b.pair(b.node("Concat", right, left, axis=1), Linear(0.25, -3))
    model = b.model(convolution(b, rng, y, 2.0**-9, 0.25, inputs=4))
    frames = grid_frames(rng, (2, 4, 4))
    assert np.array_equal(integer_outputs(model, frames), onnxruntime_outputs(model, frames))


@pytest.mark.parametrize("axis", [3, -1])
def test_channels_last(rng, axis):
    """As TensorFlow has it, between Transposes."""
    b = QdqBuilder(("N", 2, 4, 4))
    parts = [b.node("Transpose", p, perm=[0, 2, 3, 1]) for p in parts_of(b, rng, FREE[0])]
    y = b.node("Transpose", b.node("Concat", *parts, axis=axis), perm=[0, 3, 1, 2])
    y = b.pair(y, Linear(0.25))
    model = b.model(convolution(b, rng, y, 2.0**-9, 0.25, inputs=5))
    frames = grid_frames(rng, (2, 4, 4))
    assert np.array_equal(integer_outputs(model, frames), onnxruntime_outputs(model, frames))
