"""Known ways in which a trained model and its hardware come to differ, one test each.

The numbers are those of the list of twelve that hwgen was planned with; 7 and 12 (multipliers of
2**31, bit order of packed words) concern hardware alone: nothing in hwgen.nn does either.
"""

import numpy as np
import onnx
import pytest
import torch
import torch.nn.functional as F
from torch import nn

import hwgen.nn as hnn
from hwgen import frontend
from hwgen.errors import ExportError, NumericError
from hwgen.nn import FixedPointConfig
from hwgen.nn.encoders import thermometer_levels
from hwgen.nn.rounding import round_tensor
from hwgen.numeric import Overflow, Rounding

from .qonnx_execution import execute

pytestmark = pytest.mark.torch


def test_1_sign_of_zero_is_plus_one_in_layer_file_and_graph(tmp_path):
    x = torch.tensor([[0.0, -0.0, 0.25, -0.25]])
    model = nn.Sequential(
        hnn.Identity(output=FixedPointConfig(4, frac=2)),
        hnn.Sign(),
        hnn.Linear(4, 4, bias=False, weight=hnn.BinaryConfig()),
    )
    with torch.no_grad():
        model[2].weight.copy_(torch.tensor([[0.0, -1, -1, -1]] * 4))  # a zero among the weights
    path = hnn.export(model, x, tmp_path / "model.onnx")
    expected = (1 - 1 - 1 + 1) * np.ones((1, 4))
    assert (model.eval()(x).detach().numpy() == expected).all()
    assert (execute(path, x.numpy()) == expected).all()
    codes = frontend.load(path).evaluate(np.array([[0, 0, 1, -1]]))
    assert codes.tolist() == expected.tolist()


def test_2_zero_padding_after_sign_is_a_third_value(tmp_path):
    torch.manual_seed(0)
    conv = hnn.Conv2d(2, 1, 3, padding=1, bias=False, weight=hnn.BinaryConfig())
    model = nn.Sequential(hnn.Sign(), conv).eval()
    x = torch.randn(1, 2, 4, 4)
    y = model(x)
    signs, weights = torch.where(x >= 0, 1.0, -1.0), torch.where(conv.weight >= 0, 1.0, -1.0)
    # Taps outside the map add nothing; padding with -1 or +1 would give other sums.
    assert torch.equal(y, F.conv2d(signs, weights, padding=1))
    for value in (-1.0, 1.0):
        assert not torch.equal(y, F.conv2d(F.pad(signs, (1, 1, 1, 1), value=value), weights))
    # A corner has 4 of 9 taps: its sum has the parity of 2 * 4, not of 2 * 9 numbers alone.
    taps = F.conv2d(torch.ones_like(signs), torch.ones_like(weights), padding=1)
    assert torch.equal(torch.remainder(y + taps, 2), torch.zeros_like(y))
    path = hnn.export(model, x, tmp_path / "model.onnx")
    assert (execute(path, x.numpy()) == y.detach().numpy()).all()


def test_3_the_default_breaks_ties_to_even_and_the_others_do_not():
    ties = torch.tensor([-2.5, -1.5, -0.5, 0.5, 1.5, 2.5])
    results = {
        Rounding.RND_CONV: [-2, -2, 0, 0, 2, 2],  # torch, ONNX Round, QuantizeLinear
        Rounding.RND: [-2, -1, 0, 1, 2, 3],  # ap_fixed's AP_RND, floor(x + 0.5)
        Rounding.RND_INF: [-3, -2, -1, 1, 2, 3],  # round() of C
    }
    for mode, expected in results.items():
        assert round_tensor(ties, mode).tolist() == expected
    assert FixedPointConfig().rounding is Rounding.RND_CONV
    assert torch.equal(hnn.FixedPointQuantizer(FixedPointConfig(8, frac=0))(ties), ties.round())


def test_4_the_largest_power_of_two_saturates():
    # 2**(w-1) is not a code: the value meant to be the largest one comes out smaller.
    quantizer = hnn.FixedPointQuantizer(FixedPointConfig(8, frac=7))
    assert quantizer(torch.tensor([1.0, -1.0])).tolist() == [127 / 128, -1.0]
    # Rounding comes first: 7.5 rounds to 8 and then saturates, in every mode that rounds it up.
    nearly = hnn.FixedPointQuantizer(FixedPointConfig(4, frac=0, rounding=Rounding.RND_CONV))
    assert nearly(torch.tensor([7.5])).item() == 7.0
    wrapping = hnn.FixedPointQuantizer(FixedPointConfig(4, frac=0, overflow=Overflow.WRAP))
    assert wrapping(torch.tensor([7.5])).item() == -8.0


def test_5_fusing_two_roundings_into_one_changes_bits():
    torch.manual_seed(1)
    grid = FixedPointConfig(8, frac=2)
    norm = hnn.BatchNorm1d(6, output=grid)
    rounded_twice = nn.Sequential(norm, hnn.PReLU(slope=FixedPointConfig(8, frac=5), output=grid))
    x = torch.randn(64, 6)
    rounded_twice(x)
    rounded_twice.eval()
    twice = rounded_twice(x)
    norm.output_quantizer = None
    once = rounded_twice(x)
    # So a model is exported with the casts it was trained with, and the exporter fuses nothing.
    assert (twice != once).any()
    assert (twice - once).abs().max() <= 0.5


def test_6_sums_beyond_24_bits_are_exact_in_eval_and_refused_by_the_exporter(tmp_path):
    wide = FixedPointConfig(16, frac=0)
    layer = hnn.Linear(3, 1, bias=False, weight=wide)
    with torch.no_grad():
        layer.weight.copy_(torch.tensor([[16385.0, 1.0, -16385.0]]))
    model = nn.Sequential(hnn.Identity(output=wide), layer).eval()
    x = torch.tensor([[16385.0, 1.0, 16385.0]])
    assert model(x).item() == 1.0  # float32: 268468225 rounds away the 1
    assert F.linear(x, torch.tensor([[16385.0, 1.0, 0.0]])).item() != 16385.0**2 + 1
    with pytest.raises(ExportError, match=r"at most 2\*\*24"):
        hnn.export(model, x, tmp_path / "model.onnx")


def test_8_the_comparison_at_the_threshold_itself_is_not_strict():
    # Sign is x >= 0 and a thermometer plane is pixel >= threshold: equality counts as +1.
    encoder = hnn.Thermometer(1)
    at = encoder.thresholds.float()
    planes = encoder(at.reshape(1, 1, -1))
    assert torch.equal(planes[0].diagonal(), torch.ones(encoder.planes))
    below = encoder((at - 1).reshape(1, 1, -1))
    assert torch.equal(below[0].diagonal(), -torch.ones(encoder.planes))


def test_9_thermometer_ties_come_from_integers_not_from_normalized_pixels():
    levels = thermometer_levels(8)
    ties = [4, 12, 20, 28, 36, 252]
    assert [levels[p] for p in ties] == [0, 2, 2, 4, 4, 32]  # to even
    # The round trip through ImageNet's normalization flips some of them.
    mean, deviation = np.float32(0.485), np.float32(0.229)
    pixels = np.arange(256, dtype=np.float32)
    there = (pixels / np.float32(255) - mean) / deviation
    back = (there * deviation + mean) * np.float32(255)
    flipped = np.flatnonzero(np.round(back / np.float32(8)).astype(int) != np.array(levels))
    assert set(flipped) <= {p for p in range(256) if p % 8 == 4}
    assert len(flipped) > 0


def test_10_no_negative_zero_and_no_nan_reaches_the_file(tmp_path):
    layer = hnn.Conv2d(1, 2, 1, weight=FixedPointConfig(4, frac=0))
    with torch.no_grad():
        layer.weight.copy_(torch.tensor([-0.1, 3.0]).reshape(2, 1, 1, 1))
        layer.bias.copy_(torch.tensor([-0.0, -1e-9]))
    model = nn.Sequential(hnn.Identity(output=FixedPointConfig(4, frac=0)), layer)
    x = torch.zeros(1, 1, 2, 2)
    model(x)
    written = onnx.load(hnn.export(model, x, tmp_path / "model.onnx"))
    for tensor in written.graph.initializer:
        values = onnx.numpy_helper.to_array(tensor)
        assert not (np.signbit(values) & (values == 0)).any(), tensor.name
    with torch.no_grad():
        layer.bias[0] = float("nan")
    with pytest.raises(ExportError, match=r"1\.bias: expected finite numbers, got 1 of 2 NaN"):
        hnn.export(model, x, tmp_path / "nan.onnx")
    with pytest.raises(NumericError, match="NaN or infinity"):
        hnn.FixedPointQuantizer(FixedPointConfig())(torch.tensor([float("inf")]))


@pytest.mark.parametrize("rounding", [Rounding.RND_CONV, Rounding.TRN, Rounding.RND_INF])
def test_11_an_average_of_four_is_a_shift_that_rounds_once(rounding):
    pool = hnn.AvgPool2d(2, output=FixedPointConfig(8, frac=1, rounding=rounding))
    codes = torch.randint(-40, 40, (50, 1, 2, 2), generator=torch.Generator().manual_seed(2))
    averages = pool(codes.float() / 2).flatten() * 2
    sums = codes.sum((1, 2, 3)).numpy()  # two bits more than the codes
    exact = {
        Rounding.TRN: np.floor(sums / 4),
        Rounding.RND_CONV: np.round(sums / 4),
        Rounding.RND_INF: np.sign(sums) * np.floor(np.abs(sums) / 4 + 0.5),
    }[rounding]
    assert averages.tolist() == exact.tolist()
