"""Slice: a part of an image or a vector; also every n-th row or column."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from functools import reduce
from typing import ClassVar

import numpy as np

from hwgen.cost import Resources
from hwgen.ir import Codes, Op, Schedule, TensorType, expect
from hwgen.numeric import CodeType
from hwgen.ops.case import Case, Reject, bipolar_vector, vector
from hwgen.ops.lane_choices import (
    MOST_PIXELS,
    divisors,
    expect_choice,
    window_pixels,
)
from hwgen.rtl.spatial import selection
from hwgen.rtl.spatial.geometry import Axis, Geometry, Mask, expect_lanes
from hwgen.rtl.spatial.scan_plan import ScanPlan
from hwgen.rtl.spatial.selection import Selection
from hwgen.rtl.spatial.window_unit import ShiftedWindows
from hwgen.rtl.stream.component import StreamComponent


@dataclass(frozen=True, eq=False)
class Slice(Op):
    """Keep indices begin, begin + step, ... below end of every axis.

    Parameters
    ----------
    begin, end, step : for each axis; begin and end of the channels are multiples of pe, their
        step is 1
    pe : channels a beat
    pixels : of a row of an image a beat, a divisor of W; several only with pe = C and all channels.
        With a step s along the rows, pixels / gcd(pixels, s) stay of a beat, and divide what stays
        of a row
    """

    # what
    name: ClassVar[str] = "slice"
    begin: tuple[int, ...]
    end: tuple[int, ...]
    step: tuple[int, ...]
    pe: int = 1
    pixels: int = 1

    def infer(self, *inputs: TensorType) -> TensorType:
        """Codes stay what they are."""
        (x,) = inputs
        axes = (len(self.begin), len(self.end), len(self.step))
        expect(set(axes) == {len(x.shape)}, f"begin, end, step have {axes} axes, input {x.shape}")
        for size, begin, end, step in zip(x.shape, *self._bounds, strict=True):
            expect(
                0 <= begin < end <= size and step >= 1,
                f"{begin}:{end}:{step} is not a part of 0:{size}",
            )
        expect(self.step[-1] == 1, f"step of the channels is {self.step[-1]}, expected 1")
        expect_lanes(self.pe, x.channels)
        expect(
            self.begin[-1] % self.pe == 0 and self.end[-1] % self.pe == 0,
            f"channels {self.begin[-1]}:{self.end[-1]} are not multiples of pe {self.pe}",
        )
        expect_choice("pixels", self.pixels, self._pixel_choices(x))
        expect(
            self.pixels == 1 or self.pe == x.channels,
            f"pixels is {self.pixels} with pe {self.pe}, expected pe {x.channels}: all channels",
        )
        shape = tuple(len(range(*bounds)) for bounds in zip(*self._bounds, strict=True))
        own = x.channel_codes
        return TensorType(shape, x.codes, own and own[self.begin[-1] : self.end[-1]])

    @property
    def _bounds(self) -> tuple[tuple[int, ...], ...]:
        return self.begin, self.end, self.step

    def _pixel_choices(self, x: TensorType) -> list[int]:
        """Return how many pixels a beat may hold: several only of whole pixels of an image."""
        whole = len(x.shape) == 3 and self.end[-1] - self.begin[-1] == x.channels
        return window_pixels(self._geometry(x)) if whole else [1]

    def _geometry(self, x: TensorType) -> Geometry:
        """Return what stays of an image as 1x1 windows, those of less than no padding."""
        bounds = zip(x.shape[:2], *(ends[:2] for ends in self._bounds), strict=True)
        rows, columns = (
            Axis(size, 1, step, before=-begin, after=end - size)
            for size, begin, end, step in bounds
        )
        return Geometry(rows, columns)

    def _unit(self, x: TensorType) -> ShiftedWindows:
        """Return what gives several pixels a beat."""
        return ShiftedWindows(ScanPlan(self._geometry(x), 1, self.pixels), x.channels)

    # meaning
    def evaluate(self, *codes: Codes) -> Codes:
        """Return the part."""
        (x,) = codes
        return x[(slice(None), *(slice(*bounds) for bounds in zip(*self._bounds, strict=True)))]

    # promise
    @property
    def lanes(self) -> tuple[int, int]:
        """Codes in an input beat and in an output beat."""
        kept = self.pixels // math.gcd(self.pixels, self.step[-2]) if self.pixels > 1 else 1
        return self.pixels * self.pe, kept * self.pe

    def interval_cycles(self, *inputs: TensorType) -> int:
        """A beat a cycle, and what it takes to show the last ones."""
        (x,) = inputs
        return self._unit(x).steps if self.pixels > 1 else x.size // self.pe

    def foldings(self, *inputs: TensorType) -> tuple[Slice, ...]:
        """Parts of a pixel that the channels' ends are multiples of; then several pixels."""
        (x,) = inputs
        parts = divisors(math.gcd(self.begin[-1], self.end[-1], x.channels))
        several = [m for m in self._pixel_choices(x)[1:] if m <= MOST_PIXELS]
        whole = (replace(self, pe=x.channels, pixels=m) for m in several)
        return (*(replace(self, pe=pe, pixels=1) for pe in parts), *whole)

    def _chosen(self, x: TensorType) -> list[Mask]:
        """Return for each axis which indices stay; the last axis in beats."""
        chosen = [np.zeros(size, dtype=bool) for size in x.shape]
        for flags, *bounds in zip(chosen, *self._bounds, strict=True):
            flags[slice(*bounds)] = True
        chosen[-1] = chosen[-1][:: self.pe]
        return chosen

    def schedule(self, *inputs: TensorType) -> Schedule:
        """Every beat is taken, those of the part are given."""
        if self.pixels > 1:
            unit = self._unit(inputs[0])
            return Schedule(*unit.program, unit.depth)
        gives = reduce(np.logical_and.outer, self._chosen(inputs[0])).ravel()
        return Schedule(np.ones(len(gives), dtype=bool), gives, selection.DEPTH)

    def resources(self, *inputs: TensorType) -> Resources:
        """Predict the counters, the comparisons and the output register."""
        (x,) = inputs
        if self.pixels > 1:
            return self._unit(x).resources(x.codes.width, x.codes.width)
        counters = sum(size.bit_length() for size in x.shape)
        bits = self.pe * x.codes.width
        return Resources(lut=0.6 * counters + 1, ff=counters + bits)

    # hardware
    def hardware(self, *inputs: TensorType) -> StreamComponent:
        """Return a selection of beats, or of pixels in a beat."""
        (x,) = inputs
        if self.pixels > 1:
            return self._unit(x).hardware(x, x.codes, 0)
        return Selection(self._chosen(x), x.codes, self.pe)


def _cases() -> tuple[Case, ...]:
    image = TensorType((5, 6, 4), CodeType(-4, 3))
    wide, bits = TensorType((4, 8, 2), CodeType(-4, 3)), CodeType.binary()
    each = TensorType((2, 4), CodeType(-3, 9), tuple(CodeType(-k, 2 * k) for k in range(4)))
    return (
        Case(Slice((1, 2, 0), (4, 6, 4), (1, 1, 1), 2), (image,)),
        Case(Slice((0, 1, 2), (5, 6, 4), (2, 3, 1), 2), (image,)),
        Case(Slice((4, 5, 3), (5, 6, 4), (1, 1, 1)), (image,)),
        Case(Slice((0, 0, 0), (5, 6, 4), (1, 1, 1), 4), (image,)),
        Case(Slice((2,), (5,), (1,)), (vector(6, 0, 9),)),
        Case(Slice((2,), (6,), (1,), 2), (bipolar_vector(6),)),
        Case(Slice((1, 1), (2, 3), (1, 1)), (each,)),
        Case(Slice((1, 3, 0), (4, 7, 2), (1, 1, 1), 2, 2), (wide,)),
        Case(Slice((0, 1, 0), (4, 8, 2), (2, 2, 1), 2, 4), (wide,)),
        Case(Slice((2, 0, 0), (3, 4, 2), (1, 1, 1), 2, 4), (wide,)),
        Case(Slice((0, 5, 0), (3, 8, 1), (1, 2, 1), pixels=2), (TensorType((3, 8, 1), bits),)),
        Case(Slice((0, 2, 0), (1, 8, 3), (1, 3, 1), 3, 2), (TensorType((1, 8, 3), bits),)),
    )


CASES = _cases()
REJECTS = (
    Reject(
        Slice((0, 1, 0), (2, 8, 2), (1, 1, 1), 2, 2),
        (TensorType((2, 8, 2), CodeType(0, 1)),),
        "pixels is 2, expected one of [1]",
    ),
    Reject(
        Slice((0, 2, 0), (2, 8, 1), (1, 1, 1), 1, 2),
        (TensorType((2, 8, 2), CodeType(0, 1)),),
        "pixels is 2, expected one of [1]",
    ),
    Reject(
        Slice((0, 2, 0), (2, 8, 2), (1, 1, 1), 1, 2),
        (TensorType((2, 8, 2), CodeType(0, 1)),),
        "pixels is 2 with pe 1, expected pe 2: all channels",
    ),
    Reject(Slice((2,), (7,), (1,)), (vector(6, 0, 9),), "2:7:1 is not a part of 0:6"),
    Reject(Slice((0,), (6,), (2,)), (vector(6, 0, 9),), "step of the channels is 2, expected 1"),
    Reject(
        Slice((1,), (4,), (1,), 2),
        (vector(6, 0, 9),),
        "channels 1:4 are not multiples of pe 2",
    ),
    Reject(
        Slice((1, 1), (4, 4), (1, 1)),
        (vector(6, 0, 9),),
        "begin, end, step have (2, 2, 2) axes, input (6,)",
    ),
)
