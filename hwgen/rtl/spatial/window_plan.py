"""`WindowPlan`: when a line buffer takes pixels and when it gives windows, fixed at compile time.

A frame is a sequence of segments: first the head, which takes what the first window needs, then
one segment a window. A segment gives its window, a beat a step from its first step on, and takes
pixels for later windows, likewise from its first step on; it is as long as the longer of the two.
A window takes `burst` pixels until the share of its row of windows is used up; the last of the row
takes the rest. The shares are what the first window of the next row needs, so a window is complete
when its segment begins, and the buffer never holds a pixel longer than some window needs it.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from hwgen.ir import Codes
from hwgen.rtl.spatial.geometry import Geometry, Mask


@dataclass(frozen=True)
class WindowPlan:
    """The program of one frame.

    Parameters
    ----------
    geometry : kernel and image
    groups : beats of a pixel
    """

    geometry: Geometry
    groups: int

    @cached_property
    def _last_needed(self) -> Codes:
        """Last pixel that the windows up to each one need, [OH, OW], in stream order."""
        rows, columns = self.geometry.rows, self.geometry.columns
        last = rows.ends()[1][:, None] * columns.size + columns.ends()[1][None, :]
        return np.maximum.accumulate(last.ravel()).reshape(last.shape)

    @cached_property
    def _first_needed(self) -> Codes:
        """First pixel that each window or a later one needs, [OH, OW]."""
        rows, columns = self.geometry.rows, self.geometry.columns
        first = rows.ends()[0][:, None] * columns.size + columns.ends()[0][None, :]
        return np.minimum.accumulate(first.ravel()[::-1])[::-1].reshape(first.shape)

    @property
    def head_pixels(self) -> int:
        """Pixels taken before the first window."""
        return int(self._last_needed[0, 0]) + 1

    @cached_property
    def row_pixels(self) -> tuple[int, ...]:
        """Pixels taken during each row of windows; the last row takes what is left."""
        starts = self._last_needed[:, 0]
        ends = np.append(starts[1:], self.geometry.pixels - 1)
        return tuple((ends - starts).tolist())

    @cached_property
    def burst(self) -> int:
        """Pixels a window takes, the last of a row excepted.

        As few as keep the next window complete and leave the last of the row no more than fit
        beside its own beats: what is taken early only waits in the buffer.
        """
        windows = self.geometry.columns.windows
        if windows == 1:
            return 1
        needed = int(np.diff(self._last_needed, axis=1).max())
        most = max(self.row_pixels[:-1], default=0)
        return max(needed, -(-(most - self.geometry.taps) // (windows - 1)), 1)

    @cached_property
    def _taken(self) -> Codes:
        """Last pixel that has been taken when each window's segment ends, [OH, OW]."""
        starts, shares = self._last_needed[:, :1], np.array(self.row_pixels)[:, None]
        turns = np.arange(1, self.geometry.columns.windows + 1) * self.burst
        taken = starts + np.minimum(shares, turns[None, :])
        taken[:, -1:] = starts + shares
        return np.asarray(taken, dtype=np.int64)

    @cached_property
    def depth_pixels(self) -> int:
        """Pixels that the buffer must hold."""
        return int((self._taken - self._first_needed).max()) + 1

    @cached_property
    def _segments(self) -> tuple[Codes, Codes]:
        """Beats that each segment takes and gives, the head first."""
        ends = np.concatenate([[-1, self.head_pixels - 1], self._taken.ravel()])
        takes = np.diff(ends) * self.groups
        gives = np.full(len(takes), self.geometry.taps * self.groups)
        gives[0] = 0
        return takes, gives

    @cached_property
    def steps(self) -> int:
        """Cycles of a frame."""
        return int(np.maximum(*self._segments).sum())

    @cached_property
    def program(self) -> tuple[Mask, Mask]:
        """Which steps of a frame take a beat and which give one."""
        takes, gives = self._segments
        lengths = np.maximum(takes, gives)
        begins = np.cumsum(lengths) - lengths
        position = np.arange(int(lengths.sum())) - np.repeat(begins, lengths)
        return position < np.repeat(takes, lengths), position < np.repeat(gives, lengths)
