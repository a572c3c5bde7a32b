"""K-hot projections against a search through all sums, and the quantizer around them."""

import itertools

import numpy as np
import pytest
import torch

from hwgen.errors import NumericError
from hwgen.nn import FixedPointConfig, KHotConfig, KHotQuantizer, KHotVariant, khot_projection

pytestmark = pytest.mark.torch


@pytest.mark.parametrize(
    ("k", "variant", "mean_error", "levels"),
    [
        (1, KHotVariant.TRUNCATING, 20.84, 8),
        (1, KHotVariant.NEAREST, 18.41, 8),
        (1, KHotVariant.SIGNED_DIGIT, 18.41, 8),
        (2, KHotVariant.TRUNCATING, 6.63, 29),
        (2, KHotVariant.NEAREST, 5.41, 29),
        (2, KHotVariant.SIGNED_DIGIT, 1.75, 44),
        (3, KHotVariant.TRUNCATING, 1.95, 64),
        (3, KHotVariant.NEAREST, 1.58, 64),
        (3, KHotVariant.SIGNED_DIGIT, 0.22, 104),
    ],
)
def test_error_and_levels_of_seven_bit_magnitudes(k, variant, mean_error, levels):
    table = khot_projection(7, k, variant)
    assert round(float(np.abs(table - np.arange(128)).mean()), 2) == mean_error
    assert len(np.unique(table)) == levels


def sums_of_powers(bits, k, signs):
    """Every number 0..2**bits - 1 that is a sum of at most k terms, by trying all of them."""
    terms = [0] + [sign << p for sign in signs for p in range(bits + 1)]
    sums = {sum(chosen) for chosen in itertools.combinations_with_replacement(terms, k)}
    return sorted(s for s in sums if 0 <= s < 1 << bits)


@pytest.mark.parametrize("bits", [1, 4, 6])
@pytest.mark.parametrize("k", [1, 2, 3])
@pytest.mark.parametrize("signed", [False, True])
def test_nearest_variants_equal_a_search(bits, k, signed):
    levels = sums_of_powers(bits, k, (1, -1) if signed else (1,))
    nearest = [min(levels, key=lambda level: (abs(level - m), level)) for m in range(1 << bits)]
    variant = KHotVariant.SIGNED_DIGIT if signed else KHotVariant.NEAREST
    assert khot_projection(bits, k, variant).tolist() == nearest


@pytest.mark.parametrize("variant", list(KHotVariant))
@pytest.mark.parametrize("k", [1, 2, 3])
def test_levels_are_reachable_ordered_and_their_own_projection(variant, k):
    table = khot_projection(6, k, variant)
    signs = (1,) if variant in (KHotVariant.TRUNCATING, KHotVariant.NEAREST) else (1, -1)
    assert set(table.tolist()) <= set(sums_of_powers(6, k, signs))
    assert (np.diff(table) >= 0).all()
    assert table[table].tolist() == table.tolist()


def test_greedy_switches_at_the_square_root_of_two():
    # 11/8 = 1.375 is below the square root of two, 12/8 = 1.5 above it.
    table = khot_projection(5, 1, KHotVariant.GREEDY)
    assert table[[11, 12]].tolist() == [8, 16]


def test_quantizer_is_symmetric_and_on_its_levels():
    quantizer = KHotQuantizer(KHotConfig(bit_width=5, k=1, frac=0))
    x = torch.arange(-20.0, 21.0)
    codes = quantizer.codes(x)
    assert codes.tolist() == (-codes[::-1]).tolist()
    assert sorted(set(np.abs(codes).tolist())) == [0, 1, 2, 4, 8]
    assert quantizer(x).tolist() == codes.tolist()


def test_gradient_is_identity_in_range_and_learns_the_scale():
    quantizer = KHotQuantizer(KHotConfig(bit_width=5, k=1))
    x = torch.tensor([0.9, -0.4, 0.8, 3.0], requires_grad=True)
    quantizer(x.detach())
    with torch.no_grad():
        quantizer.frac.fill_(4.0)
    y = quantizer(x)
    assert y.tolist() == [0.5, -0.25, 0.5, 0.5]  # codes 14, -6 (a tie), 13, and 48 beyond 15
    y.sum().backward()
    assert x.grad.tolist() == [1.0, 1.0, 1.0, 0.0]
    expected = np.log(2.0) * (0.4 - 0.15 + 0.3 - 0.5)
    assert float(quantizer.frac.grad) == pytest.approx(expected, rel=1e-5)


def test_table_is_not_saved_but_the_binary_point_is():
    quantizer = KHotQuantizer(KHotConfig())
    assert set(quantizer.state_dict()) == {"frac", "max_abs", "observed"}


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"k": 0}, "k is 0, expected at least 1"),
        ({"bit_width": 17}, r"bit_width is 17, expected 2\.\.16"),
        ({"frac": 99}, "frac is 99"),
    ],
)
def test_bad_settings_are_named(settings, message):
    with pytest.raises(NumericError, match=message):
        KHotConfig(**settings)


def test_format_is_symmetric_fixed_point():
    assert KHotConfig(bit_width=6, frac=3).fixed_point().bit_width == 6
    assert isinstance(KHotConfig().fixed_point(), FixedPointConfig)
