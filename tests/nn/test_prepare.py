"""From a float model: the twin has its weights and structure, and exports; calibration, summary."""

import copy

import pytest
import torch
import torch.nn.functional as F
from torch import nn

import hwgen.nn as hnn
from hwgen.errors import ExportError, NumericError
from hwgen.nn import CalibrationMethod, FixedPointConfig, LayerConfig

from .qonnx_execution import execute

pytestmark = pytest.mark.torch


class Float(nn.Module):
    """A small residual network in plain torch.nn, with functions where people write them."""

    def __init__(self):
        super().__init__()
        self.conv1 = nn.Conv2d(3, 8, 3, padding=1, bias=False)
        self.norm1 = nn.BatchNorm2d(8)
        self.block = nn.Sequential(nn.Conv2d(8, 8, 3, padding=1), nn.BatchNorm2d(8), nn.ReLU())
        self.drop = nn.Dropout(0.1)
        self.fc = nn.Linear(16, 4)

    def forward(self, x):
        x = F.relu(self.norm1(self.conv1(x)))
        y = self.block(x) + x
        y = torch.cat([y, torch.relu(y)], dim=1)
        y = F.max_pool2d(y, 2)
        y = F.adaptive_avg_pool2d(y, 1)
        return self.fc(self.drop(torch.flatten(y, 1)))


@pytest.fixture
def trained():
    torch.manual_seed(0)
    model = Float()
    for _ in range(5):
        model(torch.randn(16, 3, 8, 8) * 2 + 0.5)  # statistics away from their start
    return model.eval()


@pytest.fixture
def batches():
    generator = torch.Generator().manual_seed(1)
    return [torch.randn(8, 3, 8, 8, generator=generator) * 2 + 0.5 for _ in range(3)]


def error(model, twin, batches):
    with torch.no_grad():
        return float(torch.stack([(model(x) - twin(x)).abs().mean() for x in batches]).mean())


WIDE = LayerConfig(
    FixedPointConfig(14), FixedPointConfig(14), FixedPointConfig(14), FixedPointConfig(14)
)


def test_a_wide_twin_computes_what_the_model_does(trained, batches):
    twin = hnn.prepare(trained, WIDE, input=FixedPointConfig(14))
    hnn.calibrate(twin, batches)
    assert error(trained, twin, batches) < 2e-3


def test_the_float_model_is_left_alone(trained, batches):
    before = copy.deepcopy(trained.state_dict())
    twin = hnn.prepare(trained)
    hnn.calibrate(twin, batches)
    twin.train()(batches[0]).sum().backward()
    assert type(trained.conv1) is nn.Conv2d
    for name, value in trained.state_dict().items():
        assert torch.equal(value, before[name]), name


@pytest.mark.parametrize("method", list(CalibrationMethod))
def test_the_calibrated_twin_exports_exactly(trained, batches, method, tmp_path):
    config = LayerConfig(FixedPointConfig(4), output=FixedPointConfig(5))
    twin = hnn.prepare(trained, config, input=FixedPointConfig(5))
    hnn.calibrate(twin, batches, method, percentile=99.0)
    path = hnn.export(twin, batches[0], tmp_path / "model.onnx")
    expected = twin(batches[0]).detach().numpy()
    assert (execute(path, batches[0].numpy()) == expected).all()


def test_quantizers_stand_only_where_integers_are_needed(trained):
    twin = hnn.prepare(trained)
    modules = dict(twin.named_modules())
    exact = [
        name
        for name, module in modules.items()
        if hasattr(module, "output_quantizer") and module.output_quantizer is None
    ]
    # What BatchNorm, an activation or nobody reads; the sum is read by Cat as well.
    assert exact == ["conv1", "norm1", "block.0", "block.1", "fc"]
    assert isinstance(modules["add"], hnn.Add)
    assert not modules["relu"].output_quantizer.signed
    assert isinstance(modules["input_quantizer"], hnn.Identity)


def test_patterns_choose_by_name(trained):
    narrow = LayerConfig(hnn.KHotConfig(4, k=1))
    binary = LayerConfig(hnn.BinaryConfig(), output=hnn.BinaryConfig())
    twin = hnn.prepare(trained, patterns={"block.*": binary, "conv?": narrow, "*1": WIDE})
    assert isinstance(twin.conv1.weight_quantizer, hnn.KHotQuantizer)
    block = twin.get_submodule("block")
    assert isinstance(block.get_submodule("0").weight_quantizer, hnn.BinaryQuantizer)
    assert isinstance(block.get_submodule("2"), hnn.Sign)
    assert twin.norm1.scale_quantizer.bit_width == 14
    assert twin.fc.weight_quantizer.bit_width == 8


def test_a_pattern_that_fits_nothing_is_an_error(trained):
    with pytest.raises(ExportError, match=r"expected each to fit a layer, got none for conv9\*"):
        hnn.prepare(trained, patterns={"conv9*": LayerConfig()})


@pytest.mark.parametrize(
    "weight",
    [hnn.ShiftConfig(4), hnn.DenseShiftConfig(3), hnn.AdditiveConfig(), hnn.TernaryConfig()],
)
def test_twins_with_other_weights_train(trained, batches, weight):
    twin = hnn.prepare(trained, LayerConfig(weight)).train()
    loss = twin(batches[0]).square().mean()
    loss.backward()
    for name, parameter in twin.named_parameters():
        if parameter.grad is not None:
            assert torch.isfinite(parameter.grad).all(), name
    if isinstance(weight, hnn.ShiftConfig):
        values = twin.fc.weight_quantizer(twin.fc.weight)
        assert ((values == 0) | (values.sign() == trained.fc.weight.sign())).all()


def test_a_sequence_and_a_single_layer_have_twins(tmp_path):
    torch.manual_seed(0)
    model = nn.Sequential(nn.Conv1d(2, 3, 3), nn.BatchNorm1d(3), nn.Hardtanh(), nn.PReLU())
    x = torch.randn(6, 2, 9)
    for plain in (model, nn.Conv1d(2, 3, 3)):
        twin = hnn.prepare(plain)
        hnn.calibrate(twin, [x])
        path = hnn.export(twin, x, tmp_path / "model.onnx")
        assert (execute(path, x.numpy()) == twin.eval()(x).detach().numpy()).all()


class Sequence(nn.Module):
    """Pads on one side only, as a function, and averages."""

    def __init__(self):
        super().__init__()
        self.conv = nn.Conv1d(2, 3, 3, stride=2)

    def forward(self, x):
        x = F.relu(self.conv(F.pad(x, (0, 1))))
        return F.adaptive_avg_pool1d(F.avg_pool1d(x, 2), 1)


def test_borders_and_averages_of_sequences_have_twins(tmp_path):
    torch.manual_seed(0)
    plain, x = Sequence(), torch.randn(6, 2, 8)
    twin = hnn.prepare(plain, WIDE, input=FixedPointConfig(14))
    hnn.calibrate(twin, [x])
    kinds = {type(layer) for layer in twin.children()}
    assert {nn.ZeroPad1d, hnn.Conv1d, hnn.AvgPool1d, hnn.AdaptiveAvgPool1d} <= kinds
    assert float((plain(x) - twin.eval()(x)).detach().abs().max()) < 2e-3
    narrow = hnn.prepare(plain, LayerConfig(FixedPointConfig(5), output=FixedPointConfig(6)))
    hnn.calibrate(narrow, [x])
    path = hnn.export(narrow, x, tmp_path / "model.onnx")
    assert (execute(path, x.numpy()) == narrow.eval()(x).detach().numpy()).all()


@pytest.mark.parametrize("options", [((1, 1), "reflect"), ((1, 1), "constant", 2.0), ((1,) * 6,)])
def test_borders_of_other_kinds_are_named(options):
    class Bordered(nn.Module):
        def forward(self, x):
            return F.pad(x, *options)

    with pytest.raises(ExportError, match="pad: expected a call with a twin, got pad"):
        hnn.prepare(Bordered())


def test_everything_without_a_twin_is_named():
    class Odd(nn.Module):
        def forward(self, x):
            return torch.softmax(torch.cat([x, x], dim=2), 1).mean(1)

    with pytest.raises(ExportError) as caught:
        hnn.prepare(Odd())
    text = str(caught.value)
    assert "3 in the way" in text
    assert "cat: expected a call with a twin, got cat" in text
    assert "softmax: expected a call with a twin" in text
    with pytest.raises(ExportError, match="1: expected a layer with a twin, got GELU"):
        hnn.prepare(nn.Sequential(nn.Linear(2, 2), nn.GELU()))


def test_a_model_that_cannot_be_followed_names_the_line():
    class Conditional(nn.Module):
        def forward(self, x):
            if x.sum() > 0:
                return x
            return -x

    line = Conditional.forward.__code__.co_firstlineno + 1
    with pytest.raises(ExportError, match=rf"test_prepare\.py:{line} "):
        hnn.prepare(Conditional())


def outliers():
    torch.manual_seed(4)
    x = torch.randn(1, 10_000)
    x[0, 0] = 300.0
    return x


@pytest.mark.parametrize(
    ("method", "frac"),
    [
        (CalibrationMethod.MIN_MAX, 8 - 1 - 9),
        (CalibrationMethod.PERCENTILE, 8 - 1 - 2),  # 99.9 % lies below 4
    ],
)
def test_binary_point_follows_from_the_method(method, frac):
    model = nn.Sequential(hnn.Identity())
    hnn.calibrate(model, [outliers()], method, percentile=99.9)
    assert model[0].output_quantizer.frac_bits == frac


def test_mse_takes_the_point_of_least_error():
    x = outliers().clamp(max=30.0)
    errors = {}
    for frac in range(-2, 10):
        q = hnn.FixedPointQuantizer(FixedPointConfig(5, frac=frac))
        errors[frac] = float((q(x) - x).square().sum())
    model = nn.Sequential(hnn.Identity(output=FixedPointConfig(5)))
    hnn.calibrate(model, [x], CalibrationMethod.MSE)
    assert model[0].output_quantizer.frac_bits == min(errors, key=errors.get)
    # Wide enough to differ from the largest magnitude's choice.
    hnn.calibrate(model, [x])
    assert model[0].output_quantizer.frac_bits == -1


@pytest.mark.parametrize("method", [CalibrationMethod.PERCENTILE, CalibrationMethod.MSE])
def test_methods_reach_each_channel_of_weights(method):
    layer = hnn.Linear(64, 2, weight=FixedPointConfig(6, per_channel=True), bias=False)
    with torch.no_grad():
        layer.weight[0].uniform_(-0.01, 0.01)
        layer.weight[1].uniform_(-3.0, 3.0)
    hnn.calibrate(nn.Sequential(layer), [torch.randn(2, 64)], method, percentile=100.0)
    assert layer.weight_quantizer.fracs.tolist() == [5 + 6, 5 - 2]


@pytest.mark.parametrize("percentile", [0.0, 101.0])
def test_percentile_is_a_share(percentile):
    with pytest.raises(NumericError, match="percentile"):
        hnn.calibrate(nn.Identity(), [torch.ones(1)], percentile=percentile)


def test_summary_shows_what_is_in_force(trained, batches):
    narrow = LayerConfig(hnn.TernaryConfig(), output=FixedPointConfig(4))
    twin = hnn.prepare(trained, patterns={"block.*": narrow})
    assert "?" in hnn.summary(twin)
    hnn.calibrate(twin, batches)
    lines = hnn.summary(twin).splitlines()
    cells = {line.split()[0]: line.split() for line in lines}
    point = str(twin.conv1.weight_quantizer.frac_bits)
    zero = (twin.conv1.weight_quantizer.codes(twin.conv1.weight) == 0).mean()
    assert cells["conv1"] == [
        "conv1",
        "Conv2d",
        "FixedPoint",
        "8",
        point,
        f"{zero:.0%}",
        "exact",
        "216",
        str(216 * 128),  # 8 x 8 bits: 1.75 * 64 + 8 + 8
    ]
    assert cells["block.0"][2:4] == ["Ternary", "2"]
    output = f"u4.{twin.get_submodule('block.2').output_quantizer.frac_bits}"
    assert cells["block.2"] == ["block.2", "ReLU", output, "0"]
    assert lines[-1].endswith(f"{sum(p.numel() for p in twin.parameters())} parameters")
