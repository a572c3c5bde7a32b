"""BatchNorm inside the weights: as the two layers apart in float, and exact in file and graph."""

import copy

import numpy as np
import pytest
import torch
from torch import nn

import hwgen.nn as hnn
from hwgen.errors import ExportError, NumericError
from hwgen.nn import FixedPointConfig, LayerConfig

from .equality import assert_equal_everywhere

pytestmark = pytest.mark.torch

FINE = FixedPointConfig(24)
PAIRS = {
    "linear": (lambda kind, **k: kind.Linear(5, 4, **k), nn.BatchNorm1d, (64, 5)),
    "conv1d": (lambda kind, **k: kind.Conv1d(3, 4, 3, padding=1, **k), nn.BatchNorm1d, (32, 3, 6)),
    "conv2d": (lambda kind, **k: kind.Conv2d(3, 4, 3, groups=1, **k), nn.BatchNorm2d, (8, 3, 6, 6)),
}


@pytest.mark.parametrize("affine", [True, False])
@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("pair", PAIRS)
def test_a_fine_folded_layer_is_the_two_apart(pair, bias, affine):
    torch.manual_seed(0)
    make, norm, shape = PAIRS[pair]
    # Binary points are given: running statistics may be far from those of the first batch.
    fine = FixedPointConfig(24, frac=19)
    apart = nn.Sequential(make(nn, bias=bias), norm(4, affine=affine, momentum=0.3))
    for _ in range(5):
        apart(torch.randn(shape) * 2 + 1)  # statistics from before
    if affine:
        nn.init.uniform_(apart[1].weight, -2, 2)
    folded = make(hnn, bias=bias, weight=fine)
    folded.load_state_dict(apart[0].state_dict(), strict=False)
    folded.fold(apart[1], fine)
    assert folded.bias is None
    x = torch.randn(shape)
    assert torch.allclose(folded(x), apart(x), atol=2e-3)
    assert torch.allclose(folded.eval()(x), apart.eval()(x), atol=2e-3)
    assert torch.allclose(folded.norm.running_var, apart[1].running_var, rtol=1e-4)
    upstream = torch.randn(apart(x).shape)
    (folded.train()(x) * upstream).sum().backward()
    (apart.train()(x) * upstream).sum().backward()
    expected = apart[0].weight.grad
    assert torch.allclose(folded.weight.grad, expected, atol=1e-2 * float(expected.abs().max()))
    if affine:
        grad = apart[1].weight.grad
        assert torch.allclose(folded.norm.weight.grad, grad, rtol=1e-2, atol=1e-2)


@pytest.mark.parametrize(
    "weight",
    [
        FixedPointConfig(5),
        FixedPointConfig(4, per_channel=True),
        hnn.KHotConfig(6),
        hnn.PowerOfTwoConfig(4),
        hnn.LearnedWidthConfig(5),
        hnn.TernaryConfig(scale=hnn.Scale.FREE),
    ],
    ids=str,
)
@pytest.mark.parametrize("pair", PAIRS)
def test_file_computes_what_the_model_does(pair, weight, tmp_path):
    torch.manual_seed(1)
    make, norm, shape = PAIRS[pair]
    model = nn.Sequential(
        hnn.Identity(output=FixedPointConfig(4, frac=2)),
        make(hnn, bias=False, weight=weight),
        hnn.ReLU(output=FixedPointConfig(5, signed=False)),
    )
    model[1].fold(norm(4))
    x = torch.randn(shape)
    for _ in range(20):
        model(x)
    expected, _, _ = assert_equal_everywhere(model, x, tmp_path)
    assert len(np.unique(expected)) > 4


class Network(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv1 = nn.Conv2d(2, 4, 3, padding=1)
        self.bn1 = nn.BatchNorm2d(4)
        self.conv2 = nn.Conv2d(4, 4, 3, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(4)
        self.fc = nn.Linear(64, 3)

    def forward(self, x):
        x = torch.relu(self.bn1(self.conv1(x)))
        x = torch.relu(self.bn2(self.conv2(x)) + x)
        return self.fc(torch.flatten(x, 1))


def trained_network():
    torch.manual_seed(2)
    model = Network()
    for _ in range(10):
        model(torch.randn(16, 2, 4, 4) * 3)
    return model.eval()


def test_prepare_folds_where_the_config_says_so(tmp_path):
    model = trained_network()
    x = torch.randn(16, 2, 4, 4)
    with torch.no_grad():
        expected = model(x)
    fold = LayerConfig(weight=FINE, bias=FINE, output=FINE, fold_batchnorm=True)
    everywhere = hnn.prepare(model, fold, input=FINE)
    assert not any(isinstance(m, nn.BatchNorm2d) for m in everywhere.modules())
    some = hnn.prepare(model, LayerConfig(FINE, FINE, FINE, FINE), {"conv2": fold}, input=FINE)
    assert some.conv1.norm is None
    assert isinstance(some.bn1, hnn.BatchNorm2d)
    assert not hasattr(some, "bn2")
    for twin in (everywhere, some):
        hnn.calibrate(twin, [x])
        assert torch.allclose(twin(x), expected, atol=1e-3)
    narrow = hnn.prepare(model, LayerConfig(fold_batchnorm=True))
    hnn.calibrate(narrow, [x])
    hnn.correct_biases(narrow, [x])
    assert_equal_everywhere(narrow, x, tmp_path)
    restored = hnn.prepare(Network(), LayerConfig(fold_batchnorm=True)).eval()
    restored.load_state_dict(narrow.state_dict())
    assert torch.equal(restored(x), narrow(x))
    assert torch.equal(copy.deepcopy(narrow)(x), narrow(x))
    assert "conv1" in hnn.summary(narrow)


def test_what_cannot_be_folded_is_named():
    with pytest.raises(
        NumericError, match=r"Linear\.fold: the BatchNorm has 4 channels, expected 3"
    ):
        hnn.Linear(2, 3).fold(nn.BatchNorm1d(4))
    binary = hnn.Linear(2, 3, weight=hnn.BinaryConfig())
    with pytest.raises(NumericError, match="BinaryQuantizer do not carry a factor"):
        binary.fold(nn.BatchNorm1d(3))
    config = LayerConfig(hnn.BinaryConfig(), fold_batchnorm=True)
    with pytest.raises(ExportError, match=r"(?s)conv1: Conv2d\.fold: .*conv2: Conv2d\.fold: "):
        hnn.prepare(trained_network(), config)
    layer = hnn.Linear(2, 3)
    layer.fold(nn.BatchNorm1d(3))
    with pytest.raises(NumericError, match="folded BatchNorm: a training batch needs at least 2"):
        layer(torch.zeros(1, 2))
