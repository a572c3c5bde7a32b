"""Codes to AXI4-Stream beats and back, vectorised.

A beat holds `lanes` codes, lane 0 in the low bits, each in its `width` bits, zeros above. This
file needs numpy alone: a copy of it lies in every build directory's `tb/`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Codes = npt.NDArray[np.int64]


@dataclass(frozen=True)
class BeatFormat:
    """How codes lie in a beat.

    Parameters
    ----------
    lanes : codes in a beat
    width : bits of a code
    signed : two's complement
    bipolar : one bit, 0 for -1 and 1 for +1
    tdata_bits : width of TDATA, at least lanes * width
    """

    lanes: int
    width: int
    signed: bool
    bipolar: bool
    tdata_bits: int

    def pack(self, codes: Codes) -> list[list[int]]:
        """Return the beats of each frame.

        Parameters
        ----------
        codes : int64 [frames, ...]; a frame's size is a multiple of `lanes`

        Examples
        --------
        >>> BeatFormat(2, 4, True, False, 8).pack(np.array([[1, -1, -8, 7]]))
        [[241, 120]]
        """
        words = (codes + 1) >> 1 if self.bipolar else codes
        beats = words.reshape(len(codes), -1, self.lanes)
        bits = (beats[..., None] >> np.arange(self.width)) & 1
        packed = np.packbits(
            bits.reshape(*beats.shape[:2], -1).astype(np.uint8), axis=-1, bitorder="little"
        )
        return [[int.from_bytes(row.tobytes(), "little") for row in frame] for frame in packed]

    def unpack(self, beats: Sequence[int]) -> Codes:
        """Return the codes of `beats`, flat; bits above the last lane are ignored.

        Examples
        --------
        >>> BeatFormat(2, 4, True, False, 8).unpack([241, 120])
        array([ 1, -1, -8,  7])
        """
        if not beats:
            return np.zeros(0, dtype=np.int64)
        used = self.lanes * self.width
        size = -(-used // 8)
        mask = (1 << used) - 1
        data = b"".join((beat & mask).to_bytes(size, "little") for beat in beats)
        octets = np.frombuffer(data, dtype=np.uint8).reshape(len(beats), size)
        bits = np.unpackbits(octets, axis=-1, bitorder="little")[:, :used].astype(np.int64)
        words = bits.reshape(len(beats) * self.lanes, self.width) @ (1 << np.arange(self.width))
        if self.bipolar:
            return np.asarray(2 * words - 1, dtype=np.int64)
        if self.signed:
            words = words - ((words >> (self.width - 1)) << self.width)
        return np.asarray(words, dtype=np.int64)

    def padding(self, beat: int) -> int:
        """Return the bits of `beat` above its last lane, which must be zero."""
        return beat >> (self.lanes * self.width)
