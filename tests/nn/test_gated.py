"""FracBNN's two-bit activations and gates: formulas, gradients, and equality in file and graph."""

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

import hwgen.nn as hnn
from hwgen.errors import ExportError, NumericError
from hwgen.nn.gated import two_bit

from .equality import assert_equal_everywhere

pytestmark = pytest.mark.torch

INPUT = hnn.FixedPointConfig(6, frac=4)


def published(x, weight, threshold, **convolution):
    """The layer as its paper and code have it, in real numbers; a third of ours."""
    x = x.clamp(-1, 1)
    q = torch.round((x + 1) * 1.5) * (2 / 3) - 1
    code = torch.round((x + 1) * 1.5)
    high = torch.where(code >= 2, 1.0, -1.0)
    low = 3 * q - 2 * high
    signs = torch.where(weight >= 0, 1.0, -1.0)
    coarse = 2 / 3 * F.conv2d(high, signs, **convolution)
    gate = torch.sigmoid(5 * (coarse - threshold.reshape(-1, 1, 1))) > 0.5
    return coarse + gate * F.conv2d(low, signs, **convolution) / 3, gate


@pytest.mark.parametrize("training", [True, False])
def test_values_are_three_times_the_published_ones(training):
    torch.manual_seed(0)
    layer = hnn.PrecisionGatedConv2d(4, 6, 3, padding=1).train(training)
    with torch.no_grad():
        layer.threshold.copy_(torch.randn(6) * 3)  # no whole thirds: comparisons are not close
    x = torch.randn(5, 4, 6, 6)
    expected, gate = published(x, layer.weight, layer.threshold, padding=1)
    assert torch.equal(layer(x).round(), (3 * expected).round())
    assert torch.allclose(layer(x), 3 * expected, atol=1e-4)
    assert torch.equal(layer.gates(x), gate)
    assert 0.1 < gate.float().mean() < 0.9


def test_the_comparison_with_the_threshold_is_strict():
    layer = hnn.PrecisionGatedConv2d(1, 1, 1)
    with torch.no_grad():
        layer.weight.fill_(1)
        layer.threshold.fill_(2 / 3)  # 2 M = 2 is not above it
    x = torch.tensor([1.0, 0.2]).reshape(1, 1, 1, 2)
    assert not layer.gates(x).any()
    with torch.no_grad():
        layer.threshold.fill_(0.66)
    assert layer.gates(x).all()
    assert layer(x).flatten().tolist() == [3.0, 1.0]


def test_ties_of_the_two_bits_are_the_published_ones():
    x = torch.tensor([-1.0, -2 / 3 - 1e-3, -2 / 3 + 1e-3, -1e-6, 0.0, 2 / 3 - 1e-3, 2 / 3 + 1e-3])
    assert two_bit(x).tolist() == [-3, -3, -1, -1, 1, 1, 3]
    assert two_bit(torch.tensor([3.0, -3.0])).tolist() == [3, -3]


def test_gradients_are_the_published_ones():
    torch.manual_seed(1)
    layer = hnn.PrecisionGatedConv2d(3, 2, 3)
    x = torch.randn(2, 3, 5, 5, requires_grad=True)
    upstream = torch.randn(2, 2, 3, 3)
    layer(x).backward(upstream)
    signs = torch.where(layer.weight >= 0, 1.0, -1.0)
    with torch.no_grad():
        gate = layer.gates(x)
        high = torch.where(two_bit(x) >= 0, 2.0, -2.0)
        coarse = F.conv2d(high, signs)
        low = F.conv2d(two_bit(x), signs) - coarse
        soft = torch.sigmoid(5 * (coarse / 3 + 1))
        to_gate = upstream * low * gate * 5 * soft * (1 - soft)
    assert torch.allclose(layer.threshold.grad, -to_gate.sum((0, 2, 3)), rtol=1e-3, atol=1e-4)
    through = F.conv_transpose2d(upstream + to_gate / 3, signs)
    expected = 3 * through * (x.abs() < 1)
    assert torch.allclose(x.grad, expected.detach(), rtol=1e-3, atol=1e-4)


@settings(max_examples=12)
@given(
    seed=st.integers(0, 2**32 - 1),
    groups=st.sampled_from([1, 2]),
    kernel=st.integers(1, 3),
    stride=st.integers(1, 2),
    padded=st.booleans(),
    output=st.sampled_from([None, hnn.FixedPointConfig(4)]),
    followed=st.booleans(),
)
def test_file_and_graph_compute_what_the_model_does(
    tmp_path_factory, seed, groups, kernel, stride, padded, output, followed
):
    torch.manual_seed(seed)
    padding = (kernel - 1) // 2 if padded else 0
    layer = hnn.PrecisionGatedConv2d(
        2 * groups, 2 * groups, kernel, stride, padding, groups=groups, output=output
    )
    with torch.no_grad():
        layer.threshold.normal_(0, 2)
    layers = [hnn.Identity(output=INPUT), layer]
    if followed:
        layers += [hnn.BatchNorm2d(2 * groups), hnn.RPReLU(2 * groups)]
    model = nn.Sequential(*layers)
    x = torch.randn(3, 2 * groups, 5, 6)
    model(x)
    assert_equal_everywhere(model, x, tmp_path_factory.mktemp("gated"))


def test_penalty_draws_thresholds_to_its_target():
    model = nn.Sequential(hnn.PrecisionGatedConv2d(1, 3, 1), hnn.PrecisionGatedConv2d(3, 2, 1))
    assert hnn.gate_penalty(model, 1.0, 0.5).item() == 0.5 * 5 * 4
    assert hnn.gate_penalty(nn.Linear(2, 2), 1.0).item() == 0
    hnn.gate_penalty(model, 1.0, 0.5).backward()
    assert model[0].threshold.grad.tolist() == [-2.0] * 3


def test_price_is_that_of_one_bit_and_of_both():
    model = nn.Sequential(
        hnn.Identity(output=INPUT),
        hnn.BatchNorm2d(2),
        hnn.PrecisionGatedConv2d(2, 3, 1),  # behind sums: its two bits are its own
    )
    assert hnn.LutPrice(model)().item() == pytest.approx(6 * 2.6 + 6 * 2.4 * 4)


def test_wrong_use_is_named(tmp_path):
    with pytest.raises(NumericError, match="scale is FREE, expected ONE"):
        hnn.PrecisionGatedConv2d(1, 1, 1, weight=hnn.BinaryConfig(scale=hnn.Scale.FREE))
    model = nn.Sequential(hnn.PrecisionGatedConv2d(1, 1, 1))
    with pytest.raises(ExportError, match=r"0: expected quantized numbers.*raw input"):
        hnn.export(model, torch.zeros(1, 1, 2, 2), tmp_path / "model.onnx")
    model = nn.Sequential(hnn.Identity(output=INPUT), hnn.PrecisionGatedConv2d(1, 1, 1))
    with pytest.raises(ExportError, match=r"expected input of shape \(N, 1, H, W\), got \(N, 3\)"):
        hnn.export(model, torch.zeros(1, 3), tmp_path / "model.onnx")
