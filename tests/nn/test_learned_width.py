"""Widths that are learned: price, gradients, and the same integers in file and graph."""

import math

import numpy as np
import pytest
import torch
from torch import nn

import hwgen.nn as hnn
from hwgen.errors import ExportError, NumericError
from hwgen.nn import Group, LearnedWidthConfig
from hwgen.nn.price import lane_luts, product_luts
from hwgen.numeric import CodeType
from hwgen.ops.matvec import Kernel, MatVec
from hwgen.passes import PASSES, run_passes

from .equality import assert_equal_everywhere

pytestmark = pytest.mark.torch


def quantizer_of(weight, group=Group.OUTPUT_CHANNEL, bit_width=6):
    return hnn.LearnedWidthQuantizer(LearnedWidthConfig(bit_width, group), weight)


def test_all_bits_are_there_at_first_and_hold_the_largest_weight():
    weight = torch.tensor([[0.3, -0.9], [3.0, 4.0]])
    quantizer = quantizer_of(weight)
    assert quantizer.widths.ravel().tolist() == [6, 6]
    assert quantizer.fracs.ravel().tolist() == [5, 2]  # below 1, and below 8
    assert quantizer(weight).tolist() == [[0.3125, -0.90625], [3.0, 4.0]]
    assert quantizer.bit_width == 6


def test_bits_go_away_one_by_one_until_nothing_is_left():
    weight = torch.tensor([[0.3, -0.9]])
    quantizer = quantizer_of(weight, bit_width=4)
    expected = {0: [0.25, -0.875], 1: [0.25, -0.75], 2: [0.5, -0.5], 3: [0.0, 0.0], 9: [0.0, 0.0]}
    for removed, values in expected.items():
        with torch.no_grad():
            quantizer.frac.fill_(3.0 - removed)
        assert quantizer.eval()(weight).tolist() == [values]
        assert quantizer.widths.item() == (4 - removed if removed < 3 else 0)
    assert quantizer.widths.item() == 0
    assert quantizer.bits.item() == 0


def test_gradients_follow_the_formulas():
    torch.manual_seed(0)
    weight = torch.randn(3, 4, requires_grad=True)
    upstream = torch.randn(3, 4)
    for group, axes in ((Group.OUTPUT_CHANNEL, 1), (Group.INPUT_CHANNEL, 0), (Group.WEIGHT, ())):
        weight.grad = None
        quantizer = quantizer_of(weight.detach(), group, 3)
        value = quantizer(weight)
        (value * upstream).sum().backward()
        assert torch.equal(weight.grad, upstream)
        slope = ((weight - value) * upstream * math.log(2)).detach()
        slope = slope.sum(axes, keepdim=True) if group is not Group.WEIGHT else slope
        assert torch.allclose(quantizer.frac.grad, slope, rtol=1e-5)


def test_rounding_loses_what_the_slope_of_the_squared_error_says():
    # With L = mean (q - w)^2, d L / d f~ = -2 ln 2 mean (q - w)^2: one bit less is four times L.
    weight = torch.rand(1, 100_000) - 0.5
    quantizer = quantizer_of(weight, bit_width=8)
    error = (quantizer(weight) - weight).square().mean()
    error.backward()
    assert quantizer.frac.grad.item() == pytest.approx(-2 * math.log(2) * error.item(), rel=1e-4)
    with torch.no_grad():
        quantizer.frac -= 1
        coarser = (quantizer(weight) - weight).square().mean()
    assert (coarser / error).item() == pytest.approx(4, rel=0.05)


@pytest.mark.parametrize(
    ("config", "input_bits", "kernel"),
    [
        (hnn.FixedPointConfig(5), 4, Kernel.MAC),
        (hnn.FixedPointConfig(5), 8, Kernel.MAC),
        (hnn.BinaryConfig(), 1, Kernel.XNOR),
        (hnn.BinaryConfig(), 4, Kernel.SIGNED_ADD),
        (hnn.TernaryConfig(), 8, Kernel.SIGNED_ADD),
        (hnn.ShiftConfig(3), 8, Kernel.SHIFT_ADD),
        (hnn.KHotConfig(8, k=1), 8, Kernel.SHIFT_ADD),
    ],
)
def test_prices_are_those_of_the_kernels(config, input_bits, kernel):
    torch.manual_seed(0)
    layer = hnn.Linear(64, 64, bias=False, weight=config)
    with torch.no_grad():
        layer.weight.uniform_(-1, 1)
        layer.weight_quantizer.restart(layer.weight)
    layer(torch.zeros(1, 64))
    codes = layer.weight_quantizer.codes(layer.weight)
    half = 1 << (input_bits - 1)
    inputs = CodeType.binary() if input_bits == 1 else CodeType(-half, half - 1)
    lane = MatVec(codes, 1, 1, kernel).dot_kernel(inputs).lane_resources()
    price = float(lane_luts(layer.weight_quantizer, input_bits))
    # The kernel knows the codes that occur, the price only their widths.
    assert price == pytest.approx(lane.lut, rel=0.15)


def test_price_without_bits_is_zero_and_grows_with_each():
    bits = torch.linspace(0, 8, 33, requires_grad=True)
    luts = product_luts(bits, 6)
    assert luts[0] == 0
    luts.sum().backward()
    assert (bits.grad > 0).all()


def test_price_reads_the_widths_along_the_model():
    model = nn.Sequential(
        hnn.Sign(),
        hnn.Linear(4, 6, weight=hnn.BinaryConfig()),
        hnn.ReLU(output=hnn.FixedPointConfig(3, signed=False)),
        nn.Dropout(),
        hnn.Linear(6, 2, weight=LearnedWidthConfig(5)),
    )
    layers = hnn.LutPrice(model).by_layer()
    assert layers["1"].item() == pytest.approx(24 * 2.6)
    assert layers["4"].item() == pytest.approx(12 * (1.75 * 5 * 3 + 5 + 3))
    assert hnn.LutPrice(model)().item() == pytest.approx(24 * 2.6 + 12 * 34.25)
    with pytest.raises(ExportError, match=r"LutPrice: expected layers .* got 0"):
        hnn.LutPrice(nn.Sequential(hnn.Linear(2, 2)))


@pytest.mark.parametrize("group", Group)
@pytest.mark.parametrize("layer", ["linear", "conv"])
def test_file_computes_what_the_model_does(group, layer, tmp_path):
    torch.manual_seed(3)
    weight = LearnedWidthConfig(6, group)
    source = hnn.Identity(output=hnn.FixedPointConfig(5, frac=2))
    if layer == "linear":
        model = nn.Sequential(source, hnn.Linear(6, 5, weight=weight), hnn.ReLU())
        x = torch.randn(20, 6) * 3
    else:
        model = nn.Sequential(source, hnn.Conv2d(3, 4, 3, padding=1, weight=weight), hnn.ReLU())
        x = torch.randn(4, 3, 5, 5) * 3
    quantizer = model[1].weight_quantizer
    with torch.no_grad():
        quantizer.frac -= torch.randint(0, 8, quantizer.frac.shape)  # some groups vanish
    model(x)
    assert_equal_everywhere(model, x, tmp_path)
    codes, scale = quantizer.grid(model[1].weight)
    assert torch.equal((codes * scale).float(), quantizer(model[1].weight))
    assert codes.abs().max() < 2 ** (quantizer.bit_width - 1)


def noisy_task(count):
    """Which side of a plane a point lies on; nine of its twelve coordinates say nothing."""
    x = torch.randint(-8, 8, (count, 12)).float()
    return x, (x[:, 0] + x[:, 1] - x[:, 2] > 0).long()


def test_useless_inputs_lose_all_their_bits_and_accuracy_holds(tmp_path):
    torch.manual_seed(0)
    model = nn.Sequential(
        hnn.Identity(output=hnn.FixedPointConfig(4, frac=0)),
        hnn.Linear(12, 8, bias=False, weight=LearnedWidthConfig(6, Group.INPUT_CHANNEL)),
        hnn.BatchNorm1d(8),
        hnn.ReLU(output=hnn.FixedPointConfig(5, signed=False)),
        hnn.Linear(8, 2, weight=LearnedWidthConfig(6)),
    )
    price = hnn.LutPrice(model)
    before = price().item()
    widths = [layer.weight_quantizer.frac for layer in (model[1], model[4])]
    others = [p for p in model.parameters() if all(p is not width for width in widths)]
    optimizer = torch.optim.Adam([{"params": others}, {"params": widths, "lr": 0.05}], lr=0.01)
    for _ in range(400):
        x, labels = noisy_task(128)
        optimizer.zero_grad()
        (nn.functional.cross_entropy(model(x), labels) + 3e-4 * price()).backward()
        optimizer.step()
    model.eval()
    x, labels = noisy_task(1000)
    with torch.no_grad():
        outputs = model(x)
    assert (outputs.argmax(1) == labels).float().mean() > 0.97
    widths = model[1].weight_quantizer.widths.ravel()
    assert (widths[:3] > 0).all()
    assert (widths[3:] == 0).all()
    assert price().item() < before / 4
    # What has no bits is not there: the file holds zeros, the hardware no product.
    _, graph, _ = assert_equal_everywhere(model, x, tmp_path)
    products = next(node.op for node in graph.nodes if isinstance(node.op, MatVec))
    assert (np.abs(products.weights).sum(0)[3:] == 0).all()


def test_channels_without_bits_are_removed_from_the_hardware(tmp_path):
    torch.manual_seed(4)
    model = nn.Sequential(
        hnn.Identity(output=hnn.FixedPointConfig(4, frac=1)),
        hnn.Linear(6, 5, weight=LearnedWidthConfig(4)),
        hnn.ReLU(output=hnn.FixedPointConfig(5, signed=False)),
        hnn.Linear(5, 4, weight=LearnedWidthConfig(4, Group.INPUT_CHANNEL)),
        hnn.ReLU(output=hnn.FixedPointConfig(5, signed=False)),
        hnn.Linear(4, 3, output=hnn.FixedPointConfig(8)),
    )
    x = torch.randn(50, 6) * 2
    with torch.no_grad():
        model[1].bias += 1  # what is left of a row without bits is not zero
        model[1].weight_quantizer.frac[0] -= 9
        model[3].weight_quantizer.frac[:, 3] -= 9
    model(x)
    outputs, graph, _ = assert_equal_everywhere(model, x, tmp_path)
    small = run_passes(graph, PASSES)
    products = [node.op for node in small.nodes if isinstance(node.op, MatVec)]
    assert [op.weights.shape for op in products] == [(3, 6), (4, 3), (3, 4)]
    real = small.dequantize(small.evaluate(small.inputs[0].quantize(x.numpy())))
    assert (real.astype(np.float32) == outputs).all()


def test_state_travels_and_float_weights_begin_again():
    torch.manual_seed(1)
    layer = hnn.Linear(4, 3, weight=LearnedWidthConfig(4))
    with torch.no_grad():
        layer.weight_quantizer.frac -= 2
    other = hnn.Linear(4, 3, weight=LearnedWidthConfig(4))
    other.load_state_dict(layer.state_dict())
    other.eval(), layer.eval()
    x = torch.randn(5, 4)
    layer.bias_quantizer.observe(layer.bias)
    other.bias_quantizer.observe(other.bias)
    assert torch.equal(layer(x), other(x))
    layer.weight_quantizer.restart(layer.weight * 100)
    assert layer.weight_quantizer.widths.ravel().tolist() == [4, 4, 4]


def test_a_layer_that_is_called_twice_trains():
    torch.manual_seed(2)
    layer = hnn.Linear(4, 4, weight=LearnedWidthConfig(4))
    with torch.no_grad():
        layer.weight_quantizer.frac += 5  # out of reach: the first call brings it back
    layer(layer(torch.randn(3, 4))).sum().backward()
    assert torch.isfinite(layer.weight_quantizer.frac.grad).all()
    assert layer.weight_quantizer.widths.ravel().tolist() == [4] * 4


@pytest.mark.parametrize("bits", [1, 25])
def test_bad_widths_are_named(bits):
    with pytest.raises(NumericError, match=rf"LearnedWidthConfig: bit_width is {bits}, expected 2"):
        LearnedWidthConfig(bits)
