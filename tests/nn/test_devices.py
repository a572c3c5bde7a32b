"""Any device will do: every number that a layer makes lies where its weights are.

There is no GPU in CI (`test_cuda.py` is for one). PyTorch's meta device stands for it: like a GPU
it refuses to mix its tensors with the CPU's. It holds no numbers, so layers are calibrated before
they move, and take the way that torch.compile takes, which asks for none.
"""

import pytest
import torch
from torch import nn

import hwgen.nn as hnn
from hwgen.nn import Group, Learning, Scale, TernaryMeasure

pytestmark = pytest.mark.torch

WEIGHTS = [
    hnn.FixedPointConfig(6),
    hnn.FixedPointConfig(6, per_channel=True, learning=Learning.SCALE),
    hnn.KHotConfig(6),
    hnn.KHotConfig(6, k=1, per_channel=True),
    hnn.BinaryConfig(),
    hnn.BinaryConfig(scale=Scale.FREE),
    hnn.BinaryConfig(scale=Scale.POWER_OF_TWO, centred=True),
    hnn.LearnedWidthConfig(4),
    hnn.LearnedWidthConfig(4, Group.WEIGHT),
    hnn.LearnedWidthConfig(4, Group.TENSOR),
    hnn.TernaryConfig(),
    hnn.TernaryConfig(TernaryMeasure.MEAN, Scale.FREE),
    hnn.PowerOfTwoConfig(),
    hnn.ShiftConfig(),
    hnn.DenseShiftConfig(),
    hnn.AdditiveConfig(),
    hnn.AdditiveConfig(scale=Scale.FREE),
]
OUTPUTS = [hnn.FixedPointConfig(5), hnn.LearnedOutputConfig(5), hnn.BinaryConfig()]


def network(weight, output):
    folded = hnn.Conv2d(4, 4, 3, bias=False)
    folded.fold(nn.BatchNorm2d(4))
    return nn.Sequential(
        hnn.Identity(output=output),
        hnn.Conv2d(2, 4, 3, padding=1, weight=weight),
        hnn.BatchNorm2d(4, scale=hnn.KHotConfig(6)),
        hnn.ReLU(output=hnn.FixedPointConfig(6, signed=False, learning=Learning.SCALE)),
        hnn.ZeroPad2d(1),
        folded,
        hnn.Hardtanh(),
        hnn.PrecisionGatedConv2d(4, 4, 1),
        hnn.AvgPool2d(3),
        hnn.Flatten(),
        hnn.Linear(16, 3, weight=weight),
    )


@pytest.mark.parametrize("output", OUTPUTS, ids=str)
@pytest.mark.parametrize("weight", WEIGHTS, ids=str)
def test_nothing_stays_behind(weight, output, monkeypatch):
    torch.manual_seed(0)
    model, x = network(weight, output), torch.randn(4, 2, 6, 6)
    model(x)
    model.to("meta")
    monkeypatch.setattr(torch.compiler, "is_compiling", lambda: True)
    with pytest.raises(RuntimeError, match="meta"):
        torch.ones(2, device="meta") + torch.ones(2)
    (model(x.to("meta")).sum() + hnn.LutPrice(model)()).backward()
    learned = {name: p.grad for name, p in model.named_parameters() if p.grad is not None}
    assert {gradient.device.type for gradient in learned.values()} == {"meta"}
    assert {"5.norm.weight", "10.bias"} <= learned.keys()
    assert model.eval()(x.to("meta")).device.type == "meta"


@pytest.mark.parametrize("kind", [hnn.Linear, hnn.Conv1d, hnn.Conv2d])
def test_a_layer_is_made_where_its_twin_would_be(kind):
    sizes = (4, 3) if kind is hnn.Linear else (4, 3, 2)
    weight = hnn.FixedPointConfig(6, per_channel=True)
    layer = kind(*sizes, device="meta", dtype=torch.float64, weight=weight, output=OUTPUTS[0])
    assert layer.weight.dtype is torch.float64
    assert {t.device.type for t in layer.state_dict().values()} == {"meta"}


def test_a_batchnorm_without_statistics_follows_its_layer():
    layer = hnn.Conv2d(2, 3, 1, device="meta", weight=hnn.PowerOfTwoConfig())
    layer.fold(nn.BatchNorm2d(3, affine=False, track_running_stats=False))
    assert {t.device.type for t in layer.state_dict().values()} == {"meta"}
