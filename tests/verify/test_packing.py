"""Codes and beats: `BeatFormat` against `CodeType` and plain shifts."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from hwgen.numeric import CodeType
from hwgen.verify.mismatch import beat_format

code_types = st.one_of(
    st.just(CodeType.binary()),
    st.tuples(st.integers(-(2**31), 2**31), st.integers(0, 2**32)).map(
        lambda t: CodeType(t[0], t[0] + t[1])
    ),
)


@given(code_types, st.integers(1, 9), st.integers(1, 4), st.integers(0, 2**32 - 1))
def test_round_trip_and_layout(codes, lanes, beats, seed):
    rng = np.random.default_rng(seed)
    frames = rng.integers(codes.lo, codes.hi + 1, (2, beats * lanes))
    if codes.bipolar:
        frames = np.where(frames >= 0, 1, -1)
    form = beat_format(codes, lanes)
    packed = form.pack(frames)
    assert [len(frame) for frame in packed] == [beats, beats]
    for frame, words in zip(packed, codes.to_bits(frames).tolist(), strict=True):
        assert frame == [
            sum(words[beat * lanes + k] << (k * codes.width) for k in range(lanes))
            for beat in range(beats)
        ]
        assert all(form.padding(beat) == 0 and beat < 1 << form.tdata_bits for beat in frame)
    np.testing.assert_array_equal(form.unpack(packed[1]), frames[1])


def test_padding_is_seen():
    form = beat_format(CodeType(0, 7), 3)
    assert form.tdata_bits == 16
    assert form.padding(0b1_000_000_000) == 1
    assert form.unpack([0b1_001_000_111]).tolist() == [7, 0, 1]


def test_no_beats():
    assert beat_format(CodeType(-2, 1), 2).unpack([]).tolist() == []
