"""Everything that cannot be built is refused in one message that says where, what and a way out."""

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper

from hwgen.errors import FrontendError
from hwgen.frontend import load, load_model
from tests.frontend.models import Builder


def refusal(model):
    with pytest.raises(FrontendError) as caught:
        load_model(model)
    return str(caught.value)


def layer(b, x="x", **options):
    """A quantized input and one matrix; the start of most models here."""
    return b.node("MatMul", b.quant(x), b.weights(np.eye(4)), **options)


def test_empty_file(tmp_path):
    path = tmp_path / "empty.onnx"
    path.write_bytes(b"")
    with pytest.raises(FrontendError, match=r"^empty\.onnx: the file is empty; expected an ONNX"):
        load(path)


@pytest.mark.parametrize("data", [b"\xff" * 40, b"# not a model\n", b"\x08\x08", b"\0"])
def test_not_a_model(tmp_path, data):
    path = tmp_path / "text.onnx"
    path.write_bytes(data)
    with pytest.raises(FrontendError, match=r"^text\.onnx: not an ONNX model"):
        load(path)


def test_missing_file(tmp_path):
    with pytest.raises(FrontendError, match="cannot be read: No such file"):
        load(tmp_path / "none.onnx")


def test_directory(tmp_path):
    with pytest.raises(FrontendError, match="cannot be read"):
        load(tmp_path)


def test_all_problems_at_once():
    b = Builder()
    x = layer(b, name="fc1")
    x = b.node("Softmax", x, name="weights of attention")
    x = b.quant(x)
    x = b.node("MatMul", x, b.constant(np.eye(4), "fc2.weight"), name="fc2")
    x = b.node("LpPool", x, name="pool", kernel_shape=[2])
    message = refusal(b.model(x))
    assert message.startswith("tiny: 2 problems\n")
    assert (
        "node 'weights of attention' (Softmax): expected a supported operator, "
        "got 'Softmax' of domain ''; try"
    ) in message
    assert "node 'pool' (LpPool): expected a supported operator" in message


def test_unquantized_weights():
    b = Builder()
    y = b.node("MatMul", b.quant("x"), b.constant(np.eye(4), "fc.weight"), name="fc")
    assert (
        "node 'fc' (MatMul): unquantized weights: expected integer codes, got float32 'fc.weight'; "
        "wrap in Quant"
    ) in refusal(b.model(y))


@pytest.mark.parametrize("between", [None, "Relu"])
def test_unquantized_activation(between):
    b = Builder()
    x = layer(b, name="fc1")
    if between:
        x = b.node(between, x, name="act1")
    y = b.node("MatMul", x, b.weights(np.eye(4)), name="fc2")
    got = "'act1'" if between else "the real numbers of 'fc1'"
    assert (
        "node 'fc2' (MatMul): unquantized activation: expected an input that ends in a Quant or "
        f"BipolarQuant, got {got}; try a quantizer after it"
    ) in refusal(b.model(y))


def test_unquantized_input():
    b = Builder()
    y = b.node("MatMul", "x", b.weights(np.eye(4)), name="fc")
    assert "unquantized activation" in refusal(b.model(y))


def test_input_with_two_quantizers():
    b = Builder()
    a, c = b.quant("x"), b.quant("x", 0.5, name="second")
    assert "node 'second' (Quant): expected one quantizer on the model's input" in refusal(
        b.model(b.node("Add", a, c))
    )


def test_branches_that_multiply():
    b = Builder()
    x = b.quant("x")
    other = b.quant(b.node("MatMul", x, b.weights(np.eye(4))))
    y = b.node("Mul", other, x, name="gate")
    assert (
        "node 'gate' (Mul): expected one input that depends on the model's input, or several that "
        "are element-wise functions of one tensor, got 2 that different operators give"
    ) in refusal(b.model(y))


@pytest.mark.parametrize("size", ["width", 0])
def test_dynamic_shape(size):
    b = Builder(("N", size))
    message = refusal(b.model(b.quant("x")))
    assert "input 'x': dynamic shape: expected a fixed size on axis 1, got" in message
    assert "only the batch may be dynamic" in message


def test_input_without_batch():
    b = Builder((4,))
    assert "expected a batch axis and at least one more, got 1 axes" in refusal(b.model(layer(b)))


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_weights_that_are_no_numbers(value):
    b = Builder()
    weights = np.eye(4)
    weights[1, 2] = value
    y = b.node("MatMul", b.quant("x"), b.quant(b.constant(weights, "fc.weight")))
    assert f"expected finite numbers in 'fc.weight', got {value}" in refusal(b.model(y))


def test_bias_that_is_no_number():
    b = Builder()
    y = b.node("Add", layer(b), b.constant([0, 0, np.nan, 0], "fc.bias"), name="bias")
    assert "node 'bias' (Add): expected finite numbers in 'fc.bias', got nan" in refusal(b.model(y))


@pytest.mark.parametrize("scale", [0.0, -0.5, np.nan, np.inf, 1e-42])
def test_scale(scale):
    b = Builder()
    message = refusal(b.model(b.quant("x", scale, name="q")))
    assert "node 'q' (Quant): expected " in message


@pytest.mark.parametrize(
    ("options", "text"),
    [
        ({"bits": 33}, "type too wide: expected bit_width 1..32, got 33; train with fewer bits"),
        ({"bits": 0}, "expected bit_width 1..32, got 0"),
        ({"bits": 3.5}, "expected one integer bit_width, got [3.5]"),
        ({"zero_point": 0.5}, "expected one integer zero_point, got [0.5]"),
        ({"rounding": "NEAREST"}, "expected a rounding_mode of QONNX, got b'NEAREST'"),
        ({"scale": [[0.5, 0.5, 1, 1]]}, "expected one scale for the input, got 4"),
        ({"bits": 1, "zero_point": 1}, "expected zero_point 0 for one signed bit, got 1"),
    ],
)
def test_quantizer_parameters(options, text):
    b = Builder()
    assert f"node 'q' (Quant): {text}" in refusal(b.model(b.quant("x", name="q", **options)))


def test_accumulator_too_wide():
    b = Builder()
    codes = np.full((4, 4), (1 << 24) - 1)
    y = b.node("MatMul", b.quant("x", 1.0, 31), b.weights(codes, 1.0, 30), name="fc")
    assert "node 'fc' (MatMul): accumulator needs" in refusal(b.model(y))


def test_output_too_wide():
    b = Builder()
    y = b.node("Add", layer(b), b.constant(np.full(4, 1e-20)))
    y = b.node("Tanh", y)
    message = refusal(b.model(y))
    assert "type too wide: expected outputs of at most 32 bits" in message
    assert "end the model with a Quant node" in message


def test_scales_in_the_wrong_direction():
    b = Builder()
    scale = np.array([[0.5], [0.5], [1.0], [1.0]])
    y = b.node("MatMul", b.quant("x"), b.weights(np.eye(4), scale), name="fc")
    assert "expected one weight scale, or one per output channel, got one per input" in refusal(
        b.model(y)
    )


def test_activation_scale_per_channel():
    b = Builder()
    x = b.quant(layer(b), [[0.5, 0.5, 0.25, 0.25]])
    y = b.node("MatMul", x, b.weights(np.eye(4)), name="fc2")
    assert "node 'fc2' (MatMul): expected one input scale, got 4" in refusal(b.model(y))


@pytest.mark.parametrize(
    ("op_type", "constants", "attributes", "text"),
    [
        ("Div", [0.0], {}, "expected divisors other than zero, got 0.0"),
        ("Add", [np.ones((2, 4))], {}, "to fit shape (1, 4), got (2, 4); use a number a channel"),
        ("Size", [], {}, "expected constant inputs, got one that depends on the model's input"),
        ("Cast", [], {"to": TensorProto.INT32}, "expected a cast to float32, got another type"),
        ("Transpose", [], {"perm": [1, 0]}, "expected the batch axis to stay first, got shape"),
        ("LeakyRelu", [], {"alpha": float("nan")}, "expected a finite number as attribute 'alpha'"),
        ("Gemm", [np.eye(4)], {"transA": 1}, "expected transA 0, got 1: it would mix frames"),
    ],
)
def test_node_parameters(op_type, constants, attributes, text):
    b = Builder()
    x = b.quant(layer(b))
    y = b.node(op_type, x, *(b.constant(c) for c in constants), name="n", **attributes)
    assert f"node 'n' ({op_type}): " in refusal(b.model(y))
    assert text in refusal(b.model(y))


@pytest.mark.parametrize("variance", [-1.0, np.nan])
def test_batch_normalization_statistics(variance):
    b = Builder()
    ones = [b.constant(np.ones(4)) for _ in range(3)]
    y = b.node("BatchNormalization", layer(b), *ones, b.constant(np.full(4, variance)), name="bn")
    assert "node 'bn' (BatchNormalization): expected " in refusal(b.model(y))


def test_training_mode():
    b = Builder()
    ones = [b.constant(np.ones(4)) for _ in range(4)]
    y = b.node("BatchNormalization", layer(b), *ones, training_mode=1)
    b.nodes[-1].output.extend(["mean", "var"])
    assert "expected inference mode, got training mode; export model.eval()" in refusal(b.model(y))


def test_two_outputs():
    b = Builder()
    y = layer(b)
    model = b.model(y)
    model.graph.output.append(helper.make_tensor_value_info("v0", TensorProto.FLOAT, ("N", 4)))
    assert "expected one output, got 2: ['v2', 'v0']; keep one" in refusal(model)


def test_two_inputs():
    b = Builder()
    model = b.model(layer(b))
    model.graph.input.append(helper.make_tensor_value_info("z", TensorProto.FLOAT, ("N", 4)))
    assert "expected one input, got 2: ['x', 'z']" in refusal(model)


def test_output_does_not_depend_on_the_input():
    b = Builder()
    b.quant("x")
    assert "expected it to be computed from the quantized input" in refusal(
        b.model(b.node("Neg", b.constant([1.0])))
    )


def test_cycle():
    b = Builder()
    x = layer(b)
    y = b.node("Relu", b.node("Relu", x, name="a"), name="b")
    b.nodes[-2].input[0] = y
    message = refusal(b.model(y))
    assert f"node 'a' (Relu): input {y!r} is computed by a later node or in a cycle" in message


def test_missing_input():
    b = Builder()
    y = b.node("Relu", layer(b), name="a")
    b.nodes[-1].input[0] = "nowhere"
    assert "node 'a' (Relu): input 'nowhere' is computed by no node" in refusal(b.model(y))


def test_values_with_the_same_name():
    b = Builder()
    y = layer(b)
    b.nodes[-1].output[0] = "v0"
    message = refusal(b.model(y))
    assert "value 'v0' is computed twice" in message
    assert f"output {y!r} is computed by no node" in message
    b = Builder()
    b.constant(1.0, "c"), b.constant(2.0, "c")
    assert "initializer 'c' is there twice" in refusal(b.model(layer(b)))


def test_external_data():
    b = Builder()
    model = b.model(layer(b))
    tensor = model.graph.initializer[0]
    tensor.data_location = TensorProto.EXTERNAL
    entry = tensor.external_data.add()
    entry.key, entry.value = "location", "../../etc/passwd"
    assert "initializer 'c0': its data are in another file; save the model as one" in refusal(model)


def test_huge_shapes_allocate_nothing():
    b = Builder()
    model = b.model(layer(b))
    tensor = TensorProto(name="huge", dims=[1 << 40, 1 << 40], data_type=TensorProto.FLOAT)
    model.graph.initializer.append(tensor)
    assert "initializer 'huge': 1208925819614629174706176 elements" in refusal(model)
    b = Builder()
    tall, wide = (b.constant(np.zeros((1 << 14, 1))), b.constant(np.zeros((1, 1 << 14))))
    y = b.node("Add", layer(b), b.node("Add", tall, wide, name="outer"))
    assert "node 'outer' (Add): expected a constant of at most 67108864 elements" in refusal(
        b.model(y)
    )


def test_data_that_do_not_fill_the_shape():
    b = Builder()
    model = b.model(layer(b))
    model.graph.initializer[0].dims.append(7)
    assert "tensor name: c0) raw_data size (4 bytes) is too small" in refusal(model)


def test_operator_set():
    b = Builder(opset=6)
    assert "operator set 6, expected 7.." in refusal(b.model(layer(b)))


def test_float64():
    b = Builder()
    y = b.node("Add", layer(b), b.constant([1.0], "bias", dtype=np.float64))
    assert "expected float32 numbers in 'bias', got float64; export in float32" in refusal(
        b.model(y)
    )


def test_unreadable_attribute_type_is_refused_by_the_checker():
    b = Builder()
    model = b.model(layer(b))
    model.graph.node[0].attribute[0].type = onnx.AttributeProto.GRAPH
    assert "not a valid ONNX model" in refusal(model)


def test_names_that_are_not_utf8():
    b = Builder()
    data = b.model(layer(b, name="classifier")).SerializeToString()
    assert b"classifier" in data
    assert refusal(data.replace(b"classifier", b"class\xb5\xfe\xff\xc0r")) == (
        "model: expected names in UTF-8, got other bytes; export it again"
    )
