"""exact=True: a layer knows from its ranges whether float32 adds up its sums exactly."""

from fractions import Fraction

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

import hwgen.nn as hnn
from hwgen.errors import NumericError
from hwgen.nn.exactness import finest_bits

pytestmark = pytest.mark.torch


@given(st.lists(st.floats(width=32, allow_nan=False, allow_infinity=False), min_size=1))
def test_finest_bits_are_those_of_the_fraction(numbers):
    expected = [Fraction(x).denominator.bit_length() - 1 for x in numbers]
    for x, found, at_least in zip(
        numbers, finest_bits(torch.tensor(numbers)), expected, strict=True
    ):
        if x == 0:
            assert found == -(2**31)
        elif at_least:
            assert found == at_least
        else:  # an even integer has a unit above 1
            assert Fraction(x) / Fraction(2) ** -int(found) % 2 == 1


@given(
    seed=st.integers(0, 2**32 - 1),
    weight=st.sampled_from(
        [
            hnn.FixedPointConfig(6),
            hnn.FixedPointConfig(4, per_channel=True),
            hnn.TernaryConfig(),
            hnn.BinaryConfig(scale=hnn.Scale.POWER_OF_TWO),
            hnn.LearnedWidthConfig(5),
        ]
    ),
    bias=st.booleans(),
)
def test_the_range_is_reached_by_the_worst_input(seed, weight, bias):
    torch.manual_seed(seed)
    layer = hnn.Linear(7, 1, bias, weight=weight)
    x = torch.randint(-8, 8, (20, 7)).float() / 4
    layer(x)
    layer.eval()
    found = layer.sum_range(x)
    quantized = layer.weight_quantizer(layer.weight).double()
    worst = quantized.abs().sum() * x.abs().max()
    if bias:
        worst = worst + layer.bias_quantizer(layer.bias).abs().double().sum()
    assert found.units * 2.0**-found.frac == worst
    results = layer(x).double() * 2.0**found.frac
    assert torch.equal(results, results.round())
    assert results.abs().max() <= found.units
    assert found.float32_exact == (found.units <= 2**24)


def wide(exact):
    layer = hnn.Linear(3, 1, bias=False, weight=hnn.FixedPointConfig(16, frac=0), exact=exact)
    with torch.no_grad():
        layer.weight.copy_(torch.tensor([[16385.0, 1.0, -16385.0]]))
    return layer


def test_sums_beyond_24_bits_are_exact_and_named_on_demand():
    x = torch.tensor([[16385.0, 1.0, 16385.0]])
    assert wide(exact=False).eval()(x).item() == 1.0
    message = (
        r"Linear: sums of these inputs may reach 536952835 units of 2\*\*0, expected at most 2"
    )
    with pytest.raises(NumericError, match=message):
        wide(exact=True).eval()(x)
    assert torch.isfinite(wide(exact=True)(x)).all()  # training rounds, and may
    assert wide(exact=True).eval()(torch.tensor([[64.0, 1.0, 64.0]])).item() == 1.0


@pytest.mark.parametrize("kind", [hnn.Conv1d, hnn.Conv2d])
def test_convolutions_check_as_well(kind):
    axes = 1 if kind is hnn.Conv1d else 2
    layer = kind(2, 3, 3, weight=hnn.FixedPointConfig(12), exact=True)
    x = torch.randint(-(2**14), 2**14, (2, 2, *[5] * axes)).float() / 2**6
    layer(x)
    layer.eval()
    with pytest.raises(NumericError, match=rf"{kind.__name__}: sums of these inputs may reach"):
        layer(x)
    assert layer(torch.round(x / 2**8)).shape[1] == 3


def test_prepare_passes_it_on():
    config = hnn.LayerConfig(exact=True)
    twin = hnn.prepare(nn.Sequential(nn.Conv2d(1, 1, 1), nn.Flatten(), nn.Linear(4, 2)), config)
    assert twin.get_submodule("0").exact
    assert twin.get_submodule("2").exact
    hnn.calibrate(twin, [torch.randn(2, 1, 2, 2)])
    assert twin.eval()(torch.randn(2, 1, 2, 2)).shape == (2, 2)
