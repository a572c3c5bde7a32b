"""Input encoders: thermometers from integer pixels, ties included, and pixels as they are."""

import pytest
import torch
from torch import nn

import hwgen.nn as hnn
from hwgen.nn.encoders import thermometer_levels

from .qonnx_execution import execute

pytestmark = pytest.mark.torch


def assert_file_equals_model(model, x, folder):
    path = hnn.export(model, x, folder / "model.onnx")
    assert (execute(path, x.numpy()) == model.eval()(x).detach().numpy()).all()


def test_thermometer_levels_break_ties_to_even():
    levels = thermometer_levels(8)
    assert levels == [round(p / 8) for p in range(256)]  # exact in binary: p / 8 has no error
    assert (levels[0], levels[255], len(set(levels))) == (0, 32, 33)
    half_up = [(p + 4) // 8 for p in range(256)]
    differing = [p for p in range(256) if levels[p] != half_up[p]]
    assert differing == [p for p in range(256) if p % 16 == 4]


@pytest.mark.parametrize("resolution", [5, 8, 51, 64])
def test_thermometer_counts_and_exports(resolution, tmp_path):
    encoder = hnn.Thermometer(2, resolution)
    x = torch.arange(512).reshape(1, 2, 16, 16).float() % 256
    planes = encoder(x)
    assert planes.shape == (1, 2 * encoder.planes, 16, 16)
    counts = (planes.reshape(1, 2, encoder.planes, 16, 16) > 0).sum(2)
    levels = torch.tensor(thermometer_levels(resolution))
    assert torch.equal(counts, levels[x.long()])
    layer = hnn.Conv2d(2 * encoder.planes, 3, 3, padding=1, weight=hnn.BinaryConfig())
    model = nn.Sequential(encoder, layer)
    model(x)
    assert_file_equals_model(model, x, tmp_path)
    assert_file_equals_model(nn.Sequential(encoder), x, tmp_path)


def test_pixels_are_integers_as_they_are(tmp_path):
    x = torch.arange(256.0).reshape(4, 64)
    assert torch.equal(hnn.Pixels()(x), x)
    model = nn.Sequential(hnn.Pixels(), hnn.Linear(64, 3))
    model(x)
    assert_file_equals_model(model, x, tmp_path)
