"""Layers: like their torch twins in training, exact integers times powers of two in eval."""

import copy
import inspect

import numpy as np
import pytest
import torch
from torch import nn

import hwgen.nn as hnn
from hwgen.errors import NumericError

pytestmark = pytest.mark.torch

FINE = hnn.FixedPointConfig(bit_width=24)  # so fine that a quantized layer is nearly its twin


def random_tensor(rng, *shape):
    return torch.from_numpy(rng.normal(size=shape).astype(np.float32))


@pytest.mark.parametrize(
    ("layer", "twin", "shared"),
    [
        (hnn.Linear, nn.Linear, 5),
        (hnn.BatchNorm1d, nn.BatchNorm1d, 4),
        (hnn.ReLU, nn.ReLU, 1),
    ],
)
def test_arguments_begin_like_the_twins(layer, twin, shared):
    ours = list(inspect.signature(layer.__init__).parameters.values())[1:]
    theirs = list(inspect.signature(twin.__init__).parameters.values())[1:]
    for mine, other in zip(ours[:shared], theirs[:shared], strict=True):
        assert (mine.name, mine.default) == (other.name, other.default)
    assert all(parameter.kind is parameter.KEYWORD_ONLY for parameter in ours[shared:])
    assert issubclass(layer, twin)


@pytest.mark.parametrize(
    "weight",
    [
        hnn.FixedPointConfig(bit_width=6),
        hnn.KHotConfig(bit_width=6, k=2),
        hnn.BinaryConfig(),
    ],
)
def test_linear_in_eval_is_integer_arithmetic(rng, weight):
    layer = hnn.Linear(33, 7, weight=weight)
    pixels = hnn.Identity(output=hnn.FixedPointConfig(6, signed=False))
    x = random_tensor(rng, 40, 33)
    layer(pixels(x))
    layer.eval()
    quantized = pixels.eval()(x)
    frac = pixels.output_quantizer.frac_bits
    codes = pixels.output_quantizer.codes(x)
    weights = layer.weight_quantizer.codes(layer.weight)
    frac_w = 0 if isinstance(weight, hnn.BinaryConfig) else layer.weight_quantizer.frac_bits
    bias = layer.bias_quantizer.codes(layer.bias)
    frac_b = layer.bias_quantizer.frac_bits
    finest = max(frac + frac_w, frac_b)
    sums = (codes @ weights.T) << (finest - frac - frac_w)
    sums += bias << (finest - frac_b)
    assert (layer(quantized).detach().double().numpy() * 2.0**finest == sums).all()


def test_linear_trains_like_its_twin_when_numbers_are_fine(rng):
    layer, twin = hnn.Linear(8, 5, weight=FINE, bias_format=FINE), nn.Linear(8, 5)
    twin.load_state_dict({"weight": layer.weight, "bias": layer.bias})
    x = random_tensor(rng, 16, 8)
    assert torch.allclose(layer(x), twin(x), atol=1e-5)
    layer(x).square().sum().backward()
    twin(x).square().sum().backward()
    assert torch.allclose(layer.weight.grad, twin.weight.grad, rtol=1e-3, atol=1e-4)


def test_linear_without_bias_and_with_output(rng):
    layer = hnn.Linear(4, 3, bias=False, output=hnn.FixedPointConfig(4))
    y = layer(random_tensor(rng, 20, 4))
    assert layer.bias_quantizer is None
    codes = y.detach() * 2.0**layer.output_quantizer.frac_bits
    assert torch.equal(codes, codes.round())
    assert codes.abs().max() <= 8


@pytest.mark.parametrize("momentum", [0.1, None])
@pytest.mark.parametrize("affine", [True, False])
def test_batchnorm_keeps_the_statistics_of_its_twin(rng, momentum, affine):
    # Binary points are given: running statistics start far from those of the first batch.
    fine = hnn.FixedPointConfig(bit_width=24, frac=20)
    layer = hnn.BatchNorm1d(6, momentum=momentum, affine=affine, scale=fine, bias=fine)
    twin = nn.BatchNorm1d(6, momentum=momentum, affine=affine)
    for _ in range(3):
        x = random_tensor(rng, 32, 6) * 3 + 1
        assert torch.allclose(layer(x), twin(x), atol=1e-4)
    assert torch.allclose(layer.running_mean, twin.running_mean, atol=1e-6)
    assert torch.allclose(layer.running_var, twin.running_var, rtol=1e-5)
    assert int(layer.num_batches_tracked) == 3
    x = random_tensor(rng, 5, 6)
    assert torch.allclose(layer.eval()(x), twin.eval()(x), atol=1e-4)


def test_batchnorm_in_eval_is_one_multiplication_and_one_addition_of_codes(rng):
    layer = hnn.BatchNorm1d(5, scale=hnn.FixedPointConfig(6), bias=hnn.FixedPointConfig(7))
    layer(random_tensor(rng, 32, 5) * 4)
    layer.eval()
    scale, bias = layer.constants(layer.running_mean, layer.running_var)
    scale_codes = layer.scale_quantizer.codes(scale)
    bias_codes = layer.bias_quantizer.codes(bias)
    scale_frac, bias_frac = layer.scale_quantizer.frac_bits, layer.bias_quantizer.frac_bits
    finest = max(scale_frac, bias_frac)
    x = rng.integers(-3000, 3000, size=(50, 5))
    exact = (x * scale_codes << (finest - scale_frac)) + (bias_codes << (finest - bias_frac))
    y = layer(torch.from_numpy(x.astype(np.float32))).detach().double().numpy()
    assert (y * 2.0**finest == exact).all()


def test_rounding_the_scale_does_not_shift_the_mean(rng):
    # The bias comes from the quantized scale: a channel's own mean still maps to beta, here 0.
    layer = hnn.BatchNorm1d(3, scale=hnn.FixedPointConfig(3), bias=FINE)
    x = random_tensor(rng, 64, 3) + 100
    assert layer(x).mean(dim=0).abs().max() < 1e-3


@pytest.mark.parametrize("shape", [(4, 2), (4, 2, 3), (4, 3, 1, 1), (3,)])
def test_batchnorm_names_a_wrong_shape(shape):
    with pytest.raises(NumericError, match=r"BatchNorm1d.*expected \(N, 3\) or \(N, 3, L\)"):
        hnn.BatchNorm1d(3)(torch.zeros(shape))


def test_batchnorm_needs_two_samples_to_train():
    with pytest.raises(NumericError, match="at least 2 samples"):
        hnn.BatchNorm1d(3)(torch.zeros(1, 3))


def test_relu_is_unsigned_and_passes_gradient_where_positive():
    layer = hnn.ReLU(output=hnn.FixedPointConfig(4, signed=False, frac=2))
    x = torch.tensor([-1.0, 0.3, 2.0, 9.0], requires_grad=True)
    y = layer(x)
    assert y.tolist() == [0.0, 0.25, 2.0, 3.75]
    y.sum().backward()
    assert x.grad.tolist() == [0.0, 1.0, 1.0, 0.0]


def small_model():
    return nn.Sequential(
        hnn.Identity(output=hnn.FixedPointConfig(5)),
        hnn.Linear(6, 8, weight=hnn.KHotConfig(5)),
        hnn.BatchNorm1d(8),
        hnn.ReLU(),
        hnn.Linear(8, 4, weight=hnn.BinaryConfig()),
    )


def test_model_state_travels_by_state_dict_and_deepcopy(rng):
    torch.manual_seed(0)
    model = small_model()
    model(random_tensor(rng, 16, 6))
    model.eval()
    loaded = small_model().eval()
    loaded.load_state_dict(model.state_dict())
    x = random_tensor(rng, 9, 6)
    assert torch.equal(loaded(x), model(x))
    assert torch.equal(copy.deepcopy(model)(x), model(x))


def test_every_parameter_learns(rng):
    model = small_model()
    x = random_tensor(rng, 32, 6)
    model(x)
    model.zero_grad()
    model(x).square().sum().backward()
    for name, parameter in model.named_parameters():
        # The ReLU's input includes BatchNorm's; nothing may be cut off from the loss.
        assert parameter.grad is not None, name
        assert torch.isfinite(parameter.grad).all(), name
        assert parameter.grad.abs().sum() > 0, name


def test_calibrate_replaces_binary_points_and_keeps_the_rest(rng):
    model = small_model()
    model(random_tensor(rng, 16, 6))
    statistics = model[2].running_mean.clone()
    model[0].output_quantizer.frac.data.fill_(-9.0)
    model[3].train(False)
    large = random_tensor(rng, 16, 6).clamp(-3, 3) * 100
    large[0, 0] = -300.0
    hnn.calibrate(model, [large, large * 0.001])
    assert model[0].output_quantizer.frac_bits == 5 - 1 - 9  # 300 is in 256..512
    assert torch.equal(model[2].running_mean, statistics)
    assert [module.training for module in model] == [True, True, True, False, True]


def test_calibrate_without_data_changes_nothing(rng):
    model = small_model()
    model(random_tensor(rng, 16, 6))
    before = copy.deepcopy(model.state_dict())
    with pytest.raises(NumericError, match="no batches"):
        hnn.calibrate(model, [])
    for name, value in model.state_dict().items():
        assert torch.equal(value, before[name]), name
