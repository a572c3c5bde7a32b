"""`ScanPlan`: which beats of an image complete windows, for a unit that shifts the image through.

Pixel p of a frame is the p-th to be shifted in, so every tap of a window lies at a fixed distance
behind the window's last tap, however far a padded window reaches over the image's edge: there it
meets pixels of the neighbouring rows, which are replaced by the padding. A frame is a sequence of
shifts: until its last pixel has come and its last window is complete.

A shift takes `pixels` neighbours of a row at once and completes `windows` at most, which go out
together, in `beats` beats.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from hwgen.rtl.spatial.geometry import Axis, Geometry, Mask


@dataclass(frozen=True)
class ScanPlan:
    """The program of one frame.

    Parameters
    ----------
    geometry : kernel and image
    beats : output beats of a window; more than one only with one pixel a beat
    pixels : of an input beat, a divisor of the image's columns
    """

    geometry: Geometry
    beats: int = 1
    pixels: int = 1

    @property
    def windows(self) -> int:
        """Windows of an output beat: as many as keep the same distance to the beats of pixels."""
        return self.pixels // math.gcd(self.pixels, self.geometry.columns.stride)

    @property
    def line_beats(self) -> int:
        """Shifts from a pixel to the one below it.

        More than a row's beats only where padding makes more windows than a row has pixels.
        """
        columns = self.geometry.columns
        most = max(columns.size, (columns.windows - 1) * columns.stride + 1)
        return -(-most // self.pixels)

    @cached_property
    def _first_end(self) -> int:
        """Last pixel of the first windows that go out together."""
        rows, columns = self.geometry.rows, self.geometry.columns
        row, column = rows.reach - 1 - rows.before, columns.reach - 1 - columns.before
        line = self.line_beats * self.pixels
        return row * line + column + (self.windows - 1) * columns.stride

    @property
    def head(self) -> int:
        """Shifts before the one that completes the first windows."""
        return self._first_end // self.pixels

    @property
    def lag(self) -> int:
        """Pixels shifted in behind the last tap of the windows that go out."""
        return self.pixels - 1 - self._first_end % self.pixels

    @property
    def stride_beats(self) -> int:
        """Shifts from the windows that go out together to the next ones of the row."""
        return self.windows * self.geometry.columns.stride // self.pixels

    @property
    def image_shifts(self) -> int:
        """Shifts until the last pixel has come."""
        rows, columns = self.geometry.rows, self.geometry.columns
        return (rows.size - 1) * self.line_beats + columns.size // self.pixels

    @property
    def shifts(self) -> int:
        """Shifts of a frame."""
        rows, columns = self.geometry.rows, self.geometry.columns
        last_row = (rows.windows - 1) * rows.stride
        last_column = (columns.windows // self.windows - 1) * self.stride_beats
        return max(self.image_shifts, self.head + last_row * self.line_beats + last_column + 1)

    @property
    def steps(self) -> int:
        """Cycles of a frame: a shift is one, or as many as its windows have beats."""
        return self.shifts + self.geometry.windows // self.windows * (self.beats - 1)

    @property
    def register_pixels(self) -> int:
        """Pixels from the newest of a kernel row to its oldest tap when windows go out."""
        columns = self.geometry.columns
        return self.lag + (self.windows - 1) * columns.stride + columns.reach

    @cached_property
    def row_gives(self) -> Mask:
        """Whether windows end, for each row of shifts behind the head."""
        rows = self.geometry.rows
        length = -(-(self.shifts - self.head) // self.line_beats)
        return _every(length, rows.stride, rows.windows)

    @cached_property
    def column_gives(self) -> Mask:
        """Whether windows end, for each shift of a row behind the head."""
        groups = self.geometry.columns.windows // self.windows
        return _every(self.line_beats, self.stride_beats, groups)

    def row_outside(self, tap: int) -> Mask:
        """Whether kernel row `tap` lies outside, for each row of shifts behind the head."""
        return _outside(self.geometry.rows, tap, self.row_gives, 0, 1)

    def column_outside(self, tap: int, window: int) -> Mask:
        """Whether kernel column `tap` of the `window`-th window of a beat lies outside."""
        return _outside(self.geometry.columns, tap, self.column_gives, window, self.windows)

    @cached_property
    def padded_taps(self) -> int:
        """Taps of the windows of a beat that lie outside for some of them."""
        rows, columns = self.geometry.rows.kernel, self.geometry.columns.kernel
        down = np.array([self.row_outside(k).any() for k in range(rows)])
        across = [
            [self.column_outside(k, window).any() for k in range(columns)]
            for window in range(self.windows)
        ]
        return int((down[None, :, None] | np.array(across)[:, None, :]).sum())

    @cached_property
    def program(self) -> tuple[Mask, Mask]:
        """Which steps of a frame take a beat and which give one."""
        columns = self.geometry.columns
        shift = np.arange(self.shifts)
        takes = (shift < self.image_shifts) & (
            shift % self.line_beats < columns.size // self.pixels
        )
        gives = np.zeros(self.shifts, dtype=bool)
        ends = np.logical_and.outer(self.row_gives, self.column_gives).ravel()
        gives[self.head :] = ends[: self.shifts - self.head]
        lengths = np.where(gives, self.beats, 1)
        is_first = np.zeros(int(lengths.sum()), dtype=bool)
        is_first[np.cumsum(lengths) - lengths] = True
        return np.repeat(takes, lengths) & is_first, np.repeat(gives, lengths)


def _every(length: int, stride: int, count: int) -> Mask:
    """Return `length` flags, of which `count` are set, `stride` apart from the first on."""
    flags = np.zeros(length, dtype=bool)
    flags[: count * stride : stride] = True
    return flags


def _outside(axis: Axis, tap: int, gives: Mask, window: int, windows: int) -> Mask:
    """Return where `gives` is set and tap `tap` of every `windows`-th window lies outside."""
    flags = np.zeros(len(gives), dtype=bool)
    flags[gives] = ~axis.inside()[window::windows, tap]
    return flags
