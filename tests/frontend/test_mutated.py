"""Broken and hostile files: a FrontendError or a graph, never another exception."""

import warnings
from collections.abc import Callable

import numpy as np
import onnx
import pytest
from onnx import ModelProto, TensorProto

from hwgen.errors import FrontendError, PassError
from hwgen.frontend import load_model
from hwgen.passes import PASSES, run_passes
from tests.frontend.models import Builder, perceptron
from tests.frontend.qdq_models import Linear, QdqBuilder, convolution

MUTATIONS_OF_A_KIND = 30
DOMAINS = ("qonnx.custom_op.general", "com.microsoft", "unknown.domain")
DOMAINS += ("qonnx.custom_op.channels_last",)


def original(rng) -> ModelProto:
    kind = int(rng.integers(5))
    if kind == 0:
        return convolutional(rng)
    if kind == 1:
        return residual_of_integers(rng)
    if kind == 2:
        return integer_operators(rng)
    if kind == 3:
        return decoder(rng)
    return perceptron(rng, widths=(5, 4, 3), batch_normalization=bool(rng.integers(2)))


def convolutional(rng) -> ModelProto:
    """Windows, pools, a shortcut, a concatenation and a flatten: every kind of box."""
    b = Builder(("N", 2, 6, 6))
    x = b.quant("x")
    w = b.weights(rng.integers(-7, 8, (2, 2, 3, 3)), 0.25, 4)
    y = b.node("Relu", b.node("Conv", x, w, b.constant([0.5, -0.25]), pads=[1, 1, 1, 1]))
    y = b.quant(b.node("Add", b.quant(y), x))
    y = b.node("MaxPool", b.node("Concat", y, x, axis=1), kernel_shape=[2, 2], strides=[2, 2])
    y = b.quant(b.node("AveragePool", y, kernel_shape=[3, 3]), 0.0625, 6)
    y = b.node("Reshape", y, b.constant([-1, 4], dtype=np.int64))
    return b.model(b.node("MatMul", y, b.weights(rng.integers(-7, 8, (4, 3)))))


def residual_of_integers(rng) -> ModelProto:
    """QDQ pairs, a sum of free scales, a final Softmax."""
    b = QdqBuilder(("N", 2, 6, 6))
    x = b.pair("x", Linear(0.1, 3))
    left = b.pair(convolution(b, rng, x, 0.013, 0.1, outputs=2), Linear(0.07, 5))
    y = b.pair(b.node("Relu", b.node("Add", left, x)), Linear(0.09, -128))
    y = b.node("Flatten", b.pair(b.node("GlobalAveragePool", y), Linear(0.09, -128)))
    y = b.node("MatMul", y, b.integers(rng.integers(-7, 8, (2, 3)), [0.25, 0.1, 0.3], axis=1))
    return b.model(b.pair(b.node("Softmax", b.pair(y, Linear(0.5))), Linear(1 / 256, -128)))


def integer_operators(rng) -> ModelProto:
    """QLinearMatMul, MatMulInteger and an operator of onnxruntime's own, on an int8 input."""
    b = QdqBuilder(("N", 6))
    w = b.constant(rng.integers(-9, 9, (6, 6)), dtype=np.int8)
    real = Linear(0.25, 7)
    given = ["x", *b.parameters(real), w, b.constant(0.125), b.constant(3, dtype=np.int8)]
    y = b.node("QLinearMatMul", *given, *b.parameters(real))
    sums = [b.node("QLinearAdd", y, *b.parameters(real), "x", *b.parameters(real))]
    b.nodes[-1].input.extend(b.parameters(real))
    b.nodes[-1].domain = "com.microsoft"
    y = b.node("MatMulInteger", *sums, w)
    y = b.node("Mul", b.node("Cast", y, to=TensorProto.FLOAT), b.constant(0.125))
    return b.integer_model(b.pair(y, real))


def decoder(rng) -> ModelProto:
    """Upsampling, branches that meet again, scales with nothing in common, a channels-last pool."""
    b = QdqBuilder((1, 2, 4, 4), opset=18)
    x = b.pair("x", Linear(0.1, 3))
    w = b.integers(rng.integers(-9, 9, (2, 4, 3, 3)), 0.03, axis=1)
    up = {"strides": [2, 2], "pads": [1] * 4, "output_padding": [1, 1]}
    y = b.node("ConvTranspose", x, w, b.constant([0.5, 0.25, 0.0, -1.0]), **up)
    y = b.pair(b.node("Mul", y, b.node("Sigmoid", y)), Linear(0.07))
    y = b.node("SpaceToDepth", y, blocksize=2)
    y = b.node("Concat", y, x, axis=1)
    positive = b.node("Greater", y, b.constant(0.0))
    y = b.node("Where", positive, y, b.node("Max", b.node("Neg", y), b.constant(-0.5)))
    y = b.node("DepthToSpace", b.pair(b.node("Slice", y, *_ends(b)), Linear(0.05)), blocksize=2)
    b.nodes.append(
        onnx.helper.make_node(
            *("MaxPool", [b.node("Transpose", y, perm=[0, 2, 3, 1])], ["pooled"], "pool"),
            domain="qonnx.custom_op.channels_last",
            kernel_shape=[2, 2],
            strides=[2, 2],
        )
    )
    axes = b.constant([2, 3], dtype=np.int64)
    y = b.node("ReduceMean", b.node("Transpose", "pooled", perm=[0, 3, 1, 2]), axes)
    y = b.node("Reshape", b.pair(y, Linear(0.05)), b.constant([-1], dtype=np.int64))
    kept = b.constant(np.arange(4).reshape(1, 4), dtype=np.int64)
    y = b.node("Gather", y, kept)
    w = b.integers(rng.integers(-9, 9, (4, 3)))
    return b.model(b.pair(b.node("MatMul", b.pair(y, Linear(0.05)), w), Linear(0.5)))


def _ends(b):
    return [b.constant([k], dtype=np.int64) for k in (0, 16, 1)]


def pick(rng, items):
    return items[int(rng.integers(len(items)))]


def drop_node(model, rng):
    del model.graph.node[int(rng.integers(len(model.graph.node)))]


def drop_initializer(model, rng):
    del model.graph.initializer[int(rng.integers(len(model.graph.initializer)))]


def rewire(model, rng):
    node = pick(rng, model.graph.node)
    names = [o for n in model.graph.node for o in n.output]
    names += [t.name for t in model.graph.initializer] + ["x", "", "nowhere"]
    node.input[int(rng.integers(len(node.input)))] = pick(rng, names)


def rename_output(model, rng):
    pick(rng, model.graph.node).output[0] = pick(rng, model.graph.node).output[0]


def replace_operator(model, rng):
    kinds = """Exp Gemm Reshape Concat Gather Slice Clip PRelu Cast If Conv Quant Shape Sum Squeeze
    Add MaxPool AveragePool Transpose Split Pad Resize ArgMax TopK ReduceMean GlobalMaxPool
    QuantizeLinear DequantizeLinear QLinearConv QLinearMatMul ConvInteger MatMulInteger Expand
    ConvTranspose DepthToSpace SpaceToDepth Pow Greater Max Mean Not And BatchNormalization
    ConstantOfShape Where MultiThreshold Trunc FloatQuant Softmax QLinearAdd QLinearConcat Elu"""
    node = pick(rng, model.graph.node)
    node.op_type = pick(rng, kinds.split())
    node.domain = pick(rng, ["", "", *DOMAINS])


def poison_number(model, rng):
    tensor = pick(rng, model.graph.initializer)
    try:
        values = onnx.numpy_helper.to_array(tensor).copy()
    except (ValueError, TypeError):  # another mutation was here before
        return
    bad = [np.nan, np.inf, -np.inf, 0.0, -1.0, 1e30, 1e-40, -1e-40, 3.4e38]
    if values.dtype.kind != "f":
        bad = [0, 1, -1, 100] if values.dtype.kind == "i" else [0, 1, 255]
    values.flat[int(rng.integers(values.size))] = pick(rng, bad)
    tensor.CopyFrom(onnx.numpy_helper.from_array(values, tensor.name))


def change_shape(model, rng):
    tensor = pick(rng, model.graph.initializer)
    if rng.integers(2) and tensor.dims:
        tensor.dims[int(rng.integers(len(tensor.dims)))] = pick(rng, [0, -1, 1 << 40, 7])
    else:
        tensor.dims.append(pick(rng, [0, 1, 2, -5, 1 << 62]))


def change_type(model, rng):
    tensor = pick(rng, model.graph.initializer)
    tensor.data_type = int(rng.integers(0, 30))
    if rng.integers(2):
        model.graph.input[0].type.tensor_type.elem_type = pick(rng, [0, 6, 7, TensorProto.DOUBLE])


def change_attributes(model, rng):
    node = pick(rng, [n for n in model.graph.node if n.attribute] or model.graph.node)
    for attribute in node.attribute:
        attribute.i, attribute.s = int(rng.integers(-5, 1 << 40)), pick(rng, [b"\xff\xfe", b"UP"])
        attribute.type = pick(rng, [1, 2, 3, 4, 5, 7])


def change_input_shape(model, rng):
    dims = model.graph.input[0].type.tensor_type.shape.dim
    dims[1].dim_value = pick(rng, [0, -1, 1, 6, 1 << 40])
    if rng.integers(2):
        dims[0].dim_value = pick(rng, [0, -1, 3, 1 << 62])


STRUCTURAL: list[Callable] = [
    drop_node,
    drop_initializer,
    rewire,
    rename_output,
    replace_operator,
    poison_number,
    change_shape,
    change_type,
    change_attributes,
    change_input_shape,
]


def load_or_refuse(data) -> bool:
    """Whether `data` was refused; anything but a graph or hwgen's own error fails the test."""
    with warnings.catch_warnings():
        warnings.simplefilter("error")  # a warning would reach the user's terminal
        try:
            run_passes(load_model(data), PASSES)
        except FrontendError as error:
            return bool(str(error).strip())
        except PassError:
            return True  # a sound graph with a function that no operator expresses
    return False


@pytest.mark.parametrize("mutate", STRUCTURAL, ids=lambda f: f.__name__)
def test_structural_mutation(rng, mutate):
    refused = 0
    for _ in range(MUTATIONS_OF_A_KIND):
        model = original(rng)
        for _ in range(int(rng.integers(1, 3))):
            mutate(model, rng)
        refused += load_or_refuse(model)
    assert refused > 0


def test_truncated_bytes(rng):
    data = original(rng).SerializeToString()
    cuts = rng.integers(1, len(data), 2 * MUTATIONS_OF_A_KIND)
    assert sum(load_or_refuse(data[:cut]) for cut in cuts) > MUTATIONS_OF_A_KIND


def test_flipped_bytes(rng):
    for _ in range(3 * MUTATIONS_OF_A_KIND):
        data = bytearray(original(rng).SerializeToString())
        for at in rng.integers(0, len(data), int(rng.integers(1, 9))):
            data[at] = int(rng.integers(256))
        load_or_refuse(bytes(data))
