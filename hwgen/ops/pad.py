"""Pad: a border of one code around an image.

A convolution needs none, its `sliding_window` pads by itself.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import ClassVar

import numpy as np

from hwgen.cost import Resources
from hwgen.ir import Codes, Op, Schedule, TensorType, expect
from hwgen.numeric import CodeType
from hwgen.ops.case import Case, Reject
from hwgen.ops.lane_choices import MOST_PIXELS, divisors, expect_pixels
from hwgen.rtl.spatial import border
from hwgen.rtl.stream.component import StreamComponent


@dataclass(frozen=True, eq=False)
class Pad(Op):
    """Put rows and columns of `pad_code` around an image (H, W, C).

    Parameters
    ----------
    padding : (top, left, bottom, right)
    pad_code : a code of the image's type or a new one; bipolar images take -1 or 1
    pe : channels a beat, a divisor of C
    pixels : of a row a beat, a divisor of both rows, without and with the border; several only
        with pe = C
    """

    # what
    name: ClassVar[str] = "pad"
    padding: tuple[int, int, int, int]
    pad_code: int = 0
    pe: int = 1
    pixels: int = 1

    def infer(self, *inputs: TensorType) -> TensorType:
        """A larger image, whose codes include `pad_code`."""
        (x,) = inputs
        expect(len(x.shape) == 3, f"shape is {list(x.shape)}, expected an image [H, W, C]")
        expect(
            min(self.padding) >= 0 < max(self.padding),
            f"padding is {self.padding}, expected none below and one above 0",
        )
        expect_pixels(self.pe, self.pixels, x.channels, self._pixel_choices(x))
        expect(
            not x.codes.bipolar or abs(self.pad_code) == 1,
            f"pad_code is {self.pad_code}, a bipolar image takes -1 or 1",
        )
        own = x.channel_codes
        each = tuple(self._padded(codes) for codes in own) if own else None
        top, left, bottom, right = self.padding
        shape = (top + x.shape[0] + bottom, left + x.shape[1] + right, x.channels)
        return TensorType(shape, self._padded(x.codes), each)

    def _pixel_choices(self, x: TensorType) -> list[int]:
        """Return the beats that make up a row of the image and one of the result."""
        columns = x.shape[1]
        return divisors(math.gcd(columns, self.padding[1] + columns + self.padding[3]))

    def _padded(self, codes: CodeType) -> CodeType:
        if codes.bipolar:
            return codes
        return CodeType(min(codes.lo, self.pad_code), max(codes.hi, self.pad_code))

    # meaning
    def evaluate(self, *codes: Codes) -> Codes:
        """Return the image with its border."""
        top, left, bottom, right = self.padding
        room = ((0, 0), (top, bottom), (left, right), (0, 0))
        return np.pad(codes[0], room, constant_values=self.pad_code)

    # promise
    @property
    def lanes(self) -> tuple[int, int]:
        """Codes in an input beat and in an output beat."""
        return self.pixels * self.pe, self.pixels * self.pe

    def interval_cycles(self, *inputs: TensorType) -> int:
        """A beat of the result a cycle."""
        return self.infer(*inputs).size // (self.pixels * self.pe)

    def foldings(self, *inputs: TensorType) -> tuple[Pad, ...]:
        """Parts of a pixel; then several pixels."""
        (x,) = inputs
        parts = [(pe, 1) for pe in divisors(x.channels)]
        whole = [(x.channels, m) for m in self._pixel_choices(x)[1:] if m <= MOST_PIXELS]
        return tuple(replace(self, pe=pe, pixels=m) for pe, m in parts + whole)

    def _plan(self, x: TensorType) -> border.BorderPlan:
        return border.BorderPlan((x.shape[0], x.shape[1]), self.padding, self.pixels)

    def schedule(self, *inputs: TensorType) -> Schedule:
        """A beat of the result a cycle. A frame begins with its first beat, as all frames do."""
        (x,) = inputs
        takes = self._plan(x).takes(x.channels // self.pe)
        return Schedule(takes, np.ones(len(takes), dtype=bool), border.DEPTH)

    def resources(self, *inputs: TensorType) -> Resources:
        """Predict the counters, a multiplexer and one to three registers."""
        (x,), out, plan = inputs, self.infer(*inputs), self._plan(inputs[0])
        bits = self.pixels * self.pe * out.codes.width
        counters = sum(size.bit_length() for size in out.shape)
        kept = bits * (1 + plan.leads) + plan.lag * self.pe * x.codes.width
        return Resources(lut=counters + bits, ff=counters + kept)

    # hardware
    def hardware(self, *inputs: TensorType) -> StreamComponent:
        """Return the counters and the multiplexer."""
        (x,), groups = inputs, inputs[0].channels // self.pe
        pad_code, lanes = np.array([self.pad_code]), self.lanes[0]
        codes = self.infer(x).codes
        return border.Border(self._plan(x), x.codes, codes, pad_code, lanes, groups)


def _cases() -> tuple[Case, ...]:
    image = TensorType((2, 3, 4), CodeType(-4, 3))
    each = TensorType((2, 2, 2), CodeType(0, 9), (CodeType(3, 9), CodeType(0, 2)))
    bits = TensorType((3, 2, 2), CodeType.binary())
    wide = TensorType((2, 8, 2), CodeType(-4, 3))
    return (
        *(Case(Pad((1, 1, 1, 1), pe=pe), (image,)) for pe in (1, 2, 4)),
        Case(Pad((0, 0, 2, 1)), (image,)),
        Case(Pad((0, 0, 0, 2), pe=4), (image,)),
        Case(Pad((2, 0, 0, 0), pe=2), (image,)),
        Case(Pad((0, 3, 1, 0), -9, pe=2), (each,)),
        Case(Pad((1, 1, 1, 1), 1, pe=2), (bits,)),
        Case(Pad((0, 1, 1, 0), -1), (bits,)),
        Case(Pad((1, 1, 1, 1), pe=2, pixels=2), (wide,)),
        Case(Pad((2, 1, 0, 3), 8, 2, 4), (wide,)),
        Case(Pad((0, 1, 0, 3), 9, 2, 2), (wide,)),
        Case(Pad((0, 3, 1, 1), -5, 2, 2), (wide,)),
        Case(Pad((0, 2, 0, 0), pe=2, pixels=2), (wide,)),
        Case(Pad((1, 0, 0, 2), 1, 2, 2), (TensorType((2, 4, 2), CodeType.binary()),)),
        Case(Pad((1, 1, 1, 1), 12), (TensorType((1, 1, 1), CodeType(5, 6)),)),
    )


CASES = _cases()
REJECTS = (
    Reject(
        Pad((1, 1, 1, 1), pixels=3),
        (TensorType((2, 4, 1), CodeType(0, 1)),),
        "pixels is 3, expected one of [1, 2]",
    ),
    Reject(
        Pad((1, 1, 1, 1), pixels=2),
        (TensorType((2, 4, 2), CodeType(0, 1)),),
        "pixels is 2 with pe 1, expected pe 2: all channels",
    ),
    Reject(
        Pad((0, 0, 0, 0)),
        (TensorType((2, 2, 1), CodeType(0, 1)),),
        "padding is (0, 0, 0, 0), expected none below and one above 0",
    ),
    Reject(
        Pad((1, 0, 0, -1)),
        (TensorType((2, 2, 1), CodeType(0, 1)),),
        "padding is (1, 0, 0, -1), expected none below and one above 0",
    ),
    Reject(
        Pad((1, 0, 0, 0)),
        (TensorType((2, 2, 1), CodeType.binary()),),
        "pad_code is 0, a bipolar image takes -1 or 1",
    ),
)
