"""Export: the file computes what the model computes, and what cannot be written is named."""

import itertools
from collections import OrderedDict

import numpy as np
import onnx
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

import hwgen
import hwgen.nn as hnn
from hwgen import frontend
from hwgen.errors import ExportError, NumericError
from hwgen.numeric import Overflow, Rounding, qonnx_name, rounding_from_qonnx

from .qonnx_execution import execute

pytestmark = pytest.mark.torch

SAYABLE = [mode for mode in Rounding if mode not in (Rounding.RND, Rounding.RND_MIN_INF)]

weights = st.one_of(
    st.builds(hnn.FixedPointConfig, bit_width=st.integers(2, 8)),
    st.builds(
        hnn.KHotConfig,
        bit_width=st.integers(3, 8),
        k=st.integers(1, 3),
        variant=st.sampled_from(list(hnn.KHotVariant)),
    ),
    st.just(hnn.BinaryConfig()),
)
activations = st.builds(
    hnn.FixedPointConfig,
    bit_width=st.integers(2, 8),
    signed=st.booleans(),
    rounding=st.sampled_from(SAYABLE),
    overflow=st.sampled_from([Overflow.SAT, Overflow.SAT_SYM]),
)


@st.composite
def models(draw):
    """A chain of one to three Linear layers with everything around them optional."""
    torch.manual_seed(draw(st.integers(0, 2**32 - 1)))
    sizes = draw(st.lists(st.integers(1, 9), min_size=2, max_size=4))
    layers = [hnn.Identity(output=draw(activations))]
    for inputs, outputs in itertools.pairwise(sizes):
        bias = draw(st.booleans())
        layers.append(hnn.Linear(inputs, outputs, bias, weight=draw(weights)))
        if draw(st.booleans()):
            output = draw(st.one_of(st.none(), activations))
            layers.append(hnn.BatchNorm1d(outputs, output=output))
        layers.append(nn.Dropout(0.5))
        activation = draw(st.sampled_from(["relu", "sign", "identity"]))
        if activation == "sign":
            layers.append(hnn.Sign())
        elif activation == "relu":
            layers.append(hnn.ReLU(output=draw(activations)))
        else:
            layers.append(hnn.Identity(output=draw(activations)))
    if draw(st.booleans()):
        layers.append(hnn.Linear(sizes[-1], 3, weight=draw(weights)))
    return nn.Sequential(*layers), sizes[0]


@settings(max_examples=100)
@given(model_and_size=models())
def test_file_and_graph_compute_what_the_model_does(tmp_path_factory, model_and_size):
    model, size = model_and_size
    x = torch.randn(20, size) * 4
    model(x)
    path = hnn.export(model, x, tmp_path_factory.mktemp("export") / "model.onnx")
    model.eval()
    expected = model(x).detach().numpy()
    assert (execute(path, x.numpy()) == expected).all()
    graph = frontend.load(path)
    codes = graph.evaluate(model[0].output_quantizer.codes(x))
    assert (graph.dequantize(codes) == expected).all()


@pytest.mark.parametrize("rounding", SAYABLE)
@pytest.mark.parametrize("overflow", [Overflow.SAT, Overflow.SAT_SYM])
@pytest.mark.parametrize("signed", [True, False])
def test_ties_and_limits_are_alike_in_file_and_model(tmp_path, rounding, overflow, signed):
    config = hnn.FixedPointConfig(5, signed, rounding=rounding, overflow=overflow, frac=1)
    x = torch.arange(-80, 80, dtype=torch.float32)[:, None] / 8
    model = hnn.Identity(output=config).eval()
    path = hnn.export(model, x, tmp_path / "ties.onnx")
    assert (execute(path, x.numpy()) == model(x).detach().numpy()).all()


@pytest.mark.parametrize("rounding", list(Rounding))
def test_rounding_names_invert(rounding):
    if rounding in SAYABLE:
        assert rounding_from_qonnx(qonnx_name(rounding)) is rounding
    else:
        with pytest.raises(NumericError, match=f"{rounding.value} has no QONNX name; use one of"):
            qonnx_name(rounding)


def small_model():
    torch.manual_seed(0)
    model = nn.Sequential(
        OrderedDict(
            pixels=hnn.Identity(output=hnn.FixedPointConfig(4, signed=False, frac=0)),
            block=nn.Sequential(
                OrderedDict(
                    fc1=hnn.Linear(4, 6, weight=hnn.KHotConfig(5)),
                    bn1=hnn.BatchNorm1d(6),
                    sign1=hnn.Sign(),
                )
            ),
            fc2=hnn.Linear(6, 3, weight=hnn.BinaryConfig()),
        )
    )
    model(torch.arange(32.0).reshape(8, 4) % 16)
    return model


def test_file_is_standard_qonnx(tmp_path):
    model = onnx.load(hnn.export(small_model(), torch.zeros(1, 4), tmp_path / "model.onnx"))
    assert (model.producer_name, model.producer_version) == ("hwgen", hwgen.__version__)
    assert [(o.domain, o.version) for o in model.opset_import] == [
        ("", 17),
        ("qonnx.custom_op.general", 1),
    ]
    assert model.ir_version == 8
    assert [(node.name, node.op_type) for node in model.graph.node] == [
        ("pixels", "Quant"),
        ("block.fc1.weight_quant", "Quant"),
        ("block.fc1", "MatMul"),
        ("block.fc1.bias_quant", "Quant"),
        ("block.fc1.add_bias", "Add"),
        ("block.bn1.scale_quant", "Quant"),
        ("block.bn1.bias_quant", "Quant"),
        ("block.bn1.multiply", "Mul"),
        ("block.bn1", "Add"),
        ("block.sign1", "BipolarQuant"),
        ("fc2.weight_quant", "BipolarQuant"),
        ("fc2", "MatMul"),
        ("fc2.bias_quant", "Quant"),
        ("fc2.add_bias", "Add"),
    ]
    for node in model.graph.node:
        if node.op_type == "Quant":
            names = [attribute.name for attribute in node.attribute]
            assert sorted(names) == ["narrow", "rounding_mode", "signed"]
    shapes = [
        [d.dim_param or d.dim_value for d in value.type.tensor_type.shape.dim]
        for value in [*model.graph.input, *model.graph.output]
    ]
    assert shapes == [["N", 4], ["N", 3]]


def test_weights_in_the_file_are_the_quantized_ones(tmp_path):
    model = small_model()
    graph = onnx.load(hnn.export(model, torch.zeros(1, 4), tmp_path / "model.onnx")).graph
    stored = {t.name: onnx.numpy_helper.to_array(t) for t in graph.initializer}
    layer = model.block.fc1
    codes = layer.weight_quantizer.codes(layer.weight).T
    assert (stored["block.fc1.weight"] / stored["block.fc1.weight_quant.scale"] == codes).all()


def test_no_negative_zero_reaches_the_file(tmp_path):
    layer = hnn.Linear(2, 2, bias=False, weight=hnn.FixedPointConfig(bit_width=4, frac=0))
    with torch.no_grad():
        layer.weight.copy_(torch.tensor([[-0.1, 3.0], [-0.4, -1.0]]))
    model = nn.Sequential(hnn.Identity(output=hnn.FixedPointConfig(frac=0)), layer)
    graph = onnx.load(hnn.export(model, torch.zeros(1, 2), tmp_path / "model.onnx")).graph
    stored = {t.name: onnx.numpy_helper.to_array(t) for t in graph.initializer}["1.weight"]
    assert stored.tolist() == [[0.0, 0.0], [3.0, -1.0]]
    assert np.signbit(stored).tolist() == [[False, False], [False, True]]


def test_same_model_gives_the_same_bytes(tmp_path):
    first = hnn.export(small_model(), torch.zeros(1, 4), tmp_path / "first.onnx")
    second = hnn.export(small_model(), torch.ones(7, 4), tmp_path / "second.onnx")
    assert first.read_bytes() == second.read_bytes()


def test_export_leaves_the_model_as_it_was(tmp_path):
    model = small_model()
    model.block.eval()
    modes = [module.training for module in model.modules()]
    before = {name: value.clone() for name, value in model.state_dict().items()}
    hnn.export(model, torch.zeros(1, 4), tmp_path / "model.onnx")
    assert [module.training for module in model.modules()] == modes
    for name, value in model.state_dict().items():
        assert torch.equal(value, before[name]), name


def test_own_module_and_repeated_layer(tmp_path):
    class Network(nn.Module):
        def __init__(self):
            super().__init__()
            self.fc = hnn.Linear(4, 4, output=hnn.FixedPointConfig(6))
            self.quantize = hnn.Identity(output=hnn.FixedPointConfig(6))
            self.flatten = nn.Flatten()

        def forward(self, x):
            return self.fc(self.fc(self.quantize(self.flatten(x))))

    model = Network()
    x = torch.linspace(-2, 2, 80).reshape(20, 2, 2)
    model(x)
    path = hnn.export(model, x, tmp_path / "model.onnx")
    model.eval()
    assert (execute(path, x.numpy()) == model(x).detach().numpy()).all()
    names = [node.name for node in onnx.load(path).graph.node]
    assert len(names) == len(set(names))


def test_every_offending_layer_is_named_at_once(tmp_path):
    wrap = hnn.FixedPointConfig(overflow=Overflow.WRAP, frac=0)
    half_up = hnn.FixedPointConfig(rounding=Rounding.RND, frac=0)
    known = hnn.FixedPointConfig(frac=4)
    model = nn.Sequential(
        OrderedDict(
            start=nn.Linear(4, 4),
            wrapped=hnn.Identity(output=wrap),
            tied=hnn.Identity(output=half_up),
            sick=hnn.Linear(4, 4, weight=known, bias_format=known),
            middle=hnn.Linear(4, 4, bias=False, weight=known),
            fresh=hnn.BatchNorm1d(4),
            soft=nn.Softmax(1),
        )
    )
    with torch.no_grad():
        model.sick.weight[0, :2] = float("nan")
    target = tmp_path / "model.onnx"
    with pytest.raises(ExportError) as caught:
        hnn.export(model, torch.zeros(1, 4), target)
    layers = (
        "expected one of hwgen.nn Linear, Conv1d, Conv2d, BatchNorm1d, BatchNorm2d, ReLU, ReLU6, "
        "Hardtanh, PReLU, RPReLU, Sign, Identity, Pixels, Thermometer, Embedding, Add, Cat, "
        "AvgPool1d, AvgPool2d, AdaptiveAvgPool1d, AdaptiveAvgPool2d, PrecisionGatedConv2d; "
        "torch.nn MaxPool1d, MaxPool2d, ZeroPad1d, ZeroPad2d, Upsample, Flatten, Dropout, Identity"
    )
    wrapped = (
        "expected overflow SAT or SAT_SYM, got WRAP, which QONNX cannot say; train with "
        "Overflow.SAT"
    )
    tied = (
        "expected a rounding mode of QONNX (CEIL, RND_CONV, RND_INF, RND_ZERO, TRN, TRN_ZERO, "
        "UP), got RND; train with Rounding.RND_CONV"
    )
    sick = (
        "expected finite numbers, got 2 of 16 NaN or infinite; train again with a lower learning "
        "rate"
    )
    unseen = (
        "expected a calibrated quantizer, got one that has seen no data; run a training batch or "
        "hwgen.nn.calibrate(model, batches), or give frac="
    )
    assert str(caught.value).splitlines() == [
        "the model cannot be exported, 7 problems:",
        f"  - start: {layers}; got torch.nn.modules.linear.Linear; use hwgen.nn.Linear",
        f"  - wrapped.output_quantizer: {wrapped}",
        f"  - tied.output_quantizer: {tied}",
        f"  - sick.weight: {sick}",
        f"  - fresh.scale_quantizer: {unseen}",
        f"  - fresh.bias_quantizer: {unseen}",
        f"  - soft: {layers}; got torch.nn.modules.activation.Softmax; build the model from these",
    ]
    assert list(tmp_path.iterdir()) == []


KNOWN = hnn.FixedPointConfig(bit_width=8, frac=4)
QUANTIZED = hnn.Identity(output=KNOWN)


def linear(inputs, outputs, **settings):
    return hnn.Linear(inputs, outputs, weight=KNOWN, bias_format=KNOWN, **settings)


class Residual(nn.Module):
    def __init__(self):
        super().__init__()
        self.start = hnn.Identity(output=KNOWN)
        self.fc = linear(4, 4, output=KNOWN)

    def forward(self, x):
        x = self.start(x)
        return x + self.fc(x)


class Branching(nn.Module):
    def __init__(self):
        super().__init__()
        self.start = hnn.Identity(output=KNOWN)
        self.left = linear(4, 4, output=KNOWN)
        self.right = linear(4, 4, output=KNOWN)

    def forward(self, x):
        x = self.start(x)
        self.left(x)
        return self.right(x)


class TwoInputs(nn.Module):
    def __init__(self):
        super().__init__()
        self.start = hnn.Identity(output=KNOWN)

    def forward(self, x, mask):
        return self.start(x)


class Conditional(nn.Module):
    def forward(self, x):
        return x if x.sum() > 0 else -x


class OwnLinear(hnn.Linear):
    def forward(self, input):
        return 2 * super().forward(input)


@pytest.mark.parametrize(
    ("model", "message"),
    [
        (linear(4, 2), "0: expected a quantized input, got the raw input of the model; put"),
        (
            nn.Sequential(QUANTIZED, linear(4, 4), linear(4, 2)),
            "2: expected a quantized input, got an exact sum; put hwgen.nn.Identity",
        ),
        (
            nn.Sequential(QUANTIZED, linear(5, 2)),
            r"1: expected input of shape \(N, 5\), got \(N, 4\); set in_features",
        ),
        (
            nn.Sequential(hnn.BatchNorm1d(4, scale=KNOWN, bias=KNOWN)),
            "0: expected a quantized input or the sums of hwgen.nn.Linear, got the raw input",
        ),
        (
            nn.Sequential(QUANTIZED, hnn.BatchNorm1d(3, scale=KNOWN, bias=KNOWN)),
            r"1: expected input of shape \(N, 3\) or \(N, 3, L\), got \(N, 4\); set num_features",
        ),
        (nn.Sequential(hnn.ReLU(output=None)), "output: expected quantized numbers"),
        (nn.Sequential(nn.Flatten(0), QUANTIZED), r"expected nn.Flatten\(1, -1\), got nn.Flatten"),
        (nn.Sequential(nn.ReLU()), "torch.nn.modules.activation.ReLU; use hwgen.nn.ReLU"),
        (Residual(), "expected a call of a layer, got the function or tensor add; use the module"),
        (
            Branching(),
            "left: expected a layer whose result is used, got one that nothing reads; take",
        ),
        (TwoInputs(), "mask: expected a model of one input, got a further one"),
        (Conditional(), "Conditional: expected a forward that calls its layers one after another"),
        (nn.Sequential(QUANTIZED, OwnLinear(4, 4)), "got .*OwnLinear; build the model from these"),
    ],
)
def test_what_cannot_be_written_is_named(tmp_path, model, message):
    with pytest.raises(ExportError, match=message):
        hnn.export(model, torch.zeros(1, 4), tmp_path / "model.onnx")
    assert list(tmp_path.iterdir()) == []


def test_sums_that_float32_would_round_are_refused(tmp_path):
    wide = hnn.FixedPointConfig(bit_width=16, frac=0)
    model = nn.Sequential(
        OrderedDict(start=hnn.Identity(output=wide), fc=hnn.Linear(2, 1, bias=False, weight=wide))
    )
    with torch.no_grad():
        model.fc.weight.copy_(torch.tensor([[256.0, 256.0]]))
    x = torch.zeros(1, 2)
    hnn.export(model, x, tmp_path / "just_fits.onnx")  # 2 * 256 * 32768 = 2**24
    with torch.no_grad():
        model.fc.weight.copy_(torch.tensor([[256.0, 257.0]]))
    with pytest.raises(ExportError, match=r"fc: sums reach 16809984 units.*at most 2\*\*24"):
        hnn.export(model, x, tmp_path / "too_wide.onnx")


def test_example_without_a_batch_is_refused(tmp_path):
    with pytest.raises(ExportError, match=r"shape \[4\], expected a batch"):
        hnn.export(small_model(), torch.zeros(4), tmp_path / "model.onnx")


def test_a_failed_write_leaves_the_old_file(tmp_path):
    with pytest.raises(ExportError, match="cannot be written"):
        hnn.export(small_model(), torch.zeros(1, 4), tmp_path / "missing" / "model.onnx")
    target = tmp_path / "model.onnx"
    target.write_bytes(b"old")
    broken = nn.Sequential(nn.ReLU())
    with pytest.raises(ExportError):
        hnn.export(broken, torch.zeros(1, 4), target)
    assert target.read_bytes() == b"old"
    hnn.export(small_model(), torch.zeros(1, 4), target)
    assert target.stat().st_mode & 0o777 == 0o644
    assert [entry.name for entry in tmp_path.iterdir()] == ["model.onnx"]
