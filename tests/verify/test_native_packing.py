"""The vectorised packer lays out beats as the bench's own packer does."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from hwgen.verify.native_packing import pack_octets, padding_is_zero, unpack_octets
from hwgen.verify.packing import BeatFormat


@st.composite
def formats(draw):
    bipolar = draw(st.booleans())
    width = 1 if bipolar else draw(st.integers(1, 40))
    lanes = draw(st.integers(1, 30))
    tdata_bits = -(-lanes * width // 8) * 8 + 8 * draw(st.integers(0, 9))
    return BeatFormat(lanes, width, not bipolar and draw(st.booleans()), bipolar, tdata_bits)


def random_codes(form, frames, beats, seed):
    rng = np.random.default_rng(seed)
    low = -(1 << (form.width - 1)) if form.signed else 0
    codes = rng.integers(low, low + (1 << form.width), (frames, beats * form.lanes))
    return 2 * codes - 1 if form.bipolar else codes


@given(formats(), st.integers(1, 4), st.integers(1, 5), st.integers(0, 1000))
def test_octets_are_the_beats_of_the_bench(form, frames, beats, seed):
    codes = random_codes(form, frames, beats, seed)
    octets = pack_octets(form, codes)
    size = form.tdata_bits // 8
    assert octets.shape == (frames, beats, size)
    expected = [[beat.to_bytes(size, "little") for beat in frame] for frame in form.pack(codes)]
    assert [[beat.tobytes() for beat in frame] for frame in octets] == expected


@given(formats(), st.integers(0, 4), st.integers(1, 5), st.integers(0, 1000))
def test_unpacking_gives_the_codes_back(form, frames, beats, seed):
    codes = random_codes(form, frames, beats, seed)
    octets = pack_octets(form, codes)
    got = unpack_octets(form, octets)
    assert got.dtype == np.int64
    assert got.shape == codes.shape
    assert np.array_equal(got, codes)
    assert padding_is_zero(form, octets)


@given(formats(), st.integers(0, 1000), st.data())
def test_any_bit_above_the_codes_is_seen(form, seed, data):
    used = form.lanes * form.width
    codes = random_codes(form, 2, 2, seed)
    octets = pack_octets(form, codes)
    if used == form.tdata_bits:
        assert padding_is_zero(form, np.full_like(octets, 255))
        return
    bit = data.draw(st.integers(used, form.tdata_bits - 1))
    octets[1, 0, bit // 8] |= 1 << (bit % 8)
    assert not padding_is_zero(form, octets)
    assert np.array_equal(unpack_octets(form, octets), codes)
