"""Bias correction: channels are right on average, as far as the bias can say it."""

import pytest
import torch
from torch import nn

import hwgen.nn as hnn
from hwgen.errors import NumericError
from hwgen.nn import FixedPointConfig, LayerConfig

pytestmark = pytest.mark.torch

BIAS = FixedPointConfig(12)


def twin_and_batches(layer, shape, weight):
    torch.manual_seed(0)
    twin = hnn.prepare(layer, LayerConfig(weight, BIAS), input=FixedPointConfig(12))
    batches = [torch.rand(shape) + 0.5 for _ in range(3)]  # far from zero on average
    hnn.calibrate(twin, batches)
    return twin.eval(), batches


def average_error(layer, twin, batches):
    with torch.no_grad():
        errors = torch.cat([twin(x) - layer(x) for x in batches])
    return errors.flatten(2).mean((0, 2)) if errors.dim() > 2 else errors.mean(0)


@pytest.mark.parametrize(
    ("layer", "shape"),
    [
        (nn.Linear(20, 5), (40, 20)),
        (nn.Conv1d(3, 5, 3), (9, 3, 8)),
        (nn.Conv2d(3, 5, 3), (4, 3, 6, 6)),
    ],
)
@pytest.mark.parametrize(
    "weight", [FixedPointConfig(3), hnn.KHotConfig(4, k=1), hnn.PowerOfTwoConfig(4)], ids=str
)
def test_channels_become_right_on_average(layer, shape, weight):
    twin, batches = twin_and_batches(layer, shape, weight)
    before = average_error(layer, twin, batches).abs().max()
    hnn.correct_biases(twin, batches)
    after = average_error(layer, twin, batches).abs().max()
    assert after < 0.1 * before
    assert after < 5e-3
    assert not twin.training


def test_other_weights_and_missing_biases_are_left_alone():
    layer = nn.Linear(6, 3)
    twin, batches = twin_and_batches(layer, (8, 6), hnn.AdditiveConfig())
    hnn.correct_biases(twin, batches)
    assert torch.equal(twin.get_submodule("0").bias, layer.bias)
    bare = nn.Sequential(hnn.Linear(6, 3, bias=False))
    bare(batches[0])
    hnn.correct_biases(bare, batches)


def test_without_data_nothing_is_corrected():
    twin, _ = twin_and_batches(nn.Linear(6, 3), (8, 6), FixedPointConfig(4))
    with pytest.raises(NumericError, match="no batches"):
        hnn.correct_biases(twin, [])
