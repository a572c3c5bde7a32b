"""Activations of learned width: both ends of the word, price, and the same integers everywhere."""

import copy
import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

import hwgen.nn as hnn
from hwgen.errors import NumericError
from hwgen.nn import LearnedOutputConfig
from hwgen.nn.price import product_luts
from hwgen.numeric import Rounding

from .equality import assert_equal_everywhere

pytestmark = pytest.mark.torch


def quantizer_of(largest, **options):
    quantizer = hnn.LearnedOutputQuantizer(LearnedOutputConfig(**options))
    quantizer(torch.tensor([largest]))
    return quantizer


def moved(quantizer, frac=0.0, integer=0.0):
    with torch.no_grad():
        quantizer.frac += frac
        quantizer.integer += integer
    return quantizer


def test_calibration_places_both_ends_of_the_widest_word():
    quantizer = quantizer_of(5.0, bit_width=6)
    assert (quantizer.frac.item(), quantizer.integer.item()) == (2, 3)
    assert (quantizer.bit_width, quantizer.frac_bits, quantizer.bits.item()) == (6, 2, 6)
    assert (quantizer.fixed_point.lo, quantizer.fixed_point.hi) == (-32, 31)
    unsigned = quantizer_of(0.4, bit_width=6, signed=False)
    assert (unsigned.frac.item(), unsigned.integer.item()) == (7, -1)
    assert (unsigned.fixed_point.lo, unsigned.fixed_point.hi) == (0, 63)


@pytest.mark.parametrize("learned", [False, True])
def test_at_first_it_is_the_fixed_format(learned):
    torch.manual_seed(0)
    x = torch.randn(1000) * 3
    config = LearnedOutputConfig(5) if learned else hnn.FixedPointConfig(5)
    layer = hnn.Identity(output=config)
    expected = hnn.FixedPointConfig(5, frac=layer(x) is None or layer.output_quantizer.frac_bits)
    assert torch.equal(layer(x), hnn.Identity(output=expected)(x))


def test_bits_go_away_at_either_end():
    x = torch.tensor([5.3, -5.3, 0.3, 40.0])
    fine = quantizer_of(7.0, bit_width=6).eval()
    assert fine(x).tolist() == [5.25, -5.25, 0.25, 7.75]
    coarse = moved(copy.deepcopy(fine), frac=-2)
    assert (coarse.bit_width, coarse(x).tolist()) == (4, [5.0, -5.0, 0.0, 7.0])
    short = moved(copy.deepcopy(fine), integer=-1)
    assert (short.bit_width, short(x).tolist()) == (5, [3.75, -4.0, 0.25, 3.75])
    least = moved(copy.deepcopy(fine), frac=-9)
    assert (least.bit_width, least.bits.item()) == (2, 2)
    assert least(x).tolist() == [4.0, -4.0, 0.0, 4.0]
    assert moved(copy.deepcopy(fine), frac=9).bit_width == 6


def test_out_of_reach_training_brings_the_point_back():
    quantizer = moved(quantizer_of(7.0, bit_width=6), frac=-9)
    quantizer(torch.zeros(3))
    assert quantizer.frac.item() == -2
    moved(quantizer, frac=20)(torch.zeros(3))
    assert quantizer.frac.item() == 2


@pytest.mark.parametrize("rounding", list(Rounding))
@pytest.mark.parametrize("signed", [True, False])
def test_gradients_follow_the_formulas(rounding, signed):
    torch.manual_seed(1)
    x = (torch.randn(400) * 4).requires_grad_()
    quantizer = quantizer_of(2.0, bit_width=5, signed=signed, rounding=rounding)
    moved(quantizer, frac=-1)
    value = quantizer(x)
    upstream = torch.randn(400)
    (value * upstream).sum().backward()
    codes, scale = quantizer.grid(x)
    assert torch.equal((codes * scale).float(), value)
    low, high = quantizer.fixed_point.lo, quantizer.fixed_point.hi
    wide = hnn.FixedPointConfig(20, rounding=rounding, frac=quantizer.frac_bits)
    rounded = hnn.FixedPointQuantizer(wide).grid(x)[0]
    inside = (rounded >= low) & (rounded <= high)
    assert 50 < inside.sum() < 350
    assert torch.equal(x.grad, upstream * inside)
    below = ((x - value) * upstream)[inside].sum().item() * math.log(2)
    above = (value * upstream)[~inside].sum().item() * math.log(2)
    assert quantizer.frac.grad.item() == pytest.approx(below, rel=1e-4)
    assert quantizer.integer.grad.item() == pytest.approx(above, rel=1e-4)


def test_slope_of_saturation_is_the_difference_of_one_bit():
    # All numbers saturate: d q / d i~ integrated over one bit is q(i + 1) - q(i), up to 2**-f.
    x = torch.full((100,), 1000.0)
    quantizer = quantizer_of(3.9, bit_width=10)
    moved(quantizer, frac=-1)
    value = quantizer(x).sum()
    value.backward()
    wider = moved(copy.deepcopy(quantizer), integer=1).eval()(x).sum()
    slope = quantizer.integer.grad.item() / math.log(2)  # q doubles a bit: ln 2 * q on average
    assert (wider - value).item() == pytest.approx(slope, rel=0.02)


def test_price_reads_the_learned_width_and_pulls_at_both_ends():
    model = nn.Sequential(
        hnn.Identity(output=LearnedOutputConfig(6)),
        hnn.Linear(4, 3, weight=hnn.FixedPointConfig(5)),
        hnn.ReLU(output=LearnedOutputConfig(4, signed=False)),
        hnn.Linear(3, 2, weight=hnn.LearnedWidthConfig(5)),
    )
    price = hnn.LutPrice(model)
    assert price().item() == pytest.approx(12 * (52.5 + 5 + 6) + 6 * (35 + 5 + 4))
    price().backward()
    quantizer = model[0].output_quantizer
    assert quantizer.frac.grad == quantizer.integer.grad == 12 * (1.75 * 5 + 1)
    model(torch.randn(20, 4))
    moved(quantizer, frac=-2.5)
    expected = product_luts(torch.tensor(5.0), 3.5).item() * 12
    assert price.by_layer()["1"].item() == pytest.approx(expected)
    line = next(row for row in hnn.summary(model).splitlines() if row.startswith("0 "))
    assert f"s{quantizer.bit_width}.{quantizer.frac_bits}" in line


LAYERS = {
    "relu": lambda output: hnn.ReLU(output=output),
    "relu6": lambda output: hnn.ReLU6(output=output),
    "hardtanh": lambda output: hnn.Hardtanh(-2.0, 2.0, output=output),
    "prelu": lambda output: hnn.PReLU(4, output=output),
    "rprelu": lambda output: hnn.RPReLU(4, output=output),
    "batchnorm": lambda output: hnn.BatchNorm2d(4, output=output),
    "pool": lambda output: hnn.AvgPool2d(2, output=output),
}
SAYABLE = [mode for mode in Rounding if mode not in (Rounding.RND, Rounding.RND_MIN_INF)]


@settings(max_examples=25)
@given(
    layer=st.sampled_from(sorted(LAYERS)),
    bits=st.integers(2, 7),
    signed=st.booleans(),
    rounding=st.sampled_from(SAYABLE),
    steps=st.tuples(*[st.floats(-5, 3, width=32)] * 4),
    seed=st.integers(0, 999),
)
def test_file_computes_what_the_model_does(
    tmp_path_factory, layer, bits, signed, rounding, steps, seed
):
    torch.manual_seed(seed)
    model = nn.Sequential(
        hnn.Identity(output=LearnedOutputConfig(6)),
        hnn.Conv2d(2, 4, 3, padding=1),
        LAYERS[layer](LearnedOutputConfig(bits, signed, rounding)),
        nn.Flatten(),
        hnn.Linear(16 if layer == "pool" else 64, 3, output=LearnedOutputConfig(5)),
    )
    x = torch.randn(6, 2, 4, 4) * 2
    model(x)
    moved(model[0].output_quantizer, *steps[:2])
    moved(model[2].output_quantizer, *steps[2:])
    assert_equal_everywhere(model, x, tmp_path_factory.mktemp("file"))


def test_branches_that_join_have_their_own_widths(tmp_path):
    class Residual(nn.Module):
        def __init__(self):
            super().__init__()
            self.source = hnn.Identity(output=LearnedOutputConfig(6))
            self.conv = hnn.Conv2d(2, 2, 3, padding=1, output=LearnedOutputConfig(6))
            self.add = hnn.Add(output=LearnedOutputConfig(7))
            self.head = hnn.AdaptiveAvgPool2d(1, output=LearnedOutputConfig(7))

        def forward(self, x):
            x = self.source(x)
            return self.head(self.add(x, self.conv(x)))

    torch.manual_seed(4)
    model, x = Residual(), torch.randn(5, 2, 4, 4)
    model(x)
    for module, steps in ((model.source, (-1, -1)), (model.conv, (-2, 0)), (model.add, (0, -2))):
        moved(module.output_quantizer, *map(float, steps))
    _, graph, _ = assert_equal_everywhere(model, x, tmp_path)
    assert graph.inputs[0].type.codes.width == 4


def test_calibrate_prepare_and_state_know_it(tmp_path):
    torch.manual_seed(5)
    plain = nn.Sequential(nn.Linear(6, 5), nn.ReLU(), nn.Linear(5, 3))
    config = hnn.LayerConfig(output=LearnedOutputConfig(6))
    model = hnn.prepare(plain, config)
    x = torch.randn(50, 6)
    hnn.calibrate(model, [x], hnn.CalibrationMethod.MSE)
    found = [m for m in model.modules() if isinstance(m, hnn.LearnedOutputQuantizer)]
    assert [quantizer.signed for quantizer in found] == [False]  # the one behind ReLU
    assert all(quantizer.bit_width == 6 for quantizer in found)
    moved(found[0], -1.0, -1.0)
    other = hnn.prepare(plain, config)
    other.load_state_dict(model.state_dict())
    model.eval(), other.eval()
    assert torch.equal(model(x), other(x))
    assert_equal_everywhere(model, x, tmp_path)


def test_eval_compiles_to_one_graph_with_the_same_bits():
    torch.manual_seed(6)
    model = nn.Sequential(hnn.Identity(output=LearnedOutputConfig(5)), hnn.Linear(4, 3), hnn.ReLU())
    x = torch.randn(20, 4)
    model(x)
    moved(model[0].output_quantizer, -1.0)
    model.eval()
    torch.compiler.reset()
    compiled = torch.compile(model, backend="aot_eager", fullgraph=True)
    with torch.no_grad():
        assert torch.equal(compiled(x), model(x))
    torch.compiler.reset()


def coarse_task(count):
    """Which side of a plane a point lies on; its coordinates come with bits that say nothing."""
    x = torch.randint(-8, 8, (count, 4)).float()
    return x + torch.rand(count, 4) * 0.4 - 0.2, (x[:, 0] + x[:, 1] - x[:, 2] > 0).long()


def test_useless_bits_of_activations_disappear_and_accuracy_holds(tmp_path):
    torch.manual_seed(0)
    model = nn.Sequential(
        hnn.Identity(output=LearnedOutputConfig(8)),
        hnn.Linear(4, 8, bias=False, weight=hnn.FixedPointConfig(5)),
        hnn.BatchNorm1d(8),
        hnn.ReLU(output=LearnedOutputConfig(8, signed=False)),
        hnn.Linear(8, 2, weight=hnn.FixedPointConfig(5)),
    )
    outputs = [model[0].output_quantizer, model[3].output_quantizer]
    widths = [end for quantizer in outputs for end in (quantizer.frac, quantizer.integer)]
    others = [p for p in model.parameters() if all(p is not width for width in widths)]
    price = hnn.LutPrice(model)
    before = price().item()
    optimizer = torch.optim.Adam([{"params": others}, {"params": widths, "lr": 0.03}], lr=0.01)
    for _ in range(400):
        x, labels = coarse_task(128)
        optimizer.zero_grad()
        (nn.functional.cross_entropy(model(x), labels) + 3e-5 * price()).backward()
        optimizer.step()
    model.eval()
    x, labels = coarse_task(1000)
    with torch.no_grad():
        accuracy = (model(x).argmax(1) == labels).float().mean().item()
    assert accuracy > 0.97
    assert outputs[0].bit_width == 4
    assert outputs[1].bit_width <= 3
    assert price().item() < 0.45 * before
    _, graph, _ = assert_equal_everywhere(model, x, tmp_path)
    assert graph.inputs[0].type.codes.width == 4


@pytest.mark.parametrize(("bits", "signed"), [(1, True), (1, False), (25, True)])
def test_bad_widths_are_named(bits, signed):
    with pytest.raises(NumericError, match=rf"bit_width is {bits}, expected 2..24"):
        LearnedOutputConfig(bits, signed)


def test_a_width_that_is_no_number_is_named():
    quantizer = moved(quantizer_of(3.0), integer=math.nan)
    with pytest.raises(NumericError, match="the learned width is nan; lower the learning rate"):
        _ = quantizer.bit_width


def test_codes_are_integers_in_their_interval():
    quantizer = moved(quantizer_of(3.0, bit_width=7), -1.0, -1.0)
    codes = quantizer.codes(torch.linspace(-9, 9, 301))
    assert codes.dtype == np.int64
    assert (codes.min(), codes.max()) == (quantizer.fixed_point.lo, quantizer.fixed_point.hi)
