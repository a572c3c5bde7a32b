"""Maximum over the taps of windows that overlap: max pooling behind `sliding_window`.

Padding by the lowest code of the image leaves the maximum what it is.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import ClassVar

import numpy as np

from hwgen.cost import Resources
from hwgen.ir import Codes, Op, Schedule, TensorType, expect
from hwgen.numeric import CodeType
from hwgen.ops.case import Case, Reject, bipolar_vector, vector
from hwgen.ops.lane_choices import divisors, expect_choice
from hwgen.ops.max_pool import larger_of
from hwgen.ops.pooling import pooling_resources
from hwgen.rtl.spatial import pooling
from hwgen.rtl.spatial.geometry import Axis, Geometry, expect_lanes
from hwgen.rtl.spatial.pooling import Pooling
from hwgen.rtl.stream.component import StreamComponent


@dataclass(frozen=True, eq=False)
class WindowMax(Op):
    """Turn windows (..., taps * C) into (..., C): the largest tap of each channel.

    Parameters
    ----------
    taps : KH * KW
    pe : channels of a tap a beat, a divisor of C
    pixels : taps a beat, a divisor of all; several only with pe = C
    """

    # what
    name: ClassVar[str] = "window_max"
    taps: int
    pe: int = 1
    pixels: int = 1

    def infer(self, *inputs: TensorType) -> TensorType:
        """The largest of codes of several intervals lies above the largest of their lower ends."""
        (x,) = inputs
        expect(
            self.taps > 0 and x.channels % self.taps == 0,
            f"{self.taps} taps do not divide the {x.channels} codes of a window",
        )
        channels = x.channels // self.taps
        expect_lanes(self.pe, channels)
        expect_choice("pixels", self.pixels, divisors(self.taps))
        expect(
            self.pixels == 1 or self.pe == channels,
            f"pixels is {self.pixels} with pe {self.pe}, expected pe {channels}: all channels",
        )
        shape = (*x.shape[:-1], channels)
        if x.channel_codes is None or x.codes.bipolar:
            return TensorType(shape, x.codes)
        taps = [x.channel_codes[c::channels] for c in range(channels)]
        each = tuple(CodeType(max(t.lo for t in own), max(t.hi for t in own)) for own in taps)
        return TensorType(shape, x.codes, each)

    # meaning
    def evaluate(self, *codes: Codes) -> Codes:
        """Return the maximum over the taps."""
        (x,) = codes
        taps = x.reshape(*x.shape[:-1], self.taps, -1)
        return np.asarray(taps.max(axis=-2), dtype=np.int64)

    # promise
    @property
    def lanes(self) -> tuple[int, int]:
        """Codes in an input beat and in an output beat."""
        return self.pixels * self.pe, self.pe

    def interval_cycles(self, *inputs: TensorType) -> int:
        """A beat a cycle."""
        return inputs[0].size // self.lanes[0]

    def foldings(self, *inputs: TensorType) -> tuple[WindowMax, ...]:
        """Parts of a tap, then several taps: as `sliding_window` gives them."""
        channels = inputs[0].channels // self.taps
        every = [(pe, 1) for pe in divisors(channels)]
        every += [(channels, m) for m in divisors(self.taps)[1:]]
        return tuple(replace(self, pe=pe, pixels=m) for pe, m in every)

    def _groups(self, x: TensorType) -> int:
        return x.channels // self.taps // self.pe

    def schedule(self, *inputs: TensorType) -> Schedule:
        """A beat a cycle; the beats of a window's last tap lead to its maxima."""
        (x,) = inputs
        beats = x.channels // self.lanes[0]
        gives = np.tile(np.arange(beats) >= beats - self._groups(x), x.vectors)
        return Schedule(np.ones(len(gives), dtype=bool), gives, pooling.DEPTH)

    def resources(self, *inputs: TensorType) -> Resources:
        """Predict the partial maxima."""
        (x,) = inputs
        bits = self.pe * x.codes.width
        joins = Resources(lut=(self.pixels - 1) * bits)
        return pooling_resources(self._groups(x), bits) + joins

    # hardware
    def hardware(self, *inputs: TensorType) -> StreamComponent:
        """Return a pooling unit for which a window is a row of the image, as wide as its taps."""
        (x,) = inputs
        beats = self.taps // self.pixels
        geometry = Geometry(Axis(x.vectors, 1), Axis(beats, beats, beats))
        larger, groups, members = larger_of(x.codes), self._groups(x), [range(self.pixels)]
        return Pooling(geometry, groups, larger, x.codes, x.codes, self.pe, self.pixels, members)


def _cases() -> tuple[Case, ...]:
    windows = TensorType((2, 3, 24), CodeType(-4, 3))
    each = tuple(CodeType(k - 5, 2 * k) for k in range(6))
    return (
        *(Case(WindowMax(6, pe), (windows,)) for pe in (1, 2, 4)),
        *(Case(WindowMax(6, 4, m), (windows,)) for m in (2, 6)),
        Case(WindowMax(9), (vector(9, 0, 200),)),
        Case(WindowMax(3, 2), (TensorType((6,), CodeType(-5, 10), each),)),
        Case(WindowMax(4, 2), (bipolar_vector(8),)),
        Case(WindowMax(1, 2), (vector(4, -3, 1),)),
    )


CASES = _cases()
REJECTS = (
    Reject(WindowMax(6, 4, 4), (vector(24, 0, 3),), "pixels is 4, expected one of [1, 2, 3, 6]"),
    Reject(WindowMax(5), (vector(24, 0, 3),), "5 taps do not divide the 24 codes of a window"),
    Reject(WindowMax(6, 3), (vector(24, 0, 3),), "pe is 3, expected a divisor of 4 channels"),
)
