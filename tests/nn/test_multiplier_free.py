"""Weights without multipliers: values, gradients, and the same integers in file and graph."""

import math

import numpy as np
import pytest
import torch
from torch import nn

import hwgen.nn as hnn
from hwgen import frontend
from hwgen.errors import NumericError
from hwgen.nn import Scale, TernaryMeasure
from hwgen.nn.scale import nearest_exponent

from .qonnx_execution import execute

pytestmark = pytest.mark.torch

CONFIGS = [
    hnn.PowerOfTwoConfig(4),
    hnn.PowerOfTwoConfig(2),
    hnn.ShiftConfig(4),
    hnn.ShiftConfig(2),
    hnn.DenseShiftConfig(3),
    hnn.DenseShiftConfig(2, frac=3),
    hnn.AdditiveConfig(2, alpha=1.0),
    *(hnn.AdditiveConfig(bits) for bits in (3, 4, 5, 6, 7)),
    hnn.AdditiveConfig(4, scale=Scale.FREE),
    *(hnn.TernaryConfig(m, s) for m in TernaryMeasure for s in (Scale.POWER_OF_TWO, Scale.FREE)),
    hnn.BinaryConfig(scale=Scale.POWER_OF_TWO),
    hnn.BinaryConfig(scale=Scale.POWER_OF_TWO, per_channel=False, centred=True),
    hnn.BinaryConfig(scale=Scale.FREE),
    hnn.BinaryConfig(scale=Scale.FREE, per_channel=False),
    hnn.FixedPointConfig(4, per_channel=True),
    hnn.KHotConfig(6, k=1, per_channel=True),
]


def spread_out(layer):
    """Weights of deviation 1: the narrow formats hold nothing of PyTorch's small ones."""
    with torch.no_grad():
        layer.weight.normal_()
        layer.weight_quantizer.restart(layer.weight)
    return layer


def network(weight, activation):
    return nn.Sequential(
        hnn.Identity(output=hnn.FixedPointConfig(5)),
        spread_out(hnn.Linear(9, 6, weight=weight)),
        hnn.BatchNorm1d(6),
        activation(),
        spread_out(hnn.Linear(6, 4, bias=False, weight=weight)),
    )


@pytest.mark.parametrize("activation", [hnn.Sign, hnn.ReLU])
@pytest.mark.parametrize("weight", CONFIGS, ids=str)
def test_file_and_graph_compute_what_the_model_does(weight, activation, tmp_path):
    torch.manual_seed(5)
    model = network(weight, activation)
    x = torch.randn(60, 9)
    model(x)
    path = hnn.export(model, x, tmp_path / "model.onnx")
    model.eval()
    expected = model(x).detach().numpy()
    assert (execute(path, x.numpy()) == expected).all()
    graph = frontend.load(path)
    codes = graph.evaluate(model[0].output_quantizer.codes(x))
    assert (graph.dequantize(codes).astype(np.float32) == expected).all()
    assert len(np.unique(expected)) > 2


@pytest.mark.parametrize("weight", CONFIGS, ids=str)
def test_integer_codes_times_scale_are_the_weights(weight):
    torch.manual_seed(0)
    layer = hnn.Linear(20, 8, weight=weight)
    layer.weight_quantizer(layer.weight)
    layer.eval()
    codes, scale = layer.weight_quantizer.grid(layer.weight)
    assert torch.equal(codes, codes.round())
    assert codes.abs().max() < 2 ** max(1, layer.weight_quantizer.bit_width - 1)
    assert torch.equal((codes * scale).float(), layer.weight_quantizer(layer.weight).detach())


@pytest.mark.parametrize("weight", CONFIGS, ids=str)
def test_training_lowers_the_loss(weight):
    torch.manual_seed(3)
    hidden = spread_out(hnn.Linear(12, 16, weight=weight))
    model = nn.Sequential(hidden, hnn.BatchNorm1d(16), nn.Tanh(), nn.Linear(16, 2))
    x = torch.randn(256, 12)
    labels = (x[:, :6].sum(1) > x[:, 6:].sum(1)).long()
    # Only the first layer learns: a readout alone could lower the loss too.
    model[3].requires_grad_(False)
    optimizer = torch.optim.Adam([p for p in model.parameters() if p.requires_grad], lr=0.02)
    losses = []
    for _ in range(40):
        loss = nn.functional.cross_entropy(model(x), labels)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(float(loss.detach()))
    assert losses[-1] < 0.8 * losses[0]


@pytest.mark.parametrize("bits", [2, 3, 4, 5])
def test_power_of_two_rounds_the_logarithm(bits):
    quantizer = hnn.PowerOfTwoQuantizer(hnn.PowerOfTwoConfig(bits))
    least = 2.0 ** -(2 ** (bits - 1) - 1)
    x = torch.tensor([0.0, 1e-9, 0.7, -0.72, 1.0, 3.0, least, -least])
    y = quantizer(x).tolist()
    second = 0.5 if bits > 1 else 1.0
    assert y == [least, least, second, -1.0, 1.0, 1.0, least, -least]


def test_nearest_exponent_switches_at_the_square_root_of_two():
    root = np.float32(math.sqrt(2.0))
    around = torch.tensor([np.nextafter(root, np.float32(0)), np.nextafter(root, np.float32(2))])
    assert nearest_exponent(around).tolist() == [0.0, 1.0]
    # 1.45 is nearer to 1 than to 2, but not in the logarithm.
    assert nearest_exponent(torch.tensor([1.45])).tolist() == [1.0]


def test_shift_and_sign_learn_by_the_published_gradients():
    layer = hnn.Linear(3, 1, bias=False, weight=hnn.ShiftConfig(4))
    quantizer = layer.weight_quantizer
    with torch.no_grad():
        quantizer.shift.copy_(torch.tensor([[-1.2, -2.6, 5.0]]))
        quantizer.sign.copy_(torch.tensor([[0.8, -0.7, 0.5]]))
    value = quantizer(layer.weight)
    assert value.tolist() == [[0.5, -0.125, 0.0]]
    value.backward(torch.tensor([[2.0, 3.0, 4.0]]))
    expected = [[2 * 0.5 * math.log(2), 3 * -0.125 * math.log(2), 0.0]]
    assert np.allclose(quantizer.shift.grad, expected)
    assert quantizer.sign.grad.tolist() == [[2.0, 3.0, 4.0]]
    assert not layer.weight.requires_grad


@pytest.mark.parametrize(("bits", "smallest"), [(2, 0), (3, -2), (4, -6), (5, -14)])
def test_shift_ranges_are_the_published_ones(bits, smallest):
    layer = hnn.Linear(2, 1, bias=False, weight=hnn.ShiftConfig(bits))
    with torch.no_grad():
        layer.weight_quantizer.shift.fill_(-99.0)
        layer.weight_quantizer.sign.fill_(1.0)
    assert layer.weight_quantizer(layer.weight).tolist() == [[2.0**smallest] * 2]


def test_dense_shift_is_never_zero_and_follows_its_switches():
    layer = hnn.Linear(4, 1, bias=False, weight=hnn.DenseShiftConfig(3, frac=0))
    quantizer = layer.weight_quantizer
    with torch.no_grad():
        layer.weight.copy_(torch.tensor([[1.0, -1.0, 0.0, 1.0]]))
        quantizer.switches.copy_(
            torch.tensor([[[1.0, -1, 1, 1]], [[1.0, 1, -1, 1]], [[1.0, 1, 1, -1]]])
        )
    value = quantizer(layer.weight)
    # p: 3; 0 -> 1 -> 2; 1 -> 0 -> 1; 1 -> 2 -> 0. sign(0) = +1.
    assert value.tolist() == [[8.0, -4.0, 2.0, 1.0]]
    value.sum().backward()
    surrogate = [[2.0, math.sqrt(3.0), math.sqrt(2.0), 1.0]]  # sqrt(p + 1), for the sign
    assert np.allclose(layer.weight.grad, surrogate)
    # d sqrt(p + 1) / d t3 = (p2 + 1) * sign / (2 sqrt(p + 1)), p2 before the last switch
    last = [[3 / 4, -2 / (2 * math.sqrt(3)), 1 / (2 * math.sqrt(2)), 3 / 2]]
    assert np.allclose(quantizer.switches.grad[2], last)


def test_dense_shift_starts_near_the_float_weights():
    torch.manual_seed(0)
    layer = hnn.Linear(50, 20, bias=False, weight=hnn.DenseShiftConfig(4))
    value = layer.weight_quantizer(layer.weight)
    ratio = (value / layer.weight).detach()
    inside = layer.weight.abs() > value.abs().min()
    assert (ratio[inside] >= 1 / math.sqrt(2) - 1e-5).all()
    assert (ratio[inside] <= math.sqrt(2) + 1e-5).all()


@pytest.mark.parametrize(
    ("bits", "levels"),
    [
        (2, [0, 1]),
        (3, [0, 1, 2, 4]),
        (4, [0, 1, 2, 3, 4, 6, 8, 10]),
        (5, [0, 1, 2, 3, 4, 6, 8, 9, 12, 16, 18, 24, 32, 33, 36, 48]),
    ],
)
def test_additive_levels_are_the_published_ones(bits, levels):
    assert hnn.additive_levels(bits) == levels


@pytest.mark.parametrize("bits", [6, 7])
def test_additive_levels_double_with_each_bit(bits):
    assert len(hnn.additive_levels(bits)) == 2 ** (bits - 1)


def test_additive_weights_take_the_nearest_level_of_the_normalized_ones():
    torch.manual_seed(2)
    w = torch.randn(40, 10)
    quantizer = hnn.AdditiveQuantizer(hnn.AdditiveConfig(4, scale=Scale.FREE))
    levels = np.array(hnn.additive_levels(4)) / 10 * 3.0
    normal = ((w - w.mean()) / w.std()).numpy()
    nearest = levels[np.abs(np.abs(normal)[..., None] - levels).argmin(-1)] * np.sign(normal)
    assert np.allclose(quantizer(w).detach().numpy(), nearest, atol=1e-6)


def test_additive_clip_learns_by_its_formula():
    torch.manual_seed(2)
    w = torch.randn(30, requires_grad=True)
    quantizer = hnn.AdditiveQuantizer(hnn.AdditiveConfig(4, scale=Scale.FREE, alpha=1.0))
    value = quantizer(w)
    value.sum().backward()
    normal = ((w - w.mean()) / w.std()).detach()
    slope = torch.where(normal.abs() <= 1, value.detach() - normal, normal.sign())
    assert float(quantizer.alpha.grad) == pytest.approx(float(slope.sum()), rel=1e-4)


def test_ternary_mean_and_median_use_their_thresholds():
    # Magnitudes 1, 2, 3, 10: mean 4, median 2, the LOWER of 2 and 3.
    w = torch.tensor([[1.0, -2.0, 3.0, -10.0]])
    mean = hnn.TernaryQuantizer(hnn.TernaryConfig(TernaryMeasure.MEAN, Scale.FREE))
    median = hnn.TernaryQuantizer(hnn.TernaryConfig(TernaryMeasure.MEDIAN, Scale.FREE))
    assert mean(w).tolist() == [[0.0, 0.0, 4.0, -4.0]]  # -2 / 4 is a tie and rounds to even
    assert median(w).tolist() == [[0.0, -2.0, 2.0, -2.0]]
    shift = hnn.TernaryQuantizer(hnn.TernaryConfig(TernaryMeasure.MEAN, Scale.POWER_OF_TWO))
    assert shift(torch.tensor([3.0, 3.1])).tolist() == [4.0, 4.0]


def test_ternary_gradient_passes_straight_through():
    w = torch.randn(7, requires_grad=True)
    hnn.TernaryQuantizer(hnn.TernaryConfig())(w).backward(torch.arange(7.0))
    assert w.grad.tolist() == list(range(7))


def test_binary_scales_are_mean_magnitudes():
    w = torch.tensor([[1.0, -2.0, 0.0], [3.0, 3.0, -3.0]])
    free = hnn.BinaryQuantizer(hnn.BinaryConfig(scale=Scale.FREE), channels=2)
    assert free(w).tolist() == [[1.0, -1.0, 1.0], [3.0, 3.0, -3.0]]
    shift = hnn.BinaryQuantizer(hnn.BinaryConfig(scale=Scale.POWER_OF_TWO), channels=2)
    assert shift(w).tolist() == [[1.0, -1.0, 1.0], [4.0, 4.0, -4.0]]
    whole = hnn.BinaryConfig(scale=Scale.FREE, per_channel=False)
    assert hnn.BinaryQuantizer(whole, channels=2)(w)[0].tolist() == [2.0, -2.0, 2.0]


@pytest.mark.parametrize(
    ("kind", "settings", "message"),
    [
        (
            hnn.PowerOfTwoConfig,
            {"bit_width": 6},
            r"PowerOfTwoConfig: bit_width is 6, expected 2..5",
        ),
        (hnn.ShiftConfig, {"bit_width": 1}, "ShiftConfig: bit_width is 1"),
        (hnn.DenseShiftConfig, {"bit_width": 6}, "DenseShiftConfig: bit_width is 6"),
        (hnn.AdditiveConfig, {"bit_width": 8}, r"AdditiveConfig: bit_width is 8, expected 2..7"),
        (hnn.AdditiveConfig, {"scale": Scale.ONE}, "AdditiveConfig: scale is ONE"),
        (hnn.TernaryConfig, {"scale": Scale.ONE}, "TernaryConfig: scale is ONE"),
    ],
)
def test_bad_settings_are_named(kind, settings, message):
    with pytest.raises(NumericError, match=message):
        kind(**settings)
