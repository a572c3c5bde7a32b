"""Where the taps of a sliding kernel fall: one `Axis` for rows, one for columns."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from hwgen.ir import Codes, TensorType, expect

Mask = npt.NDArray[np.bool_]


@dataclass(frozen=True)
class Axis:
    """A kernel sliding along one axis.

    Parameters
    ----------
    size : positions of the image
    kernel, stride, dilation : taps, distance of windows, distance of taps
    before, after : padding at both ends

    Examples
    --------
    >>> Axis(5, kernel=3, stride=2, before=1, after=1).taps().tolist()
    [[-1, 0, 1], [1, 2, 3], [3, 4, 5]]
    """

    size: int
    kernel: int
    stride: int = 1
    dilation: int = 1
    before: int = 0
    after: int = 0

    @property
    def reach(self) -> int:
        """Positions from the first tap to the last."""
        return (self.kernel - 1) * self.dilation + 1

    @property
    def windows(self) -> int:
        """How many windows fit."""
        return (self.before + self.size + self.after - self.reach) // self.stride + 1

    def taps(self) -> Codes:
        """Return the position of each tap [windows, kernel], outside 0..size-1 in the padding."""
        starts = np.arange(self.windows, dtype=np.int64) * self.stride - self.before
        return starts[:, None] + np.arange(self.kernel, dtype=np.int64) * self.dilation

    def inside(self) -> Mask:
        """Return which taps fall on the image, [windows, kernel]."""
        taps = self.taps()
        return (taps >= 0) & (taps < self.size)

    def ends(self) -> tuple[Codes, Codes]:
        """Return the first and the last position on the image of each window."""
        taps, inside = self.taps(), self.inside()
        first = np.where(inside, taps, self.size).min(axis=1)
        return first, np.where(inside, taps, -1).max(axis=1)

    def check(self, what: str) -> None:
        """Check that windows exist and that each holds a position of the image.

        Raises
        ------
        IRError : naming `what`, rows or columns
        """
        parameters = (self.kernel, self.stride, self.dilation)
        expect(
            min(parameters) >= 1, f"{what}: kernel, stride, dilation {parameters}, expected >= 1"
        )
        expect(min(self.before, self.after) >= 0, f"{what}: padding is negative, use slice")
        room = self.before + self.size + self.after
        expect(
            self.reach <= room,
            f"{what}: the kernel reaches over {self.reach}, the padded image has {room}",
        )
        expect(
            bool(self.inside().any(axis=1).all()),
            f"{what}: padding {self.before}, {self.after} makes a window of padding alone; "
            f"expected less than {self.reach}",
        )


Pair = tuple[int, int]
Padding = tuple[int, int, int, int]  # top, left, bottom, right, as ONNX orders them


@dataclass(frozen=True)
class Geometry:
    """A kernel sliding over an image, row by row."""

    rows: Axis
    columns: Axis

    @classmethod
    def over(
        cls, x: TensorType, kernel: Pair, stride: Pair, dilation: Pair, padding: Padding
    ) -> Geometry:
        """Return the geometry over image type `x`, checked.

        Raises
        ------
        IRError : when `x` is no image or the kernel does not fit
        """
        expect(len(x.shape) == 3, f"shape is {list(x.shape)}, expected an image [H, W, C]")
        top, left, bottom, right = padding
        rows = Axis(x.shape[0], kernel[0], stride[0], dilation[0], top, bottom)
        columns = Axis(x.shape[1], kernel[1], stride[1], dilation[1], left, right)
        rows.check("rows")
        columns.check("columns")
        return cls(rows, columns)

    @property
    def taps(self) -> int:
        """Taps of a window."""
        return self.rows.kernel * self.columns.kernel

    @property
    def pixels(self) -> int:
        """Pixels of the image."""
        return self.rows.size * self.columns.size

    @property
    def windows(self) -> int:
        """Windows of the image."""
        return self.rows.windows * self.columns.windows

    @property
    def padded_taps(self) -> Mask:
        """Return which taps [KH * KW] fall into the padding in some window."""
        row, column = ((~axis.inside()).any(axis=0) for axis in (self.rows, self.columns))
        return np.logical_or.outer(row, column).ravel()


def expect_lanes(pe: int, channels: int) -> None:
    """Check that beats of `pe` codes make up a pixel."""
    expect(pe > 0 and channels % pe == 0, f"pe is {pe}, expected a divisor of {channels} channels")
