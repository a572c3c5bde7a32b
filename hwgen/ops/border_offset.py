"""Border offset: a constant that depends on where a pixel lies, near which borders.

Zero padding of an image of -1 and +1 would be a third value. Instead the window pads with +1 and
this takes off what those taps have added, so one bit a code and the XNOR kernel stay.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from amaranth import Cat, Module, Signal, Value

from hwgen.cost import Resources
from hwgen.ir import Codes, TensorType, expect, frozen_codes, union
from hwgen.numeric import CodeType
from hwgen.ops.case import Case, Reject, integers
from hwgen.ops.lane_choices import expect_channel_lanes
from hwgen.ops.lane_parallel import ChannelWise
from hwgen.ops.sliding_window import SlidingWindow
from hwgen.rtl.adder_tree import extend
from hwgen.rtl.dot.operand import number
from hwgen.rtl.memory import pack
from hwgen.rtl.rom import constant_memory, rom_resources
from hwgen.rtl.spatial.geometry import Mask
from hwgen.rtl.spatial.selection import count_grid, flag_at
from hwgen.rtl.stream.component import StreamComponent

DEPTH = 2  # fetch, add


@dataclass(frozen=True, eq=False)
class BorderOffset(ChannelWise):
    """Add offsets[rows[h], columns[w], c] to pixel (h, w) of an image (H, W, C).

    Parameters
    ----------
    rows, columns : int64 [H] and [W], the class of each row and column
    offsets : int64 [row classes, column classes, C]
    pe : codes a beat: a divisor of C, or C times as many pixels as divide a row
    """

    # what
    name: ClassVar[str] = "border_offset"
    rows: Codes
    columns: Codes
    offsets: Codes
    pe: int = 1

    def __post_init__(self) -> None:
        for field, ndim in (("rows", 1), ("columns", 1), ("offsets", 3)):
            codes = frozen_codes(getattr(self, field), ndim, f"border_offset {field}")
            object.__setattr__(self, field, codes)

    def infer(self, *inputs: TensorType) -> TensorType:
        """Sums, one interval a channel."""
        (x,) = inputs
        fitting = (self.rows.size, self.columns.size, int(self.offsets.shape[2]))
        expect(x.shape == fitting, f"shape is {list(x.shape)}, expected {list(fitting)}")
        expect_channel_lanes(self.pe, x)
        for field, classes in zip((self.rows, self.columns), self.offsets.shape, strict=False):
            expect(
                bool(np.all((field >= 0) & (field < classes))),
                f"a class is not one of the {classes} that offsets has",
            )
        low, high = self.offsets.min(axis=(0, 1)).tolist(), self.offsets.max(axis=(0, 1)).tolist()
        each = tuple(
            CodeType(codes.lo + a, codes.hi + b)
            for codes, a, b in zip(x.per_channel(), low, high, strict=True)
        )
        return TensorType(x.shape, union(each), each)

    # meaning
    def evaluate(self, *codes: Codes) -> Codes:
        """Return the sums."""
        return codes[0] + self.offsets[self.rows[:, None], self.columns[None, :]]

    # promise
    @property
    def depth(self) -> int:
        """Cycles from a beat to what becomes of it."""
        return DEPTH

    @property
    def offset_codes(self) -> CodeType:
        """Interval of the offsets."""
        return CodeType.of(self.offsets)

    def resources(self, *inputs: TensorType) -> Resources:
        """Predict the offsets' memory, an adder a lane and the counters."""
        (x,) = inputs
        bits = self.pe * self.infer(x).codes.width
        pixels = max(self.pe // x.channels, 1)
        memory = rom_resources(
            self.offsets.size * pixels // self.pe, self.pe // pixels * self.offset_codes.width
        )
        counters = sum(size.bit_length() for size in x.shape)
        control = Resources(lut=20 + counters, ff=counters + self.pe * x.codes.width + 2)
        return memory * pixels + control + Resources(lut=bits, ff=bits)

    def memory_bits(self, *inputs: TensorType) -> int:
        """Bits of the offsets, once for each pixel of a beat."""
        pixels = max(self.pe // inputs[0].channels, 1)
        return self.offsets.size * self.offset_codes.width * pixels

    # hardware
    def hardware(self, *inputs: TensorType) -> StreamComponent:
        """Return the memory and the adders."""
        return BorderOffsetUnit(self, inputs[0])


def zero_padding(window: SlidingWindow, x: TensorType, weights: Codes) -> BorderOffset:
    """Return what makes `window` and a product with `weights` [O, taps * C] pad with zeros.

    Parameters
    ----------
    window : pads with its pad_code
    x : its input
    """
    geometry = window.geometry(x)
    taps = weights.reshape(len(weights), geometry.rows.kernel, geometry.columns.kernel, -1)
    per_tap = taps.sum(axis=3)
    row_kinds, rows = np.unique(geometry.rows.inside(), axis=0, return_inverse=True)
    column_kinds, columns = np.unique(geometry.columns.inside(), axis=0, return_inverse=True)
    # [row classes, column classes, O]: the taps of each class that lie outside
    outside = ~(row_kinds[:, None, :, None] & column_kinds[None, :, None, :])
    added = np.einsum("rckl,okl->rco", outside.astype(np.int64), per_tap) * window.pad_code
    return BorderOffset(rows.ravel(), columns.ravel(), -added)


class BorderOffsetUnit(StreamComponent):
    """Count the pixels, fetch the offsets of their class, add; each pixel of a beat by itself."""

    def __init__(self, op: BorderOffset, x: TensorType) -> None:
        self.op, self.groups = op, op.beats_of_vector(x)
        self.pixels = max(op.pe // x.channels, 1)
        super().__init__(x.codes, op.pe, op.infer(x).codes, op.pe)

    def elaborate(self, platform: object) -> Module:
        """Two stages."""
        m = Module()
        advance = Signal()
        take = Signal()
        held = Signal()
        m.d.comb += [
            advance.eq(~self.o.valid | self.o.ready),
            self.i.ready.eq(advance),
            take.eq(self.i.valid & advance),
        ]
        sizes = (self.op.rows.size, self.op.columns.size // self.pixels, self.groups)
        (row, column, group), _ = count_grid(m, sizes, take)
        row_class = _looked_up(m, self.op.rows, row, "row")
        words, width = self.offset_words()
        parts = []
        for pixel in range(self.pixels):
            name = f"pixel{pixel}_" if self.pixels > 1 else ""
            columns = self.op.columns[pixel :: self.pixels]
            column_class = _looked_up(m, columns, column, f"{name}column")
            place = (row_class * self.op.offsets.shape[1] + column_class) * self.groups + group
            address = Signal(range(max(len(words), 2)), name=f"{name}address")
            m.d.comb += address.eq(place)
            parts.append(constant_memory(m, words, width, address, advance, f"{name}offsets"))
        word = Cat(*parts)
        beat = Signal(len(self.i.payload.as_value()))
        with m.If(advance):
            m.d.sync += [
                held.eq(take),
                beat.eq(self.i.payload.as_value()),
                self.o.valid.eq(held),
                self.o.payload.as_value().eq(self._sums(beat, word)),
            ]
        return m

    def offset_words(self) -> tuple[list[int], int]:
        """Return the memory: a word a class and beat, lane 0 lowest, and its width."""
        codes, lanes = self.op.offset_codes, self.op.pe // self.pixels
        beats = codes.to_bits(self.op.offsets).reshape(-1, lanes)
        return [pack(beat.tolist(), codes.width) for beat in beats], codes.width * lanes

    def _sums(self, beat: Signal, word: Value) -> Value:
        codes, bits, width = self.op.offset_codes, self.i_codes.width, self.o_codes.width
        sums = []
        for k in range(self.op.pe):
            value = number(beat[k * bits : (k + 1) * bits], self.i_codes)
            offset = word[k * codes.width : (k + 1) * codes.width]
            wide = extend(value, self.i_codes.lo < 0, width), extend(offset, codes.signed, width)
            sums.append((wide[0] + wide[1])[:width])
        return Cat(sums)


def _looked_up(m: Module, table: Codes, index: Signal, name: str) -> Value:
    """Return table[index], bit by bit."""
    bits = max(int(table.max()).bit_length(), 1)
    columns: list[Mask] = [(table >> bit) & 1 == 1 for bit in range(bits)]
    return Cat(flag_at(m, column, index, f"{name}_class{k}") for k, column in enumerate(columns))


def _cases() -> tuple[Case, ...]:
    image = TensorType((4, 5, 4), CodeType(-7, 12))
    rows, columns = np.array([0, 1, 1, 2]), np.array([0, 1, 1, 1, 2])
    some = integers((3, 3, 4), -9, 9)
    each = TensorType((2, 2, 2), CodeType(-3, 9), (CodeType(3, 9), CodeType(-3, 2)))
    halves, narrow = np.array([0, 1]), TensorType((4, 4, 4), CodeType(-7, 12))
    return (
        *(Case(BorderOffset(rows, columns, some, pe), (image,)) for pe in (1, 2, 4)),
        Case(BorderOffset(rows, columns, some * 0 + 3, 2), (image,)),
        Case(BorderOffset(rows, columns, some, 20), (image,)),
        Case(BorderOffset(rows, columns[[0, 1, 1, 4]], some, 8), (narrow,)),
        Case(BorderOffset(halves, halves * 0, integers((2, 1, 2), 1, 9)), (each,)),
        Case(
            BorderOffset(halves, halves, integers((2, 2, 2), -2, 2), 2),
            (TensorType((2, 2, 2), CodeType.binary()),),
        ),
    )


CASES = _cases()
REJECTS = (
    Reject(
        BorderOffset(np.array([0, 1]), np.array([0, 0]), integers((2, 1, 2), 1, 9)),
        (TensorType((2, 3, 2), CodeType(0, 1)),),
        "shape is [2, 3, 2], expected [2, 2, 2]",
    ),
    Reject(
        BorderOffset(np.array([0, 2]), np.array([0, 0]), integers((2, 1, 2), 1, 9)),
        (TensorType((2, 2, 2), CodeType(0, 1)),),
        "a class is not one of the 2 that offsets has",
    ),
)
