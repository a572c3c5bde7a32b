"""Convolutions, pools, joins, activations, encoders: eval, file and graph give the same numbers."""

import copy
import inspect
from collections import OrderedDict

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

import hwgen.nn as hnn
from hwgen import frontend
from hwgen.errors import ExportError, FrontendError, NumericError
from hwgen.nn.structure import reciprocal

from .equality import assert_equal_everywhere
from .qonnx_execution import execute

pytestmark = pytest.mark.torch

INPUT = hnn.FixedPointConfig(4, frac=2)
SIX = hnn.FixedPointConfig(6)


def assert_file_equals_model(model, x, folder):
    model(x)
    _, _, file = assert_equal_everywhere(model, x, folder)
    return file


def after_input(*layers):
    return nn.Sequential(hnn.Identity(output=INPUT), *layers)


@st.composite
def convolutions(draw):
    """A convolution with any stride, padding, dilation and groups, and its input."""
    torch.manual_seed(draw(st.integers(0, 2**32 - 1)))
    axes = draw(st.integers(1, 2))
    groups = draw(st.sampled_from([1, 2, 4]))
    inputs, outputs = groups * draw(st.integers(1, 2)), groups * draw(st.integers(1, 2))
    kernel = tuple(draw(st.integers(1, 3)) for _ in range(axes))
    dilation = draw(st.integers(1, 2))
    padding = draw(st.sampled_from(["same", "valid", 0, 1, 2]))
    if isinstance(padding, int):
        # Windows that see nothing but padding are refused by the importer.
        padding = min(padding, *(dilation * (k - 1) for k in kernel))
    stride = 1 if padding == "same" else draw(st.integers(1, 3))
    weight = draw(
        st.sampled_from(
            [
                hnn.FixedPointConfig(5),
                hnn.FixedPointConfig(5, per_channel=True),
                hnn.KHotConfig(6),
                hnn.BinaryConfig(),
                hnn.BinaryConfig(scale=hnn.Scale.FREE),
                hnn.TernaryConfig(),
            ]
        )
    )
    kind = hnn.Conv1d if axes == 1 else hnn.Conv2d
    layer = kind(
        inputs,
        outputs,
        kernel,
        stride,
        padding,
        dilation,
        groups,
        draw(st.booleans()),
        weight=weight,
        output=draw(st.sampled_from([None, SIX])),
    )
    return layer, torch.randn(3, inputs, *[draw(st.integers(5, 8)) for _ in range(axes)])


@settings(max_examples=40)
@given(case=convolutions())
def test_convolutions(tmp_path_factory, case):
    layer, x = case
    assert_file_equals_model(after_input(layer), x, tmp_path_factory.mktemp("conv"))


def test_convolution_in_eval_is_integer_arithmetic():
    torch.manual_seed(0)
    layer = hnn.Conv2d(2, 3, 3, padding=1, bias=False, weight=hnn.FixedPointConfig(5))
    x = torch.randint(-8, 8, (2, 2, 5, 5)).float()
    layer(x)
    layer.eval()
    codes = torch.from_numpy(layer.weight_quantizer.codes(layer.weight))
    sums = F.conv2d(x.to(torch.int64), codes, padding=1)
    frac = layer.weight_quantizer.frac_bits
    assert torch.equal(layer(x).double() * 2.0**frac, sums.double())


@pytest.mark.parametrize(
    ("layer", "twin", "shared"),
    [
        (hnn.Linear, nn.Linear, 5),
        (hnn.Conv1d, nn.Conv1d, 11),
        (hnn.Conv2d, nn.Conv2d, 11),
        (hnn.BatchNorm2d, nn.BatchNorm2d, 4),
        (hnn.Hardtanh, nn.Hardtanh, 3),
        (hnn.ReLU6, nn.ReLU6, 1),
        (hnn.PReLU, nn.PReLU, 2),
        (hnn.AvgPool1d, nn.AvgPool1d, 2),
        (hnn.AvgPool2d, nn.AvgPool2d, 2),
    ],
)
def test_arguments_begin_like_the_twins(layer, twin, shared):
    ours = list(inspect.signature(layer).parameters.values())
    theirs = list(inspect.signature(twin).parameters.values())
    for mine, other in zip(ours[:shared], theirs[:shared], strict=True):
        assert (mine.name, mine.default) == (other.name, other.default)
    assert all(parameter.kind is parameter.KEYWORD_ONLY for parameter in ours[shared:])
    assert issubclass(layer, twin)


MAPS = {
    "batchnorm": hnn.BatchNorm2d(4, output=SIX),
    "batchnorm_khot": hnn.BatchNorm2d(4, scale=hnn.KHotConfig(8, k=1), output=SIX),
    "relu6": hnn.ReLU6(),
    "relu6_exact": hnn.ReLU6(output=None),
    "hardtanh": hnn.Hardtanh(-0.75, 1.125, output=hnn.FixedPointConfig(6)),
    "hardtanh_exact": hnn.Hardtanh(-0.75, 1.125, output=None),
    "prelu": hnn.PReLU(),
    "prelu_exact": hnn.PReLU(4, output=None),
    "prelu_shift": hnn.PReLU(4, slope=hnn.KHotConfig(6, k=1)),
    "prelu_per_channel": hnn.PReLU(4, slope=hnn.FixedPointConfig(5, per_channel=True)),
    "rprelu": hnn.RPReLU(4),
    "rprelu_exact": hnn.RPReLU(4, output=None),
    "max_pool": hnn.MaxPool2d(2),
    "max_pool_padded": hnn.MaxPool2d(3, stride=2, padding=1, dilation=2),
    "average_shift": hnn.AvgPool2d(2),
    "average_reciprocal": hnn.AvgPool2d(3, stride=2),
    "average_reciprocal_exact": hnn.AvgPool2d((2, 3), output=None),
    "global_average": hnn.AdaptiveAvgPool2d(1, output=SIX),
    "zero_pad": hnn.ZeroPad2d((0, 1, 2, 0)),
    "upsample": hnn.Upsample(scale_factor=2),
    "upsample_sides": hnn.Upsample(scale_factor=(1, 3)),
    "flatten": hnn.Flatten(),
    "dropout": hnn.Dropout(0.5),
}


# Averages of exact sums over such counts need more than float32 has; they are refused, see below.
WIDE = ("average_reciprocal", "global_average")
# Of sums that no quantizer follows, the importer makes no hardware.
UNQUANTIZED = {
    "average_reciprocal_exact": (hnn.AvgPool2d((2, 3), output=None), r"'2.sums'"),
    "zero_pad": (hnn.ZeroPad2d(1), r"'2' \(Pad\)"),
}


@pytest.mark.parametrize(
    ("name", "source"),
    [(name, "quantized") for name in MAPS]
    + [(name, "summed") for name in MAPS if name not in (*WIDE, *UNQUANTIZED)],
)
def test_layers_on_maps(name, source, tmp_path):
    torch.manual_seed(7)
    layer = copy.deepcopy(MAPS[name])
    with torch.no_grad():
        for parameter in layer.parameters(recurse=False):
            if parameter.dim() == 1:
                parameter.copy_(torch.randn(parameter.shape))
    layers = [layer] if source == "quantized" else [hnn.Conv2d(4, 4, 1, weight=SIX), layer]
    assert_file_equals_model(after_input(*layers).train(), torch.randn(3, 4, 7, 6), tmp_path)


@pytest.mark.parametrize(("layer", "where"), UNQUANTIZED.values(), ids=list(UNQUANTIZED))
def test_sums_are_exact_in_the_file_and_named_by_the_importer(layer, where, tmp_path):
    torch.manual_seed(7)
    model = after_input(hnn.Conv2d(4, 4, 1, weight=SIX), copy.deepcopy(layer))
    x = torch.randn(3, 4, 7, 6)
    model(x)
    path = hnn.export(model, x, tmp_path / "model.onnx")
    assert (execute(path, x.numpy()) == model.eval()(x).detach().numpy()).all()
    with pytest.raises(FrontendError, match=f"{where}.*unquantized activation"):
        frontend.load(path)


@pytest.mark.parametrize(
    "layer",
    [
        hnn.MaxPool1d(2),
        hnn.AvgPool1d(2),
        hnn.AvgPool1d(3, 2),
        hnn.AdaptiveAvgPool1d(1),
        hnn.BatchNorm1d(4),
        hnn.Upsample(scale_factor=2),
        hnn.ZeroPad1d((2, 1)),
    ],
)
def test_layers_on_sequences(layer, tmp_path):
    assert_file_equals_model(after_input(layer), torch.randn(3, 4, 9), tmp_path)


@pytest.mark.parametrize("name", WIDE)
def test_averages_that_float32_would_round_are_refused(name, tmp_path):
    model = after_input(hnn.Conv2d(4, 4, 1, weight=SIX), copy.deepcopy(MAPS[name]))
    x = torch.randn(3, 4, 7, 6)
    model(x)
    with pytest.raises(ExportError, match=r"2: sums reach \d+ units"):
        hnn.export(model, x, tmp_path / "model.onnx")


class Residual(nn.Module):
    """A ResNet block with a shortcut that joins twice, and a concatenation."""

    def __init__(self):
        super().__init__()
        self.start = hnn.Identity(output=INPUT)
        self.conv1 = hnn.Conv2d(3, 3, 3, padding=1, weight=SIX)
        self.norm1 = hnn.BatchNorm2d(3)
        self.act1 = hnn.ReLU(output=hnn.FixedPointConfig(5, signed=False))
        self.conv2 = hnn.Conv2d(3, 3, 3, padding=1, groups=3, weight=hnn.KHotConfig(5), output=SIX)
        self.add = hnn.Add(output=None)
        self.act2 = hnn.ReLU()
        self.cat = hnn.Cat(output=hnn.FixedPointConfig(7))
        self.pool = hnn.AdaptiveAvgPool2d(1)
        self.flatten = hnn.Flatten()
        self.fc = hnn.Linear(6, 2)

    def forward(self, x):
        x = self.start(x)
        y = self.act1(self.norm1(self.conv1(x)))
        y = self.act2(self.add(self.conv2(y), x))
        return self.fc(self.flatten(self.pool(self.cat(y, x))))


def test_branches_are_written_as_they_are(tmp_path):
    torch.manual_seed(1)
    model = Residual()
    written = assert_file_equals_model(model, torch.randn(5, 3, 6, 6), tmp_path)
    kinds = [node.op_type for node in written.graph.node]
    assert kinds.count("Concat") == 1
    readers = [node.name for node in written.graph.node if "start.out" in node.input]
    assert readers == ["conv1", "add", "cat"]


class AddToItself(nn.Module):
    def __init__(self, last):
        super().__init__()
        self.start = hnn.Identity(output=INPUT)
        self.add = hnn.Add(output=None)
        self.cat = hnn.Cat(output=None)
        self.last = last

    def forward(self, x):
        x = self.start(x)
        y = self.add(x, x)
        return self.cat(x, y) if self.last == "cat" else self.add(y, y)


@pytest.mark.parametrize("last", ["cat", "add"])
def test_a_tensor_may_be_joined_with_itself(last, tmp_path):
    assert_file_equals_model(AddToItself(last), torch.randn(4, 3, 2, 2), tmp_path)


def test_shortcut_that_is_also_the_output_of_an_earlier_node(tmp_path):
    class Early(nn.Module):
        def __init__(self):
            super().__init__()
            self.start = hnn.Identity(output=INPUT)
            self.fc = hnn.Linear(4, 4, output=INPUT)

        def forward(self, x):
            x = self.start(x)
            return self.fc(self.fc(x))

    assert_file_equals_model(Early(), torch.randn(4, 4), tmp_path)


def test_average_of_a_power_of_two_is_exact_and_rounds_once():
    pool = hnn.AvgPool2d(2, output=hnn.FixedPointConfig(5, frac=0))
    x = torch.tensor([[1.0, 2.0], [2.0, 1.0]]).reshape(1, 1, 2, 2)  # 6 / 4 = 1.5, to even
    assert pool(x).item() == 2.0
    assert pool(x + torch.tensor([[0.0, 0.0], [0.0, 4.0]])).item() == 2.0  # 10 / 4 = 2.5


@pytest.mark.parametrize("count", range(1, 65))
def test_reciprocals_are_near_and_short(count):
    code, denominator = reciprocal(count).as_integer_ratio()
    assert denominator & (denominator - 1) == 0
    assert code < 1 << 12
    assert abs(reciprocal(count) * count - 1) <= 2.0**-11


TWO = hnn.FixedPointConfig(8, frac=2)


def test_rprelu_moves_bends_and_moves():
    layer = hnn.RPReLU(1, slope=TWO, offset=TWO, output=None)
    with torch.no_grad():
        layer.before.fill_(0.5)
        layer.after.fill_(-0.25)
    assert layer(torch.tensor([[-2.5], [1.0]])).tolist() == [[-0.75], [1.25]]


def test_every_parameter_learns():
    torch.manual_seed(1)
    model = nn.Sequential(Residual().start, hnn.Conv2d(3, 4, 3, bias=False), hnn.RPReLU(4))
    x = torch.randn(8, 3, 6, 6)
    model(x)
    model.zero_grad()
    model(x).square().sum().backward()
    for name, parameter in model.named_parameters():
        if parameter.requires_grad:
            assert parameter.grad is not None, name
            assert torch.isfinite(parameter.grad).all(), name


ONE = hnn.FixedPointConfig(4, frac=0)


@pytest.mark.parametrize(
    ("layers", "message"),
    [
        (
            [hnn.Conv2d(3, 2, 1)],
            r"conv: expected input of shape \(N, 3, H, W\), got \(N, 4, 5, 5\)",
        ),
        ([hnn.Conv2d(4, 2, 7)], "conv: expected an input of at least .7, 7. numbers"),
        ([nn.MaxPool2d(2, ceil_mode=True)], "expected ceil_mode and return_indices off"),
        ([nn.MaxPool1d(2)], r"expected input of shape \(N, C, L\), got \(N, 4, 5, 5\)"),
        ([nn.ZeroPad2d((0, -1, 0, 0))], r"expected padding >= 0, got \(0, -1, 0, 0\)"),
        ([nn.ZeroPad1d(1)], r"expected input of shape \(N, C, L\), got \(N, 4, 5, 5\)"),
        ([nn.Upsample(scale_factor=1.5)], "expected whole scale factors"),
        ([nn.Upsample(scale_factor=2, mode="bilinear")], "mode 'bilinear'"),
        ([hnn.PReLU(3, slope=ONE)], "expected 4 slopes, one for each channel, or 1, got 3"),
        ([hnn.BatchNorm2d(3, scale=ONE, bias=ONE)], r"expected input of shape \(N, 3, H, W\)"),
        ([hnn.Thermometer(3)], r"expected input of shape \(N, 3, \.\.\.\)"),
    ],
)
def test_what_cannot_be_written_is_named(tmp_path, layers, message):
    known = hnn.FixedPointConfig(4, frac=2)
    model = nn.Sequential(OrderedDict(start=hnn.Identity(output=known), conv=layers[0]))
    for module in model.modules():
        if isinstance(module, hnn.FixedPointQuantizer):
            module.set_frac(module.learned.detach())
    with pytest.raises(ExportError, match=message):
        hnn.export(model, torch.zeros(1, 4, 5, 5), tmp_path / "model.onnx")


class JoinRaw(nn.Module):
    def __init__(self, join):
        super().__init__()
        self.join = join

    def forward(self, x):
        return self.join(x, x)


@pytest.mark.parametrize("join", [hnn.Add(output=ONE), hnn.Cat(output=ONE)])
def test_raw_inputs_cannot_be_joined(join, tmp_path):
    with pytest.raises(ExportError, match="join: expected quantized numbers or sums of them"):
        hnn.export(JoinRaw(join), torch.zeros(1, 3), tmp_path / "model.onnx")


def test_a_free_scale_ends_in_a_function_of_one_number(tmp_path):
    free = hnn.Linear(3, 3, weight=hnn.BinaryConfig(scale=hnn.Scale.FREE), bias=False)

    class Sum(nn.Module):
        def __init__(self):
            super().__init__()
            self.start, self.fc = hnn.Identity(output=ONE), free
            self.add = hnn.Add(output=ONE)

        def forward(self, x):
            x = self.start(x)
            return self.add(self.fc(x), x)

    with pytest.raises(ExportError, match=r"add: expected quantized.*got sums times a free scale"):
        hnn.export(Sum(), torch.zeros(1, 3), tmp_path / "model.onnx")


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: hnn.Conv2d(1, 1, 1, padding_mode="reflect"), "padding_mode is 'reflect'"),
        (lambda: hnn.AdaptiveAvgPool2d(2), "output_size is 2, expected 1"),
        (lambda: hnn.Thermometer(1, 256), r"resolution is 256, expected 1\.\.255"),
        (lambda: hnn.Thermometer(1)(torch.zeros(1, 2, 3)), r"expected \(N, 1, \.\.\.\)"),
        (lambda: hnn.Add()(torch.zeros(2, 1), torch.zeros(2, 2)), "expected equal ones"),
        (lambda: hnn.BatchNorm2d(2)(torch.zeros(2, 3)), r"expected \(N, 2, H, W\)"),
    ],
)
def test_wrong_use_is_named(make, message):
    with pytest.raises(NumericError, match=message):
        make()
