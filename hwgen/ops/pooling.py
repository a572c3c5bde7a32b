"""What max and sum pooling share: windows that do not overlap, one partial result each.

Overlapping windows go through `sliding_window` first; `window_max` and `depthwise` reduce them.
"""

from __future__ import annotations

from abc import abstractmethod
from dataclasses import dataclass, replace
from typing import Self

import numpy as np

from hwgen.cost import Resources
from hwgen.ir import Codes, Op, Schedule, TensorType, expect
from hwgen.numeric import CodeType
from hwgen.ops.lane_choices import MOST_PIXELS, divisors, expect_choice
from hwgen.rtl.memory import lut_memory_resources
from hwgen.rtl.spatial import pooling
from hwgen.rtl.spatial.geometry import Axis, Geometry, expect_lanes
from hwgen.rtl.spatial.pooling import Pooling
from hwgen.rtl.stream.component import StreamComponent


def pooling_resources(words: int, bits: int) -> Resources:
    """Predict a memory of partial results, an adder or comparison a bit, and the counters."""
    partial = lut_memory_resources(max(words, 2), bits).lut
    return Resources(lut=partial + bits + 20, ff=bits + 12)


@dataclass(frozen=True, eq=False)
class Pool(Op):
    """Combine each window of an image (H, W, C) channel by channel, to (OH, OW, C).

    Taps in the padding do not take part.

    Parameters
    ----------
    kernel, stride : (rows, columns); no stride is below its kernel
    padding : (top, left, bottom, right)
    pe : channels of a pixel a beat, a divisor of C
    pixels : pixels a beat, several only with pe = C: whole windows, or parts of one window
    """

    # what
    kernel: tuple[int, int]
    stride: tuple[int, int]
    padding: tuple[int, int, int, int] = (0, 0, 0, 0)
    pe: int = 1
    pixels: int = 1

    def geometry(self, x: TensorType) -> Geometry:
        """Return where the windows lie on image `x`, checked.

        Raises
        ------
        IRError : when windows overlap or do not fit
        """
        geometry = Geometry.over(x, self.kernel, self.stride, (1, 1), self.padding)
        expect_lanes(self.pe, x.channels)
        expect_choice("pixels", self.pixels, _pixel_choices(geometry.columns))
        expect(
            self.pixels == 1 or self.pe == x.channels,
            f"pixels is {self.pixels} with pe {self.pe}, expected pe {x.channels}: all channels",
        )
        expect(
            self.stride[0] >= self.kernel[0] and self.stride[1] >= self.kernel[1],
            f"windows overlap, stride {self.stride} is below kernel {self.kernel}; put "
            "sliding_window in front and reduce its windows",
        )
        return geometry

    def pooled(self, x: TensorType, geometry: Geometry) -> tuple[int, int, int]:
        """Return the shape of the result."""
        return (geometry.rows.windows, geometry.columns.windows, x.channels)

    # meaning
    def taps(self, x: Codes, outside: int) -> Codes:
        """Return the taps [frames, OH, OW, taps, C], `outside` in the padding."""
        geometry = self.geometry(TensorType(x.shape[1:], CodeType(0, 0)))
        top, left, bottom, right = self.padding
        room = ((0, 0), (top, bottom), (left, right), (0, 0))
        padded = np.pad(x, room, constant_values=outside)
        rows, columns = geometry.rows.taps() + top, geometry.columns.taps() + left
        taps = padded[:, rows[:, :, None, None], columns[None, None]].transpose(0, 1, 3, 2, 4, 5)
        return taps.reshape(*taps.shape[:3], -1, taps.shape[-1])

    # promise
    @property
    def lanes(self) -> tuple[int, int]:
        """Codes in an input beat and in an output beat."""
        return self.pixels * self.pe, self._beat_windows * self.pe

    @property
    def _beat_windows(self) -> int:
        return max(self.pixels // self.stride[1], 1)

    def beats(self, x: TensorType) -> Geometry:
        """Return where the windows lie on the beats of a row: as on pixels, but fewer."""
        geometry = self.geometry(x)
        columns, m = geometry.columns, self.pixels
        if m == 1:
            return geometry
        kernel, stride = max(columns.kernel // m, 1), max(columns.stride // m, 1)
        return Geometry(geometry.rows, Axis(columns.size // m, kernel, stride))

    def interval_cycles(self, *inputs: TensorType) -> int:
        """A beat a cycle."""
        return inputs[0].size // (self.pixels * self.pe)

    def foldings(self, *inputs: TensorType) -> tuple[Self, ...]:
        """Parts of a pixel, then several pixels."""
        (x,) = inputs
        pixels = _pixel_choices(self.geometry(x).columns)[1:]
        every = [(pe, 1) for pe in divisors(x.channels)]
        every += [(x.channels, m) for m in pixels if m <= MOST_PIXELS]
        return tuple(replace(self, pe=pe, pixels=m) for pe, m in every)

    def schedule(self, *inputs: TensorType) -> Schedule:
        """A beat a cycle; one leaves where a window's last pixel comes."""
        (x,) = inputs
        geometry = self.beats(x)
        last = np.logical_and.outer(
            pooling.axis_flags(geometry.rows)[2], pooling.axis_flags(geometry.columns)[2]
        )
        gives = np.repeat(last.ravel(), x.channels // self.pe)
        return Schedule(np.ones(len(gives), dtype=bool), gives, pooling.DEPTH)

    def _partial_words(self, x: TensorType) -> int:
        return self.beats(x).columns.windows * (x.channels // self.pe)

    def resources(self, *inputs: TensorType) -> Resources:
        """Predict the row of partial results."""
        (x,) = inputs
        width = self.infer(x).codes.width
        # Each pixel of a beat beyond those the memory has a word for joins by itself.
        joins = (self.lanes[0] - self.lanes[1]) * width
        partial = pooling_resources(self._partial_words(x), self.lanes[1] * width)
        return partial + Resources(lut=joins)

    def memory_bits(self, *inputs: TensorType) -> int:
        """Bits of the partial results."""
        (x,) = inputs
        return self._partial_words(x) * self.lanes[1] * self.infer(x).codes.width

    # hardware
    @abstractmethod
    def combine(self, inputs: CodeType, outputs: CodeType) -> pooling.Combine:
        """Return how a code joins a partial result."""

    def hardware(self, *inputs: TensorType) -> StreamComponent:
        """Return the row of partial results."""
        (x,) = inputs
        outputs = self.infer(x).codes
        combine = self.combine(x.codes, outputs)
        groups, stride = x.channels // self.pe, self.stride[1]
        windows = [
            range(w * stride, w * stride + self.kernel[1]) for w in range(self._beat_windows)
        ]
        members = windows if self.pixels >= stride else [range(self.pixels)]
        return Pooling(
            self.beats(x), groups, combine, x.codes, outputs, self.pe, self.pixels, members
        )


def _pixel_choices(columns: Axis) -> list[int]:
    """Return how many pixels a beat may hold: those of whole windows, or a part of one's."""
    if columns.before or columns.after:
        return [1]
    whole = columns.windows * columns.stride == columns.size
    return [
        m
        for m in divisors(columns.size)
        if (whole and m % columns.stride == 0)
        or (columns.stride % m == 0 and columns.kernel % m == 0)
    ]
