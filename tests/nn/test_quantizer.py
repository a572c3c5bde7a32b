"""Fixed point with a learned binary point: values, gradients, calibration, saved state."""

import copy
import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from hwgen.errors import NumericError
from hwgen.nn import FixedPointConfig, FixedPointQuantizer
from hwgen.nn.quantizer import calibrated_frac
from hwgen.numeric import FixedPoint, Overflow, Rounding

pytestmark = pytest.mark.torch

LN2 = math.log(2.0)


def quantizer_at(frac, **settings):
    """A quantizer that learns, its binary point already at `frac`."""
    quantizer = FixedPointQuantizer(FixedPointConfig(**settings))
    quantizer.observe(torch.ones(1))
    with torch.no_grad():
        quantizer.frac.fill_(frac)
    quantizer.observed.fill_(quantizer.config.calibration_batches)
    return quantizer


def backward(quantizer, values, upstream=None):
    x = torch.tensor(values, dtype=torch.float64, requires_grad=True)
    y = quantizer(x)
    y.backward(torch.ones_like(y) if upstream is None else torch.tensor(upstream).double())
    return y.detach().numpy(), x.grad.numpy(), float(quantizer.frac.grad)


@pytest.mark.parametrize(
    ("frac", "value", "gradient"),
    [(1, 1.0, -0.1178), (2, 0.75, 0.0555), (3, 0.875, -0.0312), (4, 0.4375, -0.3033)],
)
def test_published_check_vectors(frac, value, gradient):
    y, grad_x, grad_frac = backward(quantizer_at(frac, bit_width=4), [0.83])
    assert y.tolist() == [value]
    assert grad_x.tolist() == [0.0 if frac == 4 else 1.0]
    assert round(grad_frac, 4) == gradient


def test_gradients_follow_the_formulas_elementwise_and_sum():
    quantizer = quantizer_at(2, bit_width=4)
    x = np.array([0.3, -0.9, 1.74, 1.9, -2.0, -2.1, 5.0, -7.0])  # 1.9 rounds beyond code 7
    upstream = np.arange(1.0, 9.0)
    y, grad_x, grad_frac = backward(quantizer, x.tolist(), upstream.tolist())
    saturated = np.array([False, False, False, True, False, False, True, True])
    assert y.tolist() == [0.25, -1.0, 1.75, 1.75, -2.0, -2.0, 1.75, -2.0]
    assert grad_x.tolist() == np.where(saturated, 0.0, upstream).tolist()
    slope = np.where(saturated, -LN2 * y, LN2 * (x - y))
    assert grad_frac == pytest.approx(float((upstream * slope).sum()), rel=1e-6)


def test_wrapped_values_pass_the_whole_gradient():
    quantizer = quantizer_at(0, bit_width=3, overflow=Overflow.WRAP)
    y, grad_x, grad_frac = backward(quantizer, [3.0, 4.0, 9.0, -5.0])
    assert y.tolist() == [3.0, -4.0, 1.0, 3.0]
    assert grad_x.tolist() == [1.0] * 4
    assert grad_frac == pytest.approx(LN2 * (8 + 8 - 8), rel=1e-6)


def test_gradient_scale_acts_on_the_binary_point_alone():
    _, plain_x, plain = backward(quantizer_at(2, bit_width=4), [0.3, 0.9])
    _, scaled_x, scaled = backward(quantizer_at(2, bit_width=4, gradient_scale=0.25), [0.3, 0.9])
    assert plain_x.tolist() == scaled_x.tolist()
    assert scaled == pytest.approx(plain / 4, rel=1e-6)


@pytest.mark.parametrize("start", [-1.0, 9.0])
def test_training_finds_the_binary_point(start):
    # Uniform in +-1.9 with 6 bits: 4 fractional bits have the least squared error.
    x = torch.linspace(-1.9, 1.9, 501)
    quantizer = quantizer_at(start, bit_width=6)
    # The error falls fourfold with each bit; a short memory of it keeps Adam's steps alive.
    optimizer = torch.optim.Adam(quantizer.parameters(), lr=0.02, betas=(0.9, 0.9))
    for _ in range(800):
        optimizer.zero_grad()
        ((quantizer(x) - x) ** 2).mean().backward()
        optimizer.step()
    assert quantizer.frac_bits == 4


@given(
    values=st.lists(st.floats(-40, 40, width=32), min_size=1, max_size=20),
    width=st.integers(2, 9),
    frac=st.integers(-3, 12),
    signed=st.booleans(),
    rounding=st.sampled_from(list(Rounding)),
    overflow=st.sampled_from(list(Overflow)),
)
def test_every_mode_equals_the_numeric_format(values, width, frac, signed, rounding, overflow):
    # Ties are rare among random floats, so half of the values are put on the half-LSB grid.
    grid = 2.0 ** -(frac + 1)
    x = np.array([*values, *(round(v / grid) * grid for v in values)], dtype=np.float32)
    quantizer = FixedPointQuantizer(
        FixedPointConfig(width, signed, rounding=rounding, overflow=overflow, frac=frac)
    )
    expected = FixedPoint(signed, width, frac).quantize(x, rounding, overflow)
    assert quantizer.codes(torch.from_numpy(x)).tolist() == expected.tolist()
    value = quantizer(torch.from_numpy(x)).detach().numpy()
    assert value.tolist() == np.ldexp(expected.astype(np.float32), -frac).tolist()


@pytest.mark.parametrize(
    ("max_abs", "width", "signed", "frac"),
    [
        (1.0, 8, True, 7),
        (1.01, 8, True, 6),
        (0.3, 6, True, 6),
        (16.0, 5, False, 1),
        (17.0, 5, False, 0),
        (1000.0, 4, True, -7),
        (0.0, 4, True, 3),
    ],
)
def test_calibration_formula(max_abs, width, signed, frac):
    assert calibrated_frac(FixedPointConfig(width, signed), max_abs) == frac


def test_next_to_nothing_does_not_drive_the_binary_point_out_of_reach():
    quantizer = FixedPointQuantizer(FixedPointConfig(bit_width=8, max_frac=12))
    assert quantizer(torch.tensor([1e-17, -1e-16])).tolist() == [0.0, 0.0]
    assert quantizer.frac_bits == 12
    with torch.no_grad():
        quantizer.frac.fill_(50.0)
    assert quantizer.frac_bits == 12


def test_calibration_widens_over_its_batches_then_stops():
    quantizer = FixedPointQuantizer(FixedPointConfig(bit_width=8, calibration_batches=2))
    assert not quantizer.calibrated
    quantizer(torch.tensor([0.4, -0.9]))
    assert quantizer.frac_bits == 7
    quantizer(torch.tensor([-3.0, 0.1]))
    assert quantizer.frac_bits == 5
    quantizer(torch.tensor([100.0]))
    assert (quantizer.frac_bits, int(quantizer.observed)) == (5, 2)


def test_calibration_of_unsigned_numbers_looks_at_positive_ones():
    quantizer = FixedPointQuantizer(FixedPointConfig(bit_width=4, signed=False))
    quantizer(torch.tensor([-100.0, 0.9]))
    assert quantizer.frac_bits == 4


def test_a_given_binary_point_stays():
    quantizer = FixedPointQuantizer(FixedPointConfig(bit_width=4, frac=1))
    assert quantizer.calibrated
    assert not quantizer.frac.requires_grad
    assert quantizer(torch.tensor([100.0])).tolist() == [3.5]
    quantizer.reset_calibration()
    assert (quantizer.calibrated, quantizer.frac_bits) == (True, 1)


def test_eval_before_any_data_is_refused():
    quantizer = FixedPointQuantizer(FixedPointConfig()).eval()
    with pytest.raises(NumericError, match=r"not calibrated.*run a training batch"):
        quantizer(torch.ones(3))


def test_nan_in_calibration_is_refused():
    quantizer = FixedPointQuantizer(FixedPointConfig())
    with pytest.raises(NumericError, match="NaN or infinity"):
        quantizer(torch.tensor([1.0, float("nan")]))


def test_state_travels_by_state_dict_and_deepcopy():
    source = quantizer_at(2.75, bit_width=5)
    loaded = FixedPointQuantizer(FixedPointConfig(bit_width=5)).eval()
    loaded.load_state_dict(source.state_dict())
    copied = copy.deepcopy(source)
    x = torch.linspace(-3, 3, 50)
    for other in (loaded, copied):
        assert other.frac_bits == 3
        assert torch.equal(other(x), source(x))
    with torch.no_grad():
        copied.frac.fill_(0.0)
    assert source.frac_bits == 3


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"bit_width": 0, "signed": False}, r"bit_width is 0, expected 1\.\.24"),
        ({"bit_width": 1}, r"bit_width is 1, expected 2\.\.24; use BinaryConfig for one bit"),
        ({"bit_width": 25}, r"bit_width is 25"),
        ({"calibration_batches": 0}, r"calibration_batches is 0, expected >= 1"),
        ({"max_frac": 61}, r"max_frac is 61, expected -60\.\.60"),
        ({"frac": 61}, r"frac is 61, expected -60\.\.60"),
    ],
)
def test_bad_settings_are_named(settings, message):
    with pytest.raises(NumericError, match=message):
        FixedPointConfig(**settings)
