"""Images stream channels last; nothing a model does to the order of elements goes unnoticed."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from onnx import TensorProto

from hwgen.frontend import load_model
from hwgen.ir import Layout, layout_of
from tests.frontend.equality import assert_equal_everywhere, kinds
from tests.frontend.models import Builder, grid_frames

IMAGE = (3, 4, 5)


def convolved(b, rng, x, inputs=3, outputs=2, kernel=3):
    w = b.weights(rng.integers(-7, 8, (outputs, inputs, kernel, kernel)), 0.25, 4)
    return b.node("Conv", x, w, pads=[kernel // 2] * 4)


def dense(b, rng, x, inputs, outputs=3):
    return b.node("MatMul", x, b.weights(rng.integers(-7, 8, (inputs, outputs))))


def ints(b, values):
    return b.constant(values, dtype=np.int64)


def test_frames_and_outputs_are_shaped_as_in_the_model(rng):
    b = Builder(("N", *IMAGE))
    graph = load_model(b.model(convolved(b, rng, b.quant("x"))))
    source = graph.inputs[0]
    assert (source.type.shape, source.frame_shape, graph.output_shape) == (
        (4, 5, 3),
        IMAGE,
        (2, 4, 5),
    )
    frames = grid_frames(rng, IMAGE, 5)
    codes = source.quantize(frames)
    assert codes.shape == (5, 4, 5, 3)
    assert np.array_equal(codes, source.quantize(frames.reshape(5, -1)))
    clipped = np.clip(np.round(frames / 0.25), -8, 7)
    assert np.array_equal(codes, clipped.transpose(0, 2, 3, 1))
    assert graph.dequantize(graph.evaluate(codes)).shape == (5, 2, 4, 5)


def test_a_flat_model_stays_as_it_is(rng):
    b = Builder(("N", 6))
    graph = load_model(b.model(dense(b, rng, b.quant("x"), 6)))
    assert graph.inputs[0].layout is None
    assert graph.output_layout is None


@pytest.mark.parametrize("op_type", ["Flatten", "Reshape"])
def test_weights_behind_a_flatten_are_permuted(rng, op_type):
    b = Builder(("N", *IMAGE))
    y = b.quant(convolved(b, rng, b.quant("x")))
    y = b.node("Flatten", y) if op_type == "Flatten" else b.node("Reshape", y, ints(b, [0, -1]))
    graph = assert_equal_everywhere(b.model(dense(b, rng, y, 40)), grid_frames(rng, IMAGE))
    assert kinds(graph)[-2:] == ["reshape", "matvec"]


def test_constants_for_each_element_behind_a_flatten(rng):
    """The image becomes a vector; what was pending for channels is repeated."""
    b = Builder(("N", *IMAGE))
    y = b.node("Add", convolved(b, rng, b.quant("x")), b.constant([[[0.5]], [[-0.25]]]))
    y = b.node("Mul", b.node("Flatten", y), b.constant(rng.integers(1, 4, 40) / 4))
    y = dense(b, rng, b.quant(y, 0.5), 40)
    assert_equal_everywhere(b.model(y), grid_frames(rng, IMAGE))


def test_output_flattened_in_the_models_order(rng):
    b = Builder(("N", *IMAGE))
    y = b.node("Flatten", convolved(b, rng, b.quant("x")))
    graph = assert_equal_everywhere(b.model(y), grid_frames(rng, IMAGE))
    assert graph.output_layout == Layout((40,), (2, 20), (1, 0))


def test_keras_keeps_channels_last(rng):
    """Transposes around each convolution: none of them is left, and frames stream as they come."""
    b = Builder(("N", 4, 5, 3))
    x = b.quant("x")
    for inputs in (3, 2):
        y = convolved(b, rng, b.node("Transpose", x, perm=[0, 3, 1, 2]), inputs)
        y = b.node("Transpose", y, perm=[0, 2, 3, 1])
        y = b.node("Add", y, b.constant(rng.integers(-9, 10, 2) / 8))
        x = b.quant(b.node("Relu", y), 0.5, 4, signed=0)
    y = dense(b, rng, b.node("Reshape", x, ints(b, [-1, 40])), 40)
    graph = assert_equal_everywhere(b.model(y), grid_frames(rng, (4, 5, 3)))
    assert graph.inputs[0].layout is None
    assert "reshape" in kinds(graph)


def test_keras_output_stays_channels_last(rng):
    b = Builder(("N", 4, 5, 3))
    y = convolved(b, rng, b.node("Transpose", b.quant("x"), perm=[0, 3, 1, 2]))
    graph = assert_equal_everywhere(
        b.model(b.node("Transpose", y, perm=[0, 2, 3, 1])), grid_frames(rng, (4, 5, 3))
    )
    assert graph.output_layout is None


def test_keras_takes_the_mean_of_channels_last(rng):
    b = Builder(("N", 4, 5, 3))
    y = convolved(b, rng, b.node("Transpose", b.quant("x"), perm=[0, 3, 1, 2]))
    y = b.quant(b.node("Transpose", y, perm=[0, 2, 3, 1]), 0.5)
    y = b.quant(b.node("ReduceMean", y, axes=[1, 2], keepdims=0), 0.0625, 8)
    assert_equal_everywhere(b.model(dense(b, rng, y, 2)), grid_frames(rng, (4, 5, 3)))


def test_a_batch_that_the_file_fixes(rng):
    b = Builder((4, *IMAGE))
    y = b.node("Reshape", b.quant(convolved(b, rng, b.quant("x"))), ints(b, [4, -1]))
    model = b.model(dense(b, rng, y, 40))
    assert_equal_everywhere(model, grid_frames(rng, IMAGE, 4))


def test_flatten_by_a_computed_shape(rng):
    """What older exporters write for view(x.size(0), -1), behind a convolution."""
    b = Builder((1, *IMAGE), opset=11)
    y = b.quant(convolved(b, rng, b.quant("x")))
    batch = b.node("Gather", b.node("Shape", y), ints(b, 0), axis=0)
    shape = b.node("Concat", b.node("Unsqueeze", batch, axes=[0]), ints(b, [-1]), axis=0)
    y = dense(b, rng, b.node("Reshape", y, shape), 40)
    assert_equal_everywhere(b.model(y), grid_frames(rng, IMAGE, 1))


@pytest.mark.parametrize(
    ("op_type", "shape"),
    [
        ("PRelu", (2, 1, 1)),
        ("PRelu", (1, 2, 1, 1)),
        ("Mul", (2, 1, 1)),
        ("Sub", (1, 2, 1, 1)),
        ("Div", (2, 1, 1)),
        ("Max", (2, 1, 1)),
        ("Min", (1,)),
    ],
)
def test_constants_of_channels(rng, op_type, shape):
    b = Builder(("N", *IMAGE))
    constant = b.constant(2.0 ** rng.integers(-2, 2, shape))
    y = b.node(op_type, convolved(b, rng, b.quant("x")), constant)
    assert_equal_everywhere(b.model(b.quant(y, 0.5, 6)), grid_frames(rng, IMAGE))


def test_flat_frames_that_become_an_image(rng):
    b = Builder(("N", 60))
    x = b.quant(b.node("Reshape", "x", ints(b, [-1, *IMAGE])))
    graph = assert_equal_everywhere(b.model(convolved(b, rng, x)), grid_frames(rng, (60,)))
    assert graph.inputs[0].layout == Layout((60,), (3, 20), (1, 0))
    assert graph.inputs[0].type.shape == (4, 5, 3)


def test_sequences(rng):
    b = Builder(("N", 2, 9))
    w = b.weights(rng.integers(-7, 8, (3, 2, 4)), 0.25, 4)
    y = b.quant(b.node("Conv", b.quant("x"), w, strides=[2], pads=[1, 2]))
    y = b.node("MaxPool", y, kernel_shape=[2], strides=[2])
    y = dense(b, rng, b.node("Flatten", y), 6)
    graph = assert_equal_everywhere(b.model(y), grid_frames(rng, (2, 9)))
    assert graph.inputs[0].type.shape == (1, 9, 2)


def test_a_dense_layer_on_every_pixel(rng):
    b = Builder(("N", 4, 5, 3))
    y = dense(b, rng, b.quant("x"), 3, 2)
    y = b.quant(b.node("Add", y, b.constant(rng.integers(-9, 10, 2) / 8)))
    y = convolved(b, rng, b.node("Transpose", y, perm=[0, 3, 1, 2]), 2)
    assert_equal_everywhere(b.model(y), grid_frames(rng, (4, 5, 3)))


def test_unsqueezed_and_squeezed(rng):
    b = Builder(("N", 2, 9))
    x = b.node("Unsqueeze", b.quant("x"), ints(b, [2]))
    w = b.weights(rng.integers(-7, 8, (3, 2, 1, 3)), 0.25, 4)
    y = b.node("Squeeze", b.node("Conv", x, w), ints(b, [2]))
    assert_equal_everywhere(b.model(y), grid_frames(rng, (2, 9)))


@pytest.mark.parametrize("end", [7, -1])
def test_slice_of_rows_columns_and_channels(rng, end):
    b = Builder(("N", *IMAGE))
    x = b.quant("x")
    starts, ends, axes = ints(b, [1, 0]), ints(b, [end, 4]), ints(b, [3, 2])
    y = b.node("Slice", x, starts, ends, axes, ints(b, [1, 2]))
    y = b.node("Slice", y, ints(b, [1]), ints(b, [3]), ints(b, [1]))
    graph = assert_equal_everywhere(b.model(convolved(b, rng, y, 2)), grid_frames(rng, IMAGE))
    assert kinds(graph)[:2] == ["slice", "slice"]


def test_last_step_of_a_sequence(rng):
    b = Builder(("N", 4, 9))
    y = b.node("Gather", b.quant("x"), ints(b, -1), axis=2)
    assert_equal_everywhere(b.model(dense(b, rng, y, 4)), grid_frames(rng, (4, 9)))


def test_reversed_columns_reach_a_dense_layer(rng):
    """A reversal has no hardware; behind it the weights are simply permuted."""
    b = Builder(("N", *IMAGE))
    y = b.node("Slice", b.quant("x"), ints(b, [-1]), ints(b, [-9]), ints(b, [3]), ints(b, [-1]))
    y = dense(b, rng, b.node("Flatten", y), 60)
    assert_equal_everywhere(b.model(y), grid_frames(rng, IMAGE))


@pytest.mark.parametrize("zero_point", [0, -3, 9])
def test_pad_is_the_number_zero(rng, zero_point):
    b = Builder(("N", *IMAGE))
    x = b.quant("x", 0.25, 3, signed=0, zero_point=zero_point)
    y = b.node("Pad", x, ints(b, [0, 0, 1, 0, 0, 0, 2, 1]))
    assert_equal_everywhere(b.model(convolved(b, rng, y)), grid_frames(rng, IMAGE))


def test_pad_with_a_number(rng):
    b = Builder(("N", *IMAGE))
    y = b.node("Pad", b.quant("x"), ints(b, [0, 0, 1, 1, 0, 0, 0, 0]), b.constant(-1.75))
    assert_equal_everywhere(b.model(y), grid_frames(rng, IMAGE))


@pytest.mark.parametrize(
    "how",
    [
        {"coordinate_transformation_mode": "asymmetric", "nearest_mode": "floor"},
        {},
        {"coordinate_transformation_mode": "half_pixel", "nearest_mode": "round_prefer_ceil"},
    ],
)
def test_resize(rng, how):
    b = Builder(("N", *IMAGE))
    x = b.quant(convolved(b, rng, b.quant("x")))
    y = b.node("Resize", x, "", b.constant([1, 1, 2, 3]), mode="nearest", **how)
    graph = assert_equal_everywhere(b.model(y), grid_frames(rng, IMAGE))
    assert kinds(graph)[-1] == "upsample"


@pytest.mark.parametrize(("op_type", "k"), [("ArgMax", 1), ("TopK", 1), ("TopK", 3)])
def test_largest(rng, op_type, k):
    b = Builder(("N", *IMAGE))
    y = b.node("Flatten", b.quant(convolved(b, rng, b.quant("x"))))
    y = b.node("Add", dense(b, rng, y, 40, 5), b.constant(rng.integers(-9, 10, 5) / 8))
    if op_type == "ArgMax":
        y = b.node("ArgMax", y, axis=1)
    else:
        b.node("TopK", y, ints(b, [k]))
        y = "indices"
        b.nodes[-1].output.append(y)
    model = b.model(y, TensorProto.INT64)
    graph = assert_equal_everywhere(model, grid_frames(rng, IMAGE))
    assert kinds(graph)[-1] == ("argmax" if k == 1 else "top_k")


@pytest.mark.parametrize("k", [1, 2])
def test_top_of_each_pixel(rng, k):
    """Of images too, where the indices of a pixel stream together."""
    b = Builder(("N", *IMAGE))
    b.node("TopK", convolved(b, rng, b.quant("x"), outputs=4), ints(b, [k]), axis=1)
    b.nodes[-1].output.append("indices")
    assert_equal_everywhere(b.model("indices", TensorProto.INT64), grid_frames(rng, IMAGE))


def test_largest_of_each_pixel(rng):
    b = Builder(("N", *IMAGE))
    y = b.node("ArgMax", convolved(b, rng, b.quant("x"), outputs=4), axis=1, keepdims=0)
    assert_equal_everywhere(b.model(y, TensorProto.INT64), grid_frames(rng, IMAGE))


@settings(max_examples=60)
@given(data=st.data())
def test_layouts_are_found(data):
    """Any transposition of any shape, flattened or not, is found and leads back."""
    shape = data.draw(st.lists(st.integers(1, 4), min_size=1, max_size=4).map(tuple))
    axes = data.draw(st.permutations(range(len(shape))))
    size = int(np.prod(shape))
    streamed_shape = tuple(shape[a] for a in axes)
    elements = np.arange(size).reshape(shape).transpose(axes).ravel()
    order = np.argsort(elements).reshape(data.draw(st.sampled_from([shape, (size,), (1, size)])))
    frames = np.arange(3 * size).reshape(3, *order.shape)
    layout = layout_of(order, streamed_shape)
    if layout is None:
        assert (order.ravel() == np.arange(size)).all()
        assert order.shape == streamed_shape
        return
    streamed = layout.to_stream(frames, streamed_shape)
    assert (streamed.reshape(3, size)[:, order.ravel()] == frames.reshape(3, size)).all()
    assert (layout.to_model(streamed) == frames).all()
