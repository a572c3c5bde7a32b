"""Pad: a border of one code around an image.

A convolution needs none, its `sliding_window` pads by itself.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import ClassVar

import numpy as np
from amaranth import Cat, Const, Module, Mux, Signal, Value

from hwgen.cost import Resources
from hwgen.ir import Codes, Op, Schedule, TensorType, expect
from hwgen.numeric import CodeType
from hwgen.ops.case import Case, Reject
from hwgen.ops.lane_choices import divisors
from hwgen.rtl.adder_tree import extend
from hwgen.rtl.spatial.geometry import Mask, expect_lanes
from hwgen.rtl.spatial.selection import count_grid, flag_at
from hwgen.rtl.stream.component import StreamComponent

DEPTH = 1  # the output register


@dataclass(frozen=True, eq=False)
class Pad(Op):
    """Put rows and columns of `pad_code` around an image (H, W, C).

    Parameters
    ----------
    padding : (top, left, bottom, right)
    pad_code : a code of the image's type or a new one; bipolar images take -1 or 1
    pe : codes a beat, a divisor of C
    """

    # what
    name: ClassVar[str] = "pad"
    padding: tuple[int, int, int, int]
    pad_code: int = 0
    pe: int = 1

    def infer(self, *inputs: TensorType) -> TensorType:
        """A larger image, whose codes include `pad_code`."""
        (x,) = inputs
        expect(len(x.shape) == 3, f"shape is {list(x.shape)}, expected an image [H, W, C]")
        expect(
            min(self.padding) >= 0 < max(self.padding),
            f"padding is {self.padding}, expected none below and one above 0",
        )
        expect_lanes(self.pe, x.channels)
        expect(
            not x.codes.bipolar or abs(self.pad_code) == 1,
            f"pad_code is {self.pad_code}, a bipolar image takes -1 or 1",
        )
        own = x.channel_codes
        each = tuple(self._padded(codes) for codes in own) if own else None
        top, left, bottom, right = self.padding
        shape = (top + x.shape[0] + bottom, left + x.shape[1] + right, x.channels)
        return TensorType(shape, self._padded(x.codes), each)

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
        return self.pe, self.pe

    def interval_cycles(self, *inputs: TensorType) -> int:
        """A beat of the result a cycle."""
        return self.infer(*inputs).size // self.pe

    def foldings(self, *inputs: TensorType) -> tuple[Pad, ...]:
        """Parts of a pixel."""
        return tuple(replace(self, pe=pe) for pe in divisors(inputs[0].channels))

    @property
    def leads(self) -> bool:
        """Whether a frame begins with padding; its first beat is then taken early and held."""
        return self.padding[0] > 0 or self.padding[1] > 0

    def inside(self, x: TensorType) -> tuple[Mask, Mask]:
        """Return which rows and columns of the result come from the image."""
        top, left, bottom, right = self.padding
        rows = np.pad(np.ones(x.shape[0], dtype=bool), (top, bottom))
        return rows, np.pad(np.ones(x.shape[1], dtype=bool), (left, right))

    def schedule(self, *inputs: TensorType) -> Schedule:
        """A beat of the result a cycle. A frame begins with its first beat, as all frames do."""
        (x,) = inputs
        image = np.logical_and.outer(*self.inside(x))
        takes = np.repeat(image.ravel(), x.channels // self.pe)
        if self.leads:
            # The beat that a step on the image gives was taken by the one before.
            takes[np.flatnonzero(takes)[-1]] = False
            takes[0] = True
        return Schedule(takes, np.ones(len(takes), dtype=bool), DEPTH)

    def resources(self, *inputs: TensorType) -> Resources:
        """Predict the counters, a multiplexer and one or two registers."""
        out = self.infer(*inputs)
        bits = self.pe * out.codes.width
        counters = sum(size.bit_length() for size in out.shape)
        return Resources(lut=counters + bits, ff=counters + bits * (1 + self.leads))

    # hardware
    def hardware(self, *inputs: TensorType) -> StreamComponent:
        """Return the counters and the multiplexer."""
        return PadUnit(self, inputs[0])


class PadUnit(StreamComponent):
    """Count the pixels of the result; take where they lie on the image."""

    def __init__(self, op: Pad, x: TensorType) -> None:
        self.op, self.x, self.result = op, x, op.infer(x)
        super().__init__(x.codes, op.pe, self.result.codes, op.pe)

    def elaborate(self, platform: object) -> Module:
        """Counters, the held beat where a frame begins with padding, output register."""
        m = Module()
        advance = Signal()
        step = Signal()
        taking = Signal()
        image = Signal()
        m.d.comb += [
            advance.eq(~self.o.valid | self.o.ready),
            step.eq(advance & (self.i.valid | ~taking)),
            self.i.ready.eq(advance & taking),
        ]
        rows, columns = self.op.inside(self.x)
        groups = self.x.channels // self.op.pe
        (row, column, group), _ = count_grid(m, (len(rows), len(columns), groups), step)
        row_inside = flag_at(m, rows, row, "row_inside")
        m.d.comb += image.eq(row_inside & flag_at(m, columns, column, "column_inside"))
        incoming = self.i.payload.as_value()
        beat: Value = incoming
        if self.op.leads:
            first = (row == 0) & (column == 0) & (group == 0)
            top, left, _, _ = self.op.padding
            end = (row == top + self.x.shape[0] - 1) & (column == left + self.x.shape[1] - 1)
            m.d.comb += taking.eq(first | (image & ~(end & (group == groups - 1))))
            held = Signal(len(incoming))
            with m.If(step & taking):
                m.d.sync += held.eq(incoming)
            beat = held
        else:
            m.d.comb += taking.eq(image)
        with m.If(advance):
            m.d.sync += self.o.valid.eq(step)
        with m.If(step):
            m.d.sync += self.o.payload.as_value().eq(Mux(image, self._extended(beat), self._pad()))
        return m

    def _extended(self, beat: Value) -> Value:
        bits, codes = self.i_codes.width, self.i_codes
        lanes = [beat[k * bits : (k + 1) * bits] for k in range(self.i_lanes)]
        return Cat(extend(lane, codes.signed, self.o_codes.width) for lane in lanes)

    def _pad(self) -> Value:
        word = int(self.o_codes.to_bits(np.array([self.op.pad_code]))[0])
        return Const(word, self.o_codes.width).replicate(self.o_lanes)


def _cases() -> tuple[Case, ...]:
    image = TensorType((2, 3, 4), CodeType(-4, 3))
    each = TensorType((2, 2, 2), CodeType(0, 9), (CodeType(3, 9), CodeType(0, 2)))
    bits = TensorType((3, 2, 2), CodeType.binary())
    return (
        *(Case(Pad((1, 1, 1, 1), pe=pe), (image,)) for pe in (1, 2, 4)),
        Case(Pad((0, 0, 2, 1)), (image,)),
        Case(Pad((0, 0, 0, 2), pe=4), (image,)),
        Case(Pad((2, 0, 0, 0), pe=2), (image,)),
        Case(Pad((0, 3, 1, 0), -9, pe=2), (each,)),
        Case(Pad((1, 1, 1, 1), 1, pe=2), (bits,)),
        Case(Pad((0, 1, 1, 0), -1), (bits,)),
        Case(Pad((1, 1, 1, 1), 12), (TensorType((1, 1, 1), CodeType(5, 6)),)),
    )


CASES = _cases()
REJECTS = (
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
