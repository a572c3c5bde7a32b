"""Files as other tools write them, rebuilt node by node: PT2E, tf2onnx, and idioms of QONNX."""

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper

from hwgen.errors import FrontendError
from hwgen.frontend import load_model
from hwgen.frontend.execute import execute
from tests.frontend.equality import assert_equal_everywhere, integer_outputs, kinds
from tests.frontend.models import Builder, execute_with_qonnx, grid_frames
from tests.frontend.qdq_models import Linear, QdqBuilder, onnxruntime_outputs


def assert_equal(model, frames):
    ours, theirs = integer_outputs(model, frames), onnxruntime_outputs(model, frames)
    assert np.array_equal(ours.astype(np.float32), theirs)
    assert np.array_equal(execute(model, frames), theirs)


def int64(b, *values):
    return b.constant(values, dtype=np.int64)


# torchao / PT2E --------------------------------------------------------------------------------


def pt2e_conv(b, rng, x, inputs, outputs, name):
    """Frozen int8 weights with a scale a channel on axis 0; biases stay float."""
    codes = rng.integers(-127, 128, (outputs, inputs, 3, 3))
    w = b.integers(codes, 2.0 ** rng.integers(-11, -8, outputs))
    bias = b.constant(rng.integers(-64, 64, outputs) / 64)
    options = {"group": 1, "auto_pad": "NOTSET", "strides": [1, 1], "dilations": [1, 1]}
    return b.node("Conv", x, w, bias, name=name, pads=[1] * 4, kernel_shape=[3, 3], **options)


def pt2e_resnet(rng, batch=2):
    """What torch.onnx.export(dynamo=True) gives of a converted network with a residual block."""
    b = QdqBuilder((batch, 3, 8, 8), opset=18)
    x = b.pair("x", Linear(0.03125, -4))
    y = b.node("Relu", pt2e_conv(b, rng, x, 3, 8, "node_conv2d"))
    skip = b.pair(y, Linear(0.0625, -128))
    y = b.pair(pt2e_conv(b, rng, skip, 8, 8, "node_conv2d_1"), Linear(0.125, 7))
    y = b.pair(b.node("Relu", b.node("Add", y, skip, name="node_add")), Linear(0.125, -128))
    axes = int64(b, -1, -2)
    y = b.node("ReduceMean", y, axes, noop_with_empty_axes=0, keepdims=1)
    y = b.pair(y, Linear(0.0625, -128))
    y = b.pair(b.node("Reshape", y, int64(b, batch, 8), allowzero=1), Linear(0.0625, -128))
    w = b.integers(rng.integers(-127, 128, (5, 8)), 2.0 ** rng.integers(-9, -6, 5))
    y = b.node("Gemm", y, w, b.constant(np.arange(5) / 8), transB=1, alpha=1.0, beta=1.0)
    return b.model(b.pair(y, Linear(0.25, 12)))


def test_pt2e_residual_network(rng):
    model = pt2e_resnet(rng)
    assert_equal(model, (rng.integers(-40, 41, (2, 3, 8, 8)) / 16).astype(np.float32))


def test_pt2e_frozen_batch(rng):
    """A Reshape that names the batch, which is 1, 2 or 8 in the file."""
    for batch in (1, 8):
        frames = (rng.integers(-40, 41, (batch, 3, 8, 8)) / 16).astype(np.float32)
        assert_equal(pt2e_resnet(rng, batch), frames)


@pytest.mark.parametrize("order", ["whole", "part", "other", "any batch"])
def test_as_strided_of_a_batch_of_one(rng, order):
    """How torch exports an adaptive pool then; a choice of elements is another thing."""
    b = QdqBuilder(("N" if order == "any batch" else 1, 3, 8, 8), opset=18)
    y = b.node("Relu", pt2e_conv(b, rng, b.pair("x", Linear(0.0625)), 3, 8, "node_conv2d"))
    y = b.node("ReduceMean", b.pair(y, Linear(0.0625, -128)), int64(b, -1, -2), keepdims=1)
    kept = {"part": range(4), "other": [1, 0, 2, 3, 4, 5, 6, 7]}.get(order, range(8))
    indices = b.constant(np.array(kept).reshape(1, -1, 1, 1), dtype=np.int64)
    y = b.node("Gather", b.node("Reshape", y, int64(b, -1)), indices, axis=0)
    y = b.node("Reshape", b.pair(y, Linear(0.0625, -128)), int64(b, 1, len(kept)))
    w = b.integers(rng.integers(-127, 128, (5, len(kept))), 2.0**-8)
    model = b.model(b.pair(b.node("Gemm", y, w, transB=1), Linear(0.125)))
    if order == "whole":
        assert_equal(model, (rng.integers(-40, 41, (1, 3, 8, 8)) / 16).astype(np.float32))
    else:
        with pytest.raises(FrontendError, match=r"expected|cannot reshape"):
            load_model(model)


def test_pt2e_fused_residual_is_refused_by_name(rng):
    """Inductor's quantizer leaves out the pair between a convolution and the sum behind it."""
    b = QdqBuilder((2, 3, 8, 8), opset=18)
    x = b.pair("x", Linear(0.0311, -4))
    y = b.node("Add", pt2e_conv(b, rng, x, 3, 3, "node_conv2d"), x, name="node_add")
    with pytest.raises(FrontendError, match=r"node_add.*put a Quant after 'node_conv2d'"):
        load_model(b.model(b.pair(b.node("Relu", y), Linear(0.0817))))


# TFLite by tf2onnx -----------------------------------------------------------------------------


def tf_conv(b, rng, x, shape, bias_scale, **options):
    codes = rng.integers(-127, 128, shape)
    w = b.integers(codes, np.full(shape[0], 2.0**-8))
    bias = b.integers(rng.integers(-900, 900, shape[0]), np.full(shape[0], bias_scale), 0, np.int32)
    return b.node("Conv", x, w, bias, pads=[1] * 4, kernel_shape=[3, 3], **options)


def tflite_mobilenet(rng):
    """NHWC int8 in and out; Relu6 fused into the scales; a depthwise convolution; Softmax last."""
    b = QdqBuilder(("N", 8, 8, 3), opset=13)
    x = b.node("Transpose", b.dequantize("x", Linear(1 / 64, -3)), perm=[0, 3, 1, 2])
    x = b.pair(x, Linear(1 / 64, -3))
    y = tf_conv(b, rng, x, (8, 3, 3, 3), 2.0**-14, strides=[2, 2])
    y = b.pair(b.node("Clip", y, b.constant(0.0), b.constant(6.0)), Linear(1 / 32, -128))
    y = tf_conv(b, rng, y, (8, 1, 3, 3), 2.0**-13, group=8)
    y = b.pair(b.node("Relu", y), Linear(1 / 16, -128))
    y = b.pair(b.node("ReduceMean", y, axes=[2, 3], keepdims=0), Linear(1 / 16, -128))
    y = b.node("Reshape", y, int64(b, -1, 8))
    w = b.node("Transpose", b.integers(rng.integers(-127, 128, (4, 8)), 2.0**-8), perm=[1, 0])
    y = b.node("Add", b.node("MatMul", y, w), b.constant(np.arange(4) / 16))
    y = b.pair(y, Linear(1 / 8, 11))
    return b, y


def test_tflite_network(rng):
    b, y = tflite_mobilenet(rng)
    frames = rng.integers(-128, 128, (6, 8, 8, 3)).astype(np.int8)
    assert_equal(b.integer_model(y), frames)


def test_tflite_softmax_last(rng):
    """It and its own pair stay on the host; classes are those of the file."""
    b, y = tflite_mobilenet(rng)
    y = b.quantize(b.node("Softmax", y, axis=1), Linear(1 / 256, -128))
    model = b.integer_model(y, TensorProto.INT8)
    frames = rng.integers(-128, 128, (6, 8, 8, 3)).astype(np.int8)
    ours, theirs = integer_outputs(model, frames), onnxruntime_outputs(model, frames)
    # Equal probabilities in 8 bits need not be equal numbers.
    at = np.arange(6), ours.argmax(axis=1)
    assert (theirs[at] == theirs.max(axis=1)).all()


def test_tflite_concat_and_pad_channels_last(rng):
    """Transposes that no optimizer removed, around nodes that TensorFlow runs channels last."""
    b = QdqBuilder(("N", 6, 6, 2), opset=13)
    x = b.pair("x", Linear(1 / 16))
    y = b.node("Pad", x, int64(b, 0, 1, 1, 0, 0, 0, 0, 0))
    inner = b.node("Transpose", y, perm=[0, 3, 1, 2])
    y = b.node("Transpose", tf_conv(b, rng, inner, (4, 2, 3, 3), 2.0**-12), perm=[0, 2, 3, 1])
    other = b.node("Transpose", inner, perm=[0, 2, 3, 1])
    y = b.node("Concat", b.pair(b.node("Relu", y), Linear(1 / 8)), other, axis=-1)
    assert_equal(b.model(b.pair(y, Linear(1 / 8))), grid_frames(rng, (6, 6, 2)))


# QONNX -----------------------------------------------------------------------------------------


def test_computed_flatten(rng):
    """The prologue that older torch exporters leave in front of a classifier."""
    b = Builder(("N", 3, 4, 4))
    y = b.node("Conv", b.quant("x"), b.weights(rng.integers(-7, 8, (4, 3, 3, 3))), pads=[1] * 4)
    y = b.quant(b.node("Relu", y), 0.5, 4, signed=0)
    size = b.node("Gather", b.node("Shape", y), b.constant(0, dtype=np.int64), axis=0)
    size = b.node("Unsqueeze", size, int64(b, 0))
    y = b.node("Reshape", y, b.node("Concat", size, int64(b, -1), axis=0))
    y = b.node("Gemm", y, b.weights(rng.integers(-7, 8, (64, 5))), b.constant(np.arange(5) / 4))
    graph = assert_equal_everywhere(b.model(y), grid_frames(rng, (3, 4, 4)))
    assert kinds(graph).count("matvec") == 2


@pytest.mark.parametrize("bias", [False, True])
def test_channels_last_wrappers(rng, bias):
    """What qonnx's own ConvertToChannelsLast makes of a network, executed by qonnx."""
    b, plain = Builder((1, 2, 6, 6)), {"strides": [1, 1], "group": 1, "dilations": [1, 1]}
    w = b.weights(rng.integers(-7, 8, (4, 2, 3, 3)), 0.25, 4)
    biases = [b.constant(rng.integers(-9, 10, 4) / 8)] if bias else []
    y = b.node("Conv", b.quant("x"), w, *biases, pads=[1] * 4, kernel_shape=[3, 3], **plain)
    statistics = [b.constant(v) for v in (*rng.standard_normal((3, 4)), rng.random(4) + 0.5)]
    y = b.node("BatchNormalization", y, *statistics)
    y = b.quant(b.node("Relu", y), 0.5, 4, signed=0)
    y = b.node("MaxPool", y, kernel_shape=[2, 2], strides=[2, 2], pads=[0] * 4)
    w = b.weights(rng.integers(-7, 8, (3, 4, 2, 2)), 0.25, 4)
    model = b.model(
        b.quant(b.node("Conv", y, w, kernel_shape=[2, 2], pads=[0] * 4, **plain), 0.5, 6)
    )
    converted = converted_to_channels_last(model)
    assert {node.domain for node in converted.graph.node} >= {"qonnx.custom_op.channels_last"}
    frames = grid_frames(rng, (6, 6, 2), 1)
    ours = integer_outputs(converted, frames)
    assert np.array_equal(ours, execute_with_qonnx(converted, frames))
    assert np.array_equal(execute(converted, frames), ours)


def converted_to_channels_last(model):
    from qonnx.core.modelwrapper import ModelWrapper
    from qonnx.transformation.channels_last import ConvertToChannelsLastAndClean
    from qonnx.transformation.infer_shapes import InferShapes

    fixed = onnx.ModelProto()
    fixed.CopyFrom(model)
    fixed.graph.output[0].type.tensor_type.ClearField("shape")
    wrapper = ModelWrapper(fixed).transform(InferShapes())
    return wrapper.transform(ConvertToChannelsLastAndClean(make_input_channels_last=True)).model


def test_wrapper_of_unknown_rank_is_refused():
    b = Builder(("N", 4))
    node = helper.make_node(
        "MaxPool", [b.quant("x")], ["y"], domain="qonnx.custom_op.channels_last"
    )
    b.nodes.append(node)
    with pytest.raises(FrontendError):
        load_model(b.model("y"))
