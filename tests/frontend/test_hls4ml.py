"""Models as hls4ml reads them: the same numbers, and what its front end insists on.

That hls4ml itself loads them is tested in benchmarks/test_round_trips.py, which needs it.
"""

from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import numpy_helper

import hwgen
from hwgen import frontend
from hwgen.errors import FrontendError
from hwgen.frontend.execute import execute
from hwgen.frontend.hls4ml.convert import converted
from hwgen.frontend.reader import read
from tests.frontend.channels_last_execution import execute_channels_last
from tests.frontend.models import Builder

MODELS = sorted((Path(__file__).parents[2] / "examples" / "models").glob("*.onnx"))
CHANNELS_LAST = "qonnx.custom_op.channels_last"
# Those of hls4ml's handlers that are right as its front end reads them.
TAKEN = set(
    """Add BipolarQuant Concat Conv AveragePool Flatten MatMul MaxPool Mul Pad Quant Relu Reshape
    Sub Transpose""".split()
)


def last(tensor):
    return np.moveaxis(tensor, 1, -1) if tensor.ndim > 2 else tensor


def kinds(model):
    """The nodes on the way of a frame, in order; those of constants left out."""
    known = {tensor.name for tensor in model.graph.initializer}
    found = []
    for node in model.graph.node:
        if known.issuperset(node.input):
            known |= set(node.output)
        else:
            found.append(node.op_type)
    return found


def assert_equal(model, frames):
    """Before and after, by two executors and as the integer graph; return what was converted."""
    result = converted(model)
    expected = last(execute(model, frames))
    assert np.array_equal(execute(result, last(frames)), expected)
    assert np.array_equal(execute_channels_last(result, last(frames)), expected)
    graph = frontend.load_model(result)
    codes = graph.evaluate(graph.inputs[0].quantize(last(frames)))
    assert np.array_equal(graph.dequantize(codes).astype(np.float32), expected)
    return result


@pytest.mark.parametrize("path", MODELS, ids=lambda path: path.stem)
def test_shipped_models_compute_the_same(path, tmp_path, rng):
    model = read(path)
    sizes = [d.dim_value for d in model.graph.input[0].type.tensor_type.shape.dim[1:]]
    result = assert_equal(model, rng.integers(0, 17, (2, *sizes)).astype(np.float32))
    target = hwgen.convert(path, tmp_path / "converted.onnx")
    assert onnx.load(target) == result


@pytest.mark.parametrize("path", MODELS, ids=lambda path: path.stem)
def test_it_is_what_hls4ml_insists_on(path):
    graph = converted(read(path)).graph
    assert {node.op_type for node in graph.node} <= TAKEN
    for node in graph.node:
        laid_out = node.op_type in ("Conv", "MaxPool", "AveragePool")
        assert (node.domain == CHANNELS_LAST) == laid_out
        assert node.name.isidentifier()
        assert list(node.output) == [node.name]  # its streams look a Reshape up by that name
    constants = [tensor.name for tensor in graph.initializer]
    names = [*constants, *(node.name for node in graph.node)]
    assert len(set(names)) == len(names)
    assert "input" not in (*names, graph.input[0].name)  # reserved
    shown = {value.name for value in (*graph.value_info, *graph.input, *graph.output)}
    assert set(names) <= shown
    read_names = [name for node in graph.node for name in node.input]
    assert all(read_names.count(name) == 1 for name in constants)  # it removes what it has read


def test_nodes_of_a_residual_network():
    """The bias of a BatchNorm stays a node; the average gets a finer type; no Transpose is left."""
    path = next(path for path in MODELS if path.stem == "digits_conv")
    assert kinds(converted(read(path))) == [
        *("Quant", "Conv", "Mul", "Add", "Relu", "Quant", "Conv", "Mul", "Add", "Quant"),
        *("Add", "Relu", "Quant", "MaxPool", "Conv", "Mul", "Add", "Relu", "Quant"),
        *("Quant", "AveragePool", "Quant", "Flatten", "MatMul", "Add"),
    ]


def test_biases_and_pads_go_into_the_convolution():
    path = next(path for path in MODELS if path.stem == "cifar10_resnet8")
    model = converted(read(path))
    convolutions = [node for node in model.graph.node if node.op_type == "Conv"]
    assert [len(node.input) for node in convolutions] == [3] * 9
    assert kinds(model).count("Add") == 4  # three residual sums, the dense layer's bias
    pads = {
        node.name: attribute.ints
        for node in convolutions
        for attribute in node.attribute
        if attribute.name == "pads"
    }
    assert list(pads["block2_conv1"]) == [0, 0, 1, 1]


def image(b, bits=4, **options):
    return b.quant("x", bits=bits, **options)


def weights(b, rng, *shape, scale=0.5, bits=3):
    codes = rng.integers(-(1 << (bits - 1)), 1 << (bits - 1), shape)
    return b.quant(b.constant(codes * np.asarray(scale)), scale=scale, bits=bits)


def grid(rng, *shape):
    return (rng.integers(-12, 13, shape) / 8).astype(np.float32)


def attribute(model, op_type, name):
    node = next(node for node in model.graph.node if node.op_type == op_type)
    return onnx.helper.get_attribute_value(next(a for a in node.attribute if a.name == name))


def test_a_scale_a_channel_becomes_one(rng):
    """hls4ml moves scales of one number only past a convolution."""
    b = Builder(("N", 2, 4, 4))
    scale = 2.0 ** rng.permutation([-3, -2, -1]).reshape(3, 1, 1, 1)
    y = b.node("Conv", image(b), weights(b, rng, 3, 2, 2, 2, scale=scale))
    result = assert_equal(b.model(b.quant(y)), grid(rng, 5, 2, 4, 4))
    given = {t.name: numpy_helper.to_array(t) for t in result.graph.initializer}
    (name,) = (name for name in given if name.endswith("weight_quant_scale"))
    assert given[name].shape == ()
    assert given[name] == 0.125
    assert 3 < given[name.replace("scale", "bit_width")] <= 5


@pytest.mark.parametrize(
    ("groups", "outputs", "kept"), [(4, 4, 4), (2, 4, 1), (4, 8, 1), (1, 3, 1)]
)
def test_groups(rng, groups, outputs, kept):
    """hls4ml has a kernel a channel, or whole ones."""
    b = Builder(("N", 4, 5, 4))
    w = weights(b, rng, outputs, 4 // groups, 3, 2)
    y = b.node("Conv", image(b), w, group=groups, dilations=[2, 1], strides=[1, 2])
    result = assert_equal(b.model(b.quant(y)), grid(rng, 5, 4, 5, 4))
    assert attribute(result, "Conv", "group") == kept
    assert attribute(result, "Conv", "dilations") == [1, 1]
    assert attribute(result, "Conv", "kernel_shape") == [5, 2]


def test_binary_groups_and_gaps_have_zeros(rng):
    b = Builder(("N", 4, 9))
    w = b.bipolar(b.constant(rng.choice([-1.0, 1.0], (4, 2, 3))))
    y = b.node("Conv", image(b), w, group=2, dilations=[2])
    result = assert_equal(b.model(b.quant(y)), grid(rng, 5, 4, 9))
    assert "BipolarQuant" not in [node.op_type for node in result.graph.node]


@pytest.mark.parametrize(("width", "kept"), [(2, False), (3, True)])
def test_a_pad_is_the_padding_of_its_convolution(rng, width, kept):
    """But not where a window would see nothing else, which `hwgen build` refuses in a Conv."""
    b = Builder(("N", 2, 4, 5))
    pads = b.constant([0, 0, 1, width, 0, 0, 0, width - 1], dtype=np.int64)
    y = b.node("Conv", b.node("Pad", image(b), pads), weights(b, rng, 3, 2, 2, 3))
    result = assert_equal(b.model(b.quant(y)), grid(rng, 5, 2, 4, 5))
    assert ("Pad" in kinds(result)) == kept
    assert attribute(result, "Conv", "pads") == ([0] * 4 if kept else [1, width, 0, width - 1])


def test_a_sum_is_not_merged_into_a_bias(rng):
    """What does nothing goes away, and hls4ml would have a bias for each pixel."""
    b = Builder(("N", 2, 4, 4))
    y = b.node("Conv", image(b), weights(b, rng, 3, 2, 2, 2))
    y = b.node("Mul", y, b.quant(b.constant(np.ones((3, 1, 1)))))
    y = b.node("Add", y, b.quant(b.constant(np.array([-0.5, 0.0, 0.25]).reshape(3, 1, 1))))
    result = assert_equal(b.model(b.quant(y)), grid(rng, 5, 2, 4, 4))
    assert kinds(result) == ["Quant", "Conv", "Reshape", "Add", "Quant"]


def test_a_vector_that_is_only_multiplied_keeps_the_order_it_has(rng):
    b = Builder(("N", 3, 2, 4))
    y = b.node("Flatten", image(b))
    y = b.node("Add", y, b.constant(rng.integers(-4, 5, 24) / 4))
    y = b.node("MatMul", b.quant(b.node("Relu", y)), weights(b, rng, 24, 3))
    result = assert_equal(b.model(b.quant(y)), grid(rng, 5, 3, 2, 4))
    assert "Transpose" not in kinds(result)


def test_a_vector_that_leaves_does_not(rng):
    b = Builder(("N", 3, 2, 4))
    result = assert_equal(b.model(b.node("Flatten", image(b))), grid(rng, 5, 3, 2, 4))
    assert kinds(result) == ["Quant", "Transpose", "Flatten"]


def test_sequences_are_pooled_as_images(rng):
    b = Builder(("N", 3, 8))
    y = b.node("MaxPool", image(b), kernel_shape=[2], strides=[2])
    y = b.node("AveragePool", y, kernel_shape=[4], strides=[4])
    result = assert_equal(b.model(b.quant(y)), grid(rng, 5, 3, 8))
    pools = [node for node in result.graph.node if node.op_type.endswith("Pool")]
    assert [len(a.ints) for node in pools for a in node.attribute if a.name == "pads"] == [4, 4]


def test_signs_that_are_padded_are_numbers_of_two_bits(rng):
    """In hls4ml's binary type a padding of 0 is -1."""
    for padding, kind in ((0, "BipolarQuant"), (1, "Quant")):
        b = Builder(("N", 2, 4, 4))
        y = b.node("Conv", image(b), weights(b, rng, 2, 2, 1, 1))
        y = b.node("Mul", y, b.constant(np.array([-0.5, 0.75]).reshape(2, 1, 1)))
        y = b.node("MaxPool", b.bipolar(y), kernel_shape=[2, 2])
        y = b.node("Conv", y, weights(b, rng, 3, 2, 2, 2), pads=[padding] * 4)
        result = assert_equal(b.model(b.quant(y)), grid(rng, 5, 2, 4, 4))
        assert kinds(result)[kinds(result).index("MaxPool") - 1] == kind


@pytest.mark.parametrize(
    ("low", "high", "written"),
    [
        (0.0, 6.0, ["Relu"]),  # the quantizer ends at 3.75
        (-9.0, 9.0, []),
        (-1.0, 1.5, ["Sub", "Relu", "Sub", "Sub", "Relu", "Add"]),
        (-9.0, 1.5, ["Sub", "Relu", "Sub"]),
    ],
)
def test_a_clip_is_spelled_out_as_far_as_it_clips(rng, low, high, written):
    b = Builder(("N", 4))
    y = b.node("MatMul", b.quant("x"), weights(b, rng, 4, 5))
    y = b.node("Clip", y, b.constant(low), b.constant(high))
    result = assert_equal(b.model(b.quant(y, scale=0.5)), grid(rng, 9, 4))
    assert kinds(result) == ["Quant", "MatMul", *written, "Quant"]


def test_a_tensor_with_two_readers_keeps_its_type(rng):
    """hls4ml would narrow it to what the quantizer behind it gives."""
    b = Builder(("N", 4))
    y = b.node("MatMul", b.quant("x"), weights(b, rng, 4, 5))
    y = b.node("Add", b.quant(y, bits=3), b.quant(b.node("Relu", y)))
    result = assert_equal(b.model(b.quant(y)), grid(rng, 9, 4))
    assert kinds(result)[1:4] == ["MatMul", "Reshape", "Quant"]


REFUSED = {
    "a rounding": (lambda b: b.quant("x", rounding="CEIL"), "hls4ml rounds ROUND and FLOOR only"),
    "unsigned, narrow": (
        lambda b: b.quant("x", signed=0, narrow=1),
        "no narrow range of unsigned numbers",
    ),
    "a zero point": (lambda b: b.quant("x", zero_point=1), "no zero point"),
    "scaled signs": (lambda b: b.bipolar("x", 0.5), "got a scale of 0.5"),
    "another node": (lambda b: b.node("Softplus", b.quant("x")), "expected what hwgen.nn writes"),
    "a third": (
        lambda b: b.node("AveragePool", b.quant("x"), kernel_shape=[1, 3]),
        "expected the average of 2**n numbers, got 3",
    ),
    "a ceiling": (
        lambda b: b.node("MaxPool", b.quant("x"), kernel_shape=[2, 2], ceil_mode=1),
        "no ceil_mode",
    ),
    "auto_pad": (
        lambda b: b.node(
            "Conv", b.quant("x"), b.constant(np.ones((1, 2, 2, 2))), auto_pad="SAME_UPPER"
        ),
        "expected explicit pads",
    ),
    "a pad of ones": (
        lambda b: b.node(
            "Pad",
            b.quant("x"),
            b.constant([0, 0, 1, 1, 0, 0, 1, 1], dtype=np.int64),
            b.constant(1.0),
        ),
        "pads with zeros only",
    ),
    "rows": (
        lambda b: b.node("Concat", b.quant("x"), b.quant("x"), axis=2),
        "expected channels to be joined",
    ),
    "shapes": (
        lambda b: b.node("Add", b.quant("x"), b.node("MaxPool", b.quant("x"), kernel_shape=[3, 4])),
        "expected two equal shapes",
    ),
}


@pytest.mark.parametrize("what", REFUSED)
def test_refusals_name_the_node(what):
    make, words = REFUSED[what]
    b = Builder(("N", 2, 3, 4))
    model = b.model(make(b))
    with pytest.raises(FrontendError, match="1 problem") as caught:
        converted(model)
    assert words in str(caught.value)
    assert repr(model.graph.node[-1].name) in str(caught.value)


def test_all_refusals_come_at_once():
    b = Builder(("N", 2, 3, 4))
    y = b.node("Softplus", b.quant("x", rounding="UP"))
    y = b.node("Add", b.quant("x", rounding="DOWN"), y)
    with pytest.raises(FrontendError, match="2 problems") as caught:
        converted(b.model(y))
    assert "got UP" in str(caught.value)
    assert "got DOWN" in str(caught.value)


def test_a_target_that_cannot_be_written(tmp_path):
    with pytest.raises(FrontendError, match="cannot be written"):
        hwgen.convert(MODELS[0], tmp_path / "none" / "model.onnx")
