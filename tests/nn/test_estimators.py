"""Binary estimators: the table's values, the schedules, the progress that `Schedule` sets."""

import copy
import math

import pytest
import torch
from torch import nn

import hwgen.nn as hnn
from hwgen.errors import NumericError
from hwgen.nn import Estimator
from hwgen.nn.estimators import BIPER_FREQUENCY, SLOPES, reste_exponent

pytestmark = pytest.mark.torch


def slope(estimator, x, progress=1.0):
    sign = hnn.Sign(estimator)
    sign.output_quantizer.progress = progress
    x = torch.tensor(x, requires_grad=True)
    sign(x).sum().backward()
    return [round(g, 4) for g in x.grad.tolist()]


def test_every_estimator_has_a_slope():
    assert set(SLOPES) == set(Estimator)


@pytest.mark.parametrize("estimator", list(Estimator))
def test_forward_is_the_sign_whatever_the_estimator(estimator):
    x = torch.tensor([-2.0, -1e-30, -0.0, 0.0, 1e-30, 2.0])
    assert hnn.Sign(estimator)(x).tolist() == [-1, -1, 1, 1, 1, 1]


@pytest.mark.parametrize(
    ("estimator", "progress", "x", "expected"),
    [
        (Estimator.STE, 0.0, [-9.0, 0.0, 9.0], [1.0, 1.0, 1.0]),
        (Estimator.CLIPPED_STE, 0.0, [-1.01, -1.0, 0.0, 1.0, 1.01], [0, 1, 1, 1, 0]),
        (Estimator.APPROX_SIGN, 0.0, [-1.5, -0.75, 0.0, 0.25, 1.0], [0, 0.5, 2, 1.5, 0]),
        (Estimator.BIPER, 0.0, [-1.5, -0.75, 0.0, 0.25, 1.0], [0, 0.5, 2, 1.5, 0]),
        # ReSTE at the start is the STE clipped at 1.5.
        (Estimator.RESTE, 0.0, [0.0, 0.05, 0.3, -1.5, 1.51], [1, 1, 1, 1, 0]),
        (Estimator.RESTE, 1.0, [0.0, 0.05, -0.1], [4.6416, 4.6416, 4.6416]),
        (Estimator.RESTE, 1.0, [0.5, -0.5, 1.0, 1.6], [0.5291, 0.5291, 0.3333, 0]),
    ],
)
def test_slopes_are_those_of_the_table(estimator, progress, x, expected):
    assert slope(estimator, x, progress) == expected


@pytest.mark.parametrize("progress", [0.0, 0.25, 0.5, 0.75, 1.0])
def test_ir_net_is_the_slope_of_its_tanh(progress):
    t = 10 ** (-3 + 4 * progress)
    k = max(1 / t, 1.0)
    points = [-2.0, -0.3, 0.0, 0.1, 1.5]
    step = 1e-4
    expected = [
        (k * math.tanh(t * (p + step)) - k * math.tanh(t * (p - step))) / (2 * step) for p in points
    ]
    found = SLOPES[Estimator.IR_NET](torch.tensor(points, dtype=torch.float64), progress)
    assert found.tolist() == pytest.approx(expected, rel=1e-4, abs=1e-6)


def finite_difference(function, points, step=1e-5):
    return [(function(p + step) - function(p - step)) / (2 * step) for p in points]


@pytest.mark.parametrize("estimator", [Estimator.APPROX_SIGN, Estimator.BIPER])
def test_approx_sign_is_the_slope_of_its_parabolas(estimator):
    def parabolas(x):  # Bi-Real: joined at 0, flat beyond 1
        x = max(-1.0, min(1.0, x))
        return 2 * x + x * x if x < 0 else 2 * x - x * x

    points = [-1.7, -0.9, -0.3, 0.2, 0.8, 1.4]
    found = SLOPES[estimator](torch.tensor(points, dtype=torch.float64), 0.0)
    assert found.tolist() == pytest.approx(finite_difference(parabolas, points), abs=1e-6)


@pytest.mark.parametrize("progress", [0.0, 0.3, 1.0])
def test_reste_is_the_slope_of_its_root(progress):
    order = reste_exponent(progress)

    def root(x):
        return math.copysign(abs(x) ** (1 / order), x)

    points = [-1.4, -0.6, 0.2, 0.7, 1.1]  # away from zero, where a constant stands for it
    found = SLOPES[Estimator.RESTE](torch.tensor(points, dtype=torch.float64), progress)
    assert found.tolist() == pytest.approx(finite_difference(root, points), rel=1e-5)


def binary_linear(estimator, **settings):
    return hnn.Linear(4, 2, bias=False, weight=hnn.BinaryConfig(estimator, **settings))


def test_biper_trains_on_the_sine_and_then_on_its_sign():
    layer = binary_linear(Estimator.BIPER)
    quantizer = layer.weight_quantizer
    sine = torch.sin(BIPER_FREQUENCY * layer.weight).detach()
    assert torch.equal(quantizer(layer.weight), sine)
    quantizer.progress = 0.9
    signs = quantizer(layer.weight)
    assert torch.equal(signs, torch.where(sine >= 0, 1.0, -1.0))
    signs.sum().backward()
    slope = BIPER_FREQUENCY * torch.cos(BIPER_FREQUENCY * layer.weight)
    assert torch.allclose(layer.weight.grad, slope, rtol=1e-4, atol=1e-4)
    quantizer.progress = 0.0
    layer.eval()
    assert torch.equal(quantizer(layer.weight), torch.where(sine >= 0, 1.0, -1.0))


def test_biper_penalty_is_the_mean_squared_sine():
    layer = binary_linear(Estimator.BIPER)
    expected = 0.037 * (0.5 - 0.5 * torch.cos(2 * BIPER_FREQUENCY * layer.weight)).mean()
    model = nn.Sequential(layer, binary_linear(Estimator.STE), nn.ReLU())
    penalty = hnn.biper_penalty(model, 0.037)
    assert penalty.item() == pytest.approx(expected.item(), rel=1e-4)
    assert float(hnn.biper_penalty(nn.ReLU(), 1.0)) == 0.0


def test_ir_net_centres_weights_and_scales_by_a_shift():
    torch.manual_seed(1)
    layer = binary_linear(Estimator.IR_NET, centred=True, scale=hnn.Scale.POWER_OF_TWO)
    w = layer.weight.detach()
    centred = (w - w.mean(1, keepdim=True)) / w.std(1, keepdim=True)
    size = 2.0 ** torch.round(torch.log2(centred.abs().mean(1, keepdim=True)))
    expected = torch.where(centred >= 0, 1.0, -1.0) * size
    assert torch.equal(layer.weight_quantizer(layer.weight), expected)


def test_reste_learns_through_its_scale():
    layer = binary_linear(
        Estimator.RESTE, scale=hnn.Scale.FREE, per_channel=False, learn_scale=True
    )
    w = layer.weight
    value = layer.weight_quantizer(w)
    assert torch.equal(value.abs(), w.abs().mean().detach().expand_as(value))
    value[0, 0].backward()
    # d (mean|w|) / d w reaches weights whose own sign has no part in the sum.
    assert w.grad[1, 1] == pytest.approx((value[0, 0].sign() * w[1, 1].sign()).item() / w.numel())


def test_schedule_moves_all_binary_quantizers():
    model = nn.Sequential(binary_linear(Estimator.RESTE), hnn.Sign(Estimator.IR_NET), nn.ReLU())
    schedule = hnn.Schedule(model, total=4)
    seen = []
    for _ in range(5):
        seen.append((model[0].weight_quantizer.progress, model[1].output_quantizer.progress))
        schedule.step()
    assert seen == [(p, p) for p in (0.0, 0.25, 0.5, 0.75, 1.0)]
    assert schedule.progress == 1.0


def test_schedule_resumes_from_its_state():
    model = nn.Sequential(hnn.Sign(Estimator.RESTE))
    schedule = hnn.Schedule(model, total=10)
    for _ in range(3):
        schedule.step()
    other = copy.deepcopy(model)
    resumed = hnn.Schedule(other, total=1)
    assert other[0].output_quantizer.progress == 0.0
    resumed.load_state_dict(schedule.state_dict())
    assert other[0].output_quantizer.progress == resumed.progress == 0.3


def test_schedule_needs_a_step():
    with pytest.raises(NumericError, match="total is 0"):
        hnn.Schedule(nn.ReLU(), 0)


def test_activations_have_no_scale():
    with pytest.raises(NumericError, match="scale is FREE for an activation"):
        hnn.Identity(output=hnn.BinaryConfig(scale=hnn.Scale.FREE))
