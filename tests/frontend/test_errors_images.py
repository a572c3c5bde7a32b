"""What images and branches cannot do is refused by name, with the nearest thing that works."""

import numpy as np
import pytest
from onnx import TensorProto

from tests.frontend.models import Builder
from tests.frontend.test_errors import refusal

IMAGE = (3, 6, 6)


def ints(b, values):
    return b.constant(values, dtype=np.int64)


def kernel(b, *shape):
    return b.weights(np.arange(np.prod(shape)).reshape(shape) % 5 - 2)


def convolved(b, x, outputs=2, inputs=3, **options):
    return b.node("Conv", x, kernel(b, outputs, inputs, 3, 3), **options)


@pytest.mark.parametrize(
    ("shape", "options", "text"),
    [
        ((2, 3, 3, 3), {"pads": [3, 0, 3, 0]}, "rows: padding 3, 3 makes a window of padding"),
        ((2, 3, 7, 3), {}, "expected a kernel within its image, got one that reaches over 7 of 6"),
        ((2, 3, 3, 3), {"group": 2}, "expected a group count that divides 3 input and 2 output"),
        ((2, 2, 3, 3), {}, "expected weights for 3 input channels, got 2 (shape (2, 2, 3, 3)"),
        ((2, 3, 3), {}, "expected weights with 4 axes, got shape (2, 3, 3)"),
        ((2, 3, 3, 3), {"kernel_shape": [5, 5]}, "expected kernel_shape [3, 3] as the weights"),
        ((2, 3, 3, 3), {"strides": [0, 1]}, "expected 2 integers 1..65536 as strides, got [0"),
        ((2, 3, 3, 3), {"dilations": [1]}, "expected 2 integers 1..65536 as dilations, got"),
        ((2, 3, 3, 3), {"pads": [1, 1, -1, 1]}, "expected 4 integers 0..65536 as pads, got"),
        ((2, 3, 3, 3), {"auto_pad": "SAME"}, "expected auto_pad NOTSET, VALID or SAME_*, got"),
    ],
)
def test_convolution(shape, options, text):
    b = Builder(("N", *IMAGE))
    message = refusal(b.model(b.node("Conv", b.quant("x"), kernel(b, *shape), name="c", **options)))
    assert "node 'c' (Conv): " in message
    assert text in message


def test_everything_that_is_not_quantized_at_once():
    b = Builder(("N", *IMAGE))
    y = b.node("Conv", "x", b.constant(np.ones((2, 3, 3, 3)), "weight"), name="c")
    message = refusal(b.model(y))
    assert "node 'c' (Conv): unquantized activation: expected an input that ends in a" in message
    assert "; and unquantized weights: expected integer codes, got float32 'weight'" in message


def test_scale_per_input_channel():
    b = Builder(("N", *IMAGE))
    codes, scale = np.ones((2, 3, 3, 3)), np.array([[[[1.0]], [[0.5]], [[0.25]]]])
    message = refusal(b.model(b.node("Conv", b.quant("x"), b.weights(codes, scale))))
    assert "expected one weight scale, or one per output channel, got one per input" in message


def test_volumes():
    b = Builder(("N", 2, 4, 4, 4))
    y = b.node("Conv", b.quant("x"), kernel(b, 2, 2, 3, 3, 3), name="c")
    assert "expected an image (N, C, H, W) or a sequence (N, C, L), got shape" in refusal(
        b.model(y)
    )


def test_transpose_that_changes_the_stream():
    b = Builder(("N", *IMAGE))
    y = b.quant(convolved(b, b.quant("x")))
    y = convolved(b, b.node("Transpose", y, perm=[0, 1, 3, 2]), 2, 2, name="c")
    assert (
        "node 'c' (Conv): expected a tensor (1, 2, 4, 4) that streams pixel by pixel with its "
        "axis 1 innermost, got one in another order; remove the Transpose or Reshape before it"
    ) in refusal(b.model(y))


def test_transpose_that_mixes_frames():
    """Axis 1 has one element only, like the batch that is walked: still not the same."""
    b = Builder(("N", 1, 1, 6))
    y = b.node("Transpose", b.quant("x"), perm=[1, 0, 2, 3])
    assert "expected the batch axis to stay first, got shape (1, 2, 1, 6)" in refusal(b.model(y))


def test_constant_that_varies_over_the_image():
    b = Builder(("N", *IMAGE))
    y = b.node("Add", b.quant("x"), b.constant(np.arange(36).reshape(6, 6), "map"), name="add")
    assert (
        "node 'add' (Add): expected a number a channel in 'map', got numbers that vary over the "
        "image of shape (1, 3, 6, 6); use a shape like (1, 3, 1, 1)"
    ) in refusal(b.model(y))


@pytest.mark.parametrize(
    ("op_type", "options", "text"),
    [
        ("AveragePool", {"pads": [1, 1, 1, 1]}, "set count_include_pad=1 or take the padding"),
        ("AveragePool", {"ceil_mode": 1, "strides": [5, 5]}, "pad the image or set ceil_mode=0"),
        ("MaxPool", {"pads": [2, 0, 0, 0]}, "rows: padding 2, 0 makes a window of padding alone"),
        ("MaxPool", {"kernel_shape": [9, 1]}, "expected a kernel within its image"),
    ],
)
def test_pools(op_type, options, text):
    b = Builder(("N", *IMAGE))
    options = {"kernel_shape": [2, 2], "strides": [2, 2], **options}
    message = refusal(b.model(b.node(op_type, b.quant("x"), name="p", **options)))
    assert f"node 'p' ({op_type}): " in message
    assert text in message


def test_max_pool_between_things_that_fall():
    """What is before the pool has no exact codes, what is after it falls: nothing commutes."""
    b = Builder(("N", *IMAGE))
    y = b.node("Sigmoid", convolved(b, b.quant("x")))
    y = b.node("MaxPool", y, kernel_shape=[2, 2], name="pool")
    message = refusal(b.model(b.quant(b.node("Neg", y), name="act")))
    assert "node 'act' (Quant): type too wide: expected outputs of at most 24 bits" in message
    assert "put a Quant right before max pooling 'pool'" in message


def test_average_of_numbers_that_are_no_codes():
    b = Builder(("N", *IMAGE))
    y = b.node("GlobalAveragePool", b.node("Sigmoid", convolved(b, b.quant("x"))), name="mean")
    message = refusal(b.model(y))
    assert "node 'mean' (GlobalAveragePool): type too wide: expected" in message
    assert "put a Quant before the average" in message


@pytest.mark.parametrize(
    ("options", "text"),
    [
        ({"axes": [1]}, "expected a reduction over all of space, axes [2, 3], got [1]"),
        ({"axes": [1, 2, 3]}, "expected a reduction over all of space, axes [2, 3], got [1, 2, 3]"),
        ({"axes": [7, 8]}, "expected axes of shape (1, 3, 6, 6), got [7, 8]"),
        ({}, "expected axes of shape (1, 3, 6, 6), got None"),
    ],
)
def test_reductions(options, text):
    b = Builder(("N", *IMAGE))
    assert text in refusal(b.model(b.node("ReduceMean", b.quant("x"), **options)))


@pytest.mark.parametrize(
    ("pads", "options", "constant", "text"),
    [
        ([0, 1, 0, 0, 0, 0, 0, 0], {}, 0.0, "expected padding of rows and columns only"),
        ([0, 0, -1, 0, 0, 0, 0, 0], {}, 0.0, "expected pads >= 0, got"),
        ([0, 0, 1, 1, 0, 0, 1, 1], {"mode": "reflect"}, 0.0, "expected mode constant, got"),
        ([0, 0, 1, 1, 0, 0, 1, 1], {}, 0.3, "expected padding by a multiple of the scale 0.25"),
    ],
)
def test_pad(pads, options, constant, text):
    b = Builder(("N", *IMAGE))
    y = b.node("Pad", b.quant("x"), ints(b, pads), b.constant(constant), **options)
    assert text in refusal(b.model(y))


def test_pad_of_bits():
    b = Builder(("N", *IMAGE))
    y = b.node("Pad", b.bipolar("x"), ints(b, [0, 0, 1, 1, 0, 0, 1, 1]))
    assert "use the padding of a Conv, or a Quant with two bits" in refusal(b.model(y))


@pytest.mark.parametrize(
    ("scales", "options", "text"),
    [
        (
            [1, 1, 1.5, 2],
            {},
            "expected whole factors of rows and columns, got [1.0, 1.0, 1.5, 2.0]",
        ),
        ([1, 2, 2, 2], {}, "expected whole factors of rows and columns"),
        ([1, 1, 2, 2], {"mode": "linear"}, "expected mode nearest, got b'linear'"),
        (
            [1, 1, 3, 3],
            {"coordinate_transformation_mode": "align_corners"},
            "coordinate_transformation_mode='asymmetric', nearest_mode='floor'",
        ),
    ],
)
def test_resize(scales, options, text):
    b = Builder(("N", *IMAGE))
    assert text in refusal(
        b.model(b.node("Resize", b.quant("x"), "", b.constant(scales), **options))
    )


@pytest.mark.parametrize(
    ("op_type", "inputs"),
    [("Pad", 3), ("Resize", 3), ("Squeeze", 2), ("Slice", 3), ("ReduceSum", 2)],
)
def test_parameters_that_are_computed(op_type, inputs):
    """They must not count as left out."""
    b = Builder(("N", *IMAGE))
    x = b.quant("x")
    message = refusal(b.model(b.node(op_type, *[x] * inputs, name="n")))
    assert f"node 'n' ({op_type}): expected constants as all inputs but the first" in message


@pytest.mark.parametrize("op_type", ["Conv", "Gemm"])
def test_bias_that_is_computed(op_type):
    b = Builder(("N", *IMAGE))
    x = b.quant("x")
    w = kernel(b, 2, 3, 3, 3) if op_type == "Conv" else kernel(b, 3, 2)
    message = refusal(b.model(b.node(op_type, x, w, x, name="n")))
    assert f"node 'n' ({op_type}): expected constant weights as second input" in message


def test_images_too_large_to_hold():
    b = Builder(("N", *IMAGE))
    y = b.node("Resize", b.quant("x"), "", b.constant([1, 1, 1e6, 1e6]), mode="nearest")
    assert "expected at most 67108864 numbers a frame, got [6000000, 6000000, 3]" in refusal(
        b.model(y)
    )
    y = b.node("Pad", b.quant("x"), ints(b, [0, 0, 1 << 40, 0, 0, 0, 0, 0]))
    assert "expected at most 67108864 numbers a frame" in refusal(b.model(y))
    b = Builder(("N", 1 << 13, 1 << 12))
    assert "expected at most 16777216 numbers a frame, got [8192, 4096]; cut it up" in refusal(
        b.model(b.quant("x"))
    )


def test_sum_of_tensors_of_different_shapes():
    b = Builder(("N", *IMAGE))
    x = b.quant("x")
    gate = b.quant(b.node("GlobalAveragePool", x))
    assert (
        "node 'add' (Add): expected tensors of equal shape, got (1, 3, 6, 6) and (1, 3, 1, 1)"
    ) in refusal(b.model(b.node("Add", x, gate, name="add")))


def test_sum_of_scales_without_a_common_measure():
    b = Builder(("N", *IMAGE))
    x = b.quant("x")
    left, right = b.quant(convolved(b, x), 0.1), b.quant(convolved(b, x), 0.3)
    assert (
        "expected a quantizer after the sum of tensors with different scales, got 'output' after "
        "the real numbers of 'add'; put a QuantizeLinear or Quant there"
    ) in refusal(b.model(b.node("Add", left, right, name="add")))


def test_sum_of_an_activation_that_is_not_quantized():
    b = Builder(("N", *IMAGE))
    x = b.quant("x")
    y = b.node("Tanh", convolved(b, x), name="act")
    message = refusal(b.model(b.node("Add", y, convolved(b, x), name="add")))
    assert "node 'add' (Add): type too wide: expected outputs of at most 24 bits" in message
    assert "put a Quant after 'act'" in message


def test_sum_of_a_tensor_and_its_transpose():
    b = Builder(("N", 3, 6, 6))
    y = b.quant(convolved(b, b.quant("x")))
    y = b.node("Add", y, b.node("Transpose", y, perm=[0, 1, 3, 2]))
    assert "expected tensors that stream in the same order" in refusal(b.model(y))


@pytest.mark.parametrize("axis", [0, 2, 3])
def test_concat_of_rows(axis):
    b = Builder(("N", *IMAGE))
    x = b.quant("x")
    y = b.quant(convolved(b, x, 3, pads=[1, 1, 1, 1]))
    assert f"expected a concatenation over channels, axis 1, got axis {axis}" in refusal(
        b.model(b.node("Concat", x, y, axis=axis))
    )


def test_slices():
    b = Builder(("N", *IMAGE))
    x = b.quant("x")
    y = b.node("Slice", x, ints(b, [0]), ints(b, [3]), ints(b, [1]), ints(b, [2]))
    assert "expected evenly spaced rows and columns and neighbouring channels of [6, 6, 3]" in (
        refusal(b.model(y))
    )
    y = b.node("Gather", x, ints(b, [0, 0]), axis=1)
    assert "expected each element at most once" in refusal(b.model(y))
    y = b.node("Slice", x, ints(b, [0]), ints(b, [1]), ints(b, [0]))
    assert "keep the batch axis whole" in refusal(b.model(y))


@pytest.mark.parametrize(
    ("op_type", "options", "text"),
    [
        ("ArgMax", {"axis": 2}, "expected the axis of channels, 1, got axis 2"),
        ("ArgMax", {"axis": 1, "select_last_index": 1}, "expected select_last_index 0, got 1"),
        ("TopK", {"axis": 1}, "expected k of at most 3, the numbers, got 9"),
        ("TopK", {"axis": 1, "largest": 0}, "expected largest 1, got 0"),
    ],
)
def test_largest(op_type, options, text):
    b = Builder(("N", *IMAGE))
    inputs = [b.quant("x")] + ([ints(b, [9])] if op_type == "TopK" else [])
    y = b.node(op_type, *inputs, **options)
    if op_type == "TopK":
        y = "indices"
        b.nodes[-1].output.append(y)
    assert text in refusal(b.model(y, TensorProto.INT64))


def test_values_of_top_k():
    b = Builder(("N", 4))
    y = b.node("TopK", b.quant("x"), ints(b, [1]))
    b.nodes[-1].output.append("indices")
    assert "node 'topk1' (TopK): expected its indices to be used, got its values" in refusal(
        b.model(y)
    )
