"""The quantizer core: four ways to learn, per channel, limits, gradients, torch.compile's path."""

import math

import numpy as np
import pytest
import torch
import torch.distributed as distributed
from hypothesis import given
from hypothesis import strategies as st

from hwgen.errors import NumericError
from hwgen.nn import FixedPointConfig, FixedPointQuantizer, Learning
from hwgen.nn.fixed_point_function import limits, power_of_two
from hwgen.numeric import FixedPoint, Overflow, Rounding

pytestmark = pytest.mark.torch

LN2 = math.log(2.0)
ROUNDINGS = st.sampled_from(list(Rounding))


def quantizer_at(fracs, channels=None, axis=0, **settings):
    quantizer = FixedPointQuantizer(FixedPointConfig(**settings), channels, axis)
    quantizer.set_frac(torch.as_tensor(fracs, dtype=torch.float32))
    return quantizer


def gradients(quantizer, values, upstream=None):
    x = torch.tensor(values, dtype=torch.float64, requires_grad=True)
    y = quantizer(x)
    y.backward(torch.ones_like(y) if upstream is None else torch.tensor(upstream).double())
    return y.detach().numpy(), x.grad.numpy(), quantizer.learned.grad.numpy()


@given(
    rounding=ROUNDINGS,
    width=st.integers(2, 8),
    signed=st.booleans(),
    narrow=st.booleans(),
    frac=st.integers(-4, 9),
    double=st.booleans(),
)
def test_limits_separate_what_saturates_from_what_does_not(
    rounding, width, signed, narrow, frac, double
):
    overflow = Overflow.SAT_SYM if narrow else Overflow.SAT
    config = FixedPointConfig(width, signed, rounding=rounding, overflow=overflow)
    below, above = limits(config, double, frac)
    kind = np.float64 if double else np.float32

    def saturates(x):
        wide = FixedPoint(True, 32, frac).quantize(np.array([x], kind), rounding)
        lo, hi = config.code_range
        return not lo <= int(wide[0]) <= hi

    assert saturates(kind(below))
    assert saturates(kind(above))
    assert not saturates(np.nextafter(kind(below), kind(np.inf)))
    assert not saturates(np.nextafter(kind(above), kind(-np.inf)))


@pytest.mark.parametrize("learning", [Learning.BINARY_POINT, Learning.THRESHOLD, Learning.SCALE])
def test_one_identity_holds_the_learned_quantities_together(learning):
    values = [0.3, -0.9, 1.74, 1.9, -2.0, -2.1, 5.0, -7.0]
    upstream = [float(i) for i in range(1, 9)]
    quantizer = quantizer_at(2.0, bit_width=4, learning=learning)
    y, _, learned = gradients(quantizer, values, upstream)
    x = np.array(values)
    saturated = np.array([False, False, False, True, False, False, True, True])
    slope = np.where(saturated, -y, x - y)
    step = 0.25
    # LSQ: round(x/s) - x/s inside, the end codes outside, times 1 / sqrt(N * Qp).
    lsq = np.where(saturated, y / step, y / step - x / step) / math.sqrt(8 * 7)
    expected = {"scale": lsq}.get(learning.value, LN2 * slope)
    assert learned == pytest.approx(float((np.array(upstream) * expected).sum()), rel=1e-6)


@pytest.mark.parametrize("learning", [Learning.BINARY_POINT, Learning.THRESHOLD])
@pytest.mark.parametrize("x", [9.0, -9.0])
def test_saturated_slope_is_the_finite_difference(learning, x):
    # Beyond the range the value is hi * 2**-f or lo * 2**-f, smooth in f.
    _, _, slope = gradients(quantizer_at(2.0, bit_width=4, learning=learning), [x])
    code = 7 if x > 0 else -8
    step = 1e-6
    difference = (code * 2 ** -(2 + step) - code * 2 ** -(2 - step)) / (2 * step)
    assert slope == pytest.approx(difference, rel=1e-5)


def test_scale_slope_beyond_the_range_is_the_finite_difference():
    quantizer = quantizer_at(2.0, bit_width=4, learning=Learning.SCALE)
    _, _, slope = gradients(quantizer, [9.0])
    assert slope * math.sqrt(1 * 7) == pytest.approx(7.0, rel=1e-6)  # d (7 s) / d s


def test_mean_slope_in_range_points_toward_the_smaller_error():
    # Squared error over a uniform input grows with the step: its gradient must say so.
    x = torch.linspace(-1.0, 1.0, 4001)
    quantizer = quantizer_at(3.0, bit_width=8)
    ((quantizer(x) - x) ** 2).mean().backward()
    # E[(q - x)^2] = s^2 / 12, d/df = -2 ln2 s^2 / 12
    expected = -2 * LN2 * (2.0**-6) / 12
    assert float(quantizer.frac.grad) == pytest.approx(expected, rel=0.02)


@pytest.mark.parametrize(("learned", "point"), [(2.4, 2), (2.6, 3), (-0.6, -1)])
def test_binary_point_rounds(learned, point):
    assert quantizer_at(learned, learning=Learning.BINARY_POINT).frac_bits == point


@pytest.mark.parametrize("threshold", [0.3, 1.0, 1.01, 2.0, 100.0])
def test_threshold_takes_the_ceiling_of_its_logarithm(threshold):
    quantizer = quantizer_at(8 - 1 - math.log2(threshold), learning=Learning.THRESHOLD)
    assert quantizer.frac_bits == 8 - 1 - math.ceil(math.log2(threshold))


@pytest.mark.parametrize(("step", "point"), [(0.25, 2), (0.2, 2), (0.17, 3), (5.0, -2), (-1, 60)])
def test_scale_takes_the_nearest_power_of_two(step, point):
    quantizer = quantizer_at(0.0, learning=Learning.SCALE)
    with torch.no_grad():
        quantizer.step.fill_(step)
    assert quantizer.frac_bits == point
    assert set(quantizer.state_dict()) == {"step", "max_abs", "observed"}


def test_fixed_learning_keeps_what_calibration_found():
    quantizer = FixedPointQuantizer(FixedPointConfig(8, learning=Learning.FIXED))
    x = torch.tensor([3.0], requires_grad=True)
    quantizer(x).sum().backward()
    assert quantizer.frac_bits == 5
    assert quantizer.frac.grad is None
    assert x.grad.tolist() == [1.0]


def test_saturated_numbers_may_pass_a_share_of_the_gradient():
    quantizer = quantizer_at(0.0, bit_width=3, saturation_gradient=0.25)
    _, grad_x, _ = gradients(quantizer, [1.0, 9.0, -9.0], [2.0, 4.0, 8.0])
    assert grad_x.tolist() == [2.0, 1.0, 2.0]


@given(
    seed=st.integers(0, 2**32 - 1),
    axis=st.sampled_from([0, 1, -1]),
    rounding=ROUNDINGS,
    overflow=st.sampled_from(list(Overflow)),
    learning=st.sampled_from(list(Learning)),
)
def test_per_channel_equals_one_quantizer_a_channel(seed, axis, rounding, overflow, learning):
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(3, 3, 3)).astype(np.float32) * 4
    x = np.where(rng.random(x.shape) < 0.5, np.round(x * 8) / 8, x).astype(np.float32)
    settings = {"rounding": rounding, "overflow": overflow, "learning": learning, "bit_width": 4}
    fracs = [0, 2, 3]
    whole = quantizer_at(fracs, channels=3, axis=axis, per_channel=True, **settings)
    upstream = rng.normal(size=x.shape)
    moved, moved_upstream = np.moveaxis(x, axis, 0), np.moveaxis(upstream, axis, 0)
    if learning is not Learning.FIXED:
        y, grad_x, learned = gradients(whole, x.tolist(), upstream.tolist())
    for channel, frac in enumerate(fracs):
        one = quantizer_at(frac, **settings)
        part = torch.from_numpy(moved[channel].copy())
        codes = np.moveaxis(whole.codes(torch.from_numpy(x)), axis, 0)[channel]
        assert codes.tolist() == one.codes(part).tolist()
        if learning is not Learning.FIXED:
            each = gradients(one, moved[channel].tolist(), moved_upstream[channel].tolist())
            assert np.moveaxis(y, axis, 0)[channel].tolist() == each[0].tolist()
            assert np.moveaxis(grad_x, axis, 0)[channel].tolist() == each[1].tolist()
            assert learned[channel] == pytest.approx(float(each[2]), rel=1e-4, abs=1e-5)


def test_per_channel_calibrates_each_channel():
    quantizer = FixedPointQuantizer(FixedPointConfig(8, per_channel=True), 2)
    quantizer(torch.tensor([[0.4, -0.9], [3.0, 100.0]]))
    assert quantizer.fracs.tolist() == [7, 0]
    biases = FixedPointQuantizer(FixedPointConfig(8, per_channel=True), 3)
    assert biases(torch.tensor([0.75, -3.0, 100.0])).tolist() == [0.75, -3.0, 100.0]
    with pytest.raises(NumericError, match="no single frac_bits"):
        quantizer.frac_bits


def test_per_channel_activations_are_refused():
    with pytest.raises(NumericError, match="quantize activations per tensor"):
        FixedPointQuantizer(FixedPointConfig(8, per_channel=True))


@pytest.mark.parametrize("share", [-0.1, 1.1])
def test_saturation_gradient_is_a_share(share):
    with pytest.raises(NumericError, match="saturation_gradient"):
        FixedPointConfig(saturation_gradient=share)


def test_powers_of_two_from_bits_are_exact():
    exponents = torch.arange(-120, 121)
    for dtype in (torch.float32, torch.float64):
        expected = [math.ldexp(1.0, e) for e in range(-120, 121)]
        assert power_of_two(exponents, dtype).double().tolist() == expected


@pytest.mark.parametrize("learning", list(Learning))
def test_the_path_that_torch_compile_takes_gives_the_same_bits(learning, monkeypatch):
    torch.manual_seed(0)
    x = torch.randn(500) * 3
    quantizer = quantizer_at(3.0, bit_width=5, learning=learning)
    eager = quantizer(x)
    monkeypatch.setattr(torch.compiler, "is_compiling", lambda: True)
    assert torch.equal(quantizer(x), eager)


def test_half_precision_input_is_quantized_in_float32():
    quantizer = quantizer_at(0.0, bit_width=12)
    assert quantizer(torch.tensor([1025.0, 7.0]).bfloat16()).dtype is torch.float32


def test_calibration_state_survives_loading():
    source = FixedPointQuantizer(FixedPointConfig(8))
    source(torch.tensor([5.0]))
    loaded = FixedPointQuantizer(FixedPointConfig(8))
    loaded.load_state_dict(source.state_dict())
    loaded(torch.tensor([500.0]))  # in training mode, but calibrated already
    assert loaded.frac_bits == source.frac_bits == 4


def test_processes_of_a_group_choose_the_same_binary_point(monkeypatch):
    elsewhere = torch.tensor(100.0)  # the largest magnitude that another process sees

    def all_reduce(tensor, operation):
        assert operation is distributed.ReduceOp.MAX
        tensor.copy_(torch.maximum(tensor, elsewhere))

    monkeypatch.setattr(distributed, "is_initialized", lambda: True)
    monkeypatch.setattr(distributed, "all_reduce", all_reduce)
    quantizer = FixedPointQuantizer(FixedPointConfig(8))
    quantizer(torch.tensor([0.4]))
    assert (float(quantizer.max_abs), quantizer.frac_bits) == (100.0, 0)
