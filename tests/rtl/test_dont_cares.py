"""Memories with addresses that never come: right where they count, and never dearer for it."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hwgen.rtl.dont_cares import fewest_inputs, parts_of, sparse_resources
from hwgen.rtl.rom import rom_luts, rom_resources


def memory(bits: int, width: int, share: float, seed: int):
    rng = np.random.default_rng(seed)
    words = rng.integers(0, 1 << width, 1 << bits)
    return words, rng.random(1 << bits) < share


@given(st.integers(1, 9), st.integers(1, 8), st.floats(0, 1), st.integers(0, 99))
def test_parts_give_every_word_that_counts(bits, width, share, seed):
    words, known = memory(bits, width, share, seed)
    address = np.arange(len(words))
    found = np.zeros_like(words)
    parts = parts_of(words, known, width)
    for part in parts:
        index = sum(
            ((address >> place & 1) << k for k, place in enumerate(part.inputs)), 0 * address
        )
        for k, bit in enumerate(part.bits):
            found |= (np.array(part.words)[index] >> k & 1) << bit
    assert np.array_equal(found[known], words[known])
    assert sorted(bit for part in parts for bit in part.bits) == list(range(width))
    assert sparse_resources(words, known, width).lut <= max(
        rom_resources(len(words), width).lut, rom_luts(len(words), width)
    )


def test_a_bit_keeps_only_the_inputs_that_it_depends_on():
    address = np.arange(256)
    known = address < 200
    values = (address >> 2 & 1) ^ (address >> 7 & 1)
    inputs, table = fewest_inputs(values, known)
    assert inputs == (2, 7)
    assert table.tolist() == [0, 1, 1, 0]


def test_what_is_not_known_may_be_anything():
    values, known = np.array([0, 1, 1, 1]), np.array([False, True, True, True])
    assert [len(part) for part in fewest_inputs(values, known)] == [0, 1]


@pytest.mark.parametrize("reachable", [130, 160, 256])
def test_codes_that_never_come_are_free(reachable):
    """Of a sigmoid on 8 bits; the more addresses are free, the fewer the LUTs."""
    address = np.arange(256)
    words = np.round(63 / (1 + np.exp((100 - address) / 20))).astype(np.int64)
    known = address < reachable
    luts = sparse_resources(words, known, 6).lut
    assert luts <= sparse_resources(words, known | True, 6).lut <= rom_luts(256, 6)
