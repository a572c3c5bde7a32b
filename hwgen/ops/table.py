"""Table: any function of a code, one entry for each code that can occur.

The finite function of last resort, and of every curved activation (sigmoid, tanh, GELU).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from amaranth import Cat, Module, Signal, Value

from hwgen.cost import Resources
from hwgen.ir import Codes, TensorType, expect, frozen_codes
from hwgen.numeric import CodeType
from hwgen.ops.case import Case, Reject, bipolar_vector, integers, vector
from hwgen.ops.lane_parallel import ChannelPipeline, ChannelWise, expect_channels
from hwgen.rtl.adder_tree import extend
from hwgen.rtl.dont_cares import MOST_WORDS, Mask, sparse_memory, sparse_resources
from hwgen.rtl.dot.operand import number
from hwgen.rtl.rom import rom_resources
from hwgen.rtl.stream.component import StreamComponent, code_shape

DEPTH = 2  # subtract the lowest code, look up


@dataclass(frozen=True, eq=False)
class Table(ChannelWise):
    """Look each code up.

    Parameters
    ----------
    contents : int64 [C or 1, size], the result for code lo, lo + 1, ...
    lo : the code of the first entry
    codes : type of the entries
    pe : codes a beat
    """

    # what
    name: ClassVar[str] = "table"
    contents: Codes
    lo: int
    codes: CodeType
    pe: int = 1

    def __post_init__(self) -> None:
        object.__setattr__(self, "contents", frozen_codes(self.contents, 2, "table contents"))

    def infer(self, *inputs: TensorType) -> TensorType:
        """Shape stays; the type is `codes`."""
        (x,) = inputs
        expect_channels(self.contents, x, self.pe, "contents")
        end = self.lo + self.contents.shape[1] - 1
        expect(
            self.lo <= x.codes.lo and x.codes.hi <= end,
            f"table covers {self.lo}..{end}, expected to cover the input's {x.codes}",
        )
        expect(self.codes.contains(self.contents), f"an entry is not one of {self.codes}")
        return TensorType(x.shape, self.codes)

    # meaning
    def evaluate(self, *codes: Codes) -> Codes:
        """Apply to the last axis."""
        index = codes[0] - self.lo
        channel = np.arange(self.contents.shape[0])
        return self.contents[np.broadcast_to(channel, index.shape), index]

    @property
    def index_bits(self) -> int:
        """Address bits of one channel's entries."""
        return max((int(self.contents.shape[1]) - 1).bit_length(), 1)

    def depth_words(self, x: TensorType) -> int:
        """Words of one lane's memory: of all the channels it serves when they differ."""
        groups = self.beats_of_vector(x) if self.contents.shape[0] > 1 else 1
        return groups << self.index_bits

    def lane_words(self, x: TensorType, k: int) -> tuple[Codes, Mask]:
        """Return the words of lane `k`, 2**index_bits a channel, and which of them can be read.

        A channel reads those of its own codes.
        """
        entries = self.lo + np.arange(1 << self.index_bits)
        rows, channels = self.contents, x.per_channel()
        if len(rows) == 1:
            channels = (x.codes,)
        else:
            own = slice(k % x.channels, None, self.pe)
            rows, channels = rows[own], channels[own]
        shape = (1 << (len(rows) - 1).bit_length(), len(entries))
        words, known = np.zeros(shape, dtype=np.int64), np.zeros(shape, dtype=bool)
        words[: len(rows), : rows.shape[1]] = self.codes.to_bits(rows)
        for group, codes in enumerate(channels):
            known[group] = (codes.lo <= entries) & (entries <= codes.hi)
        if x.codes.bipolar:
            known &= entries != 0
        return words.ravel(), known.ravel()

    # promise
    @property
    def depth(self) -> int:
        """Cycles from a beat to what becomes of it."""
        return DEPTH

    def resources(self, *inputs: TensorType) -> Resources:
        """Predict `pe` memories and the subtraction."""
        (x,) = inputs
        width, beside = self.codes.width, Resources(lut=x.codes.width, ff=2 * x.codes.width)
        if self.depth_words(x) > MOST_WORDS:
            return (rom_resources(self.depth_words(x), width) + beside) * self.pe
        different = 1 if self.contents.shape[0] == 1 else min(self.pe, x.channels)
        memories = (sparse_resources(*self.lane_words(x, k), width) for k in range(different))
        return (sum(memories, Resources()) * (1 / different) + beside) * self.pe

    def memory_bits(self, *inputs: TensorType) -> int:
        """Bits of all copies of the entries."""
        return self.depth_words(inputs[0]) * self.codes.width * self.pe

    # hardware
    def hardware(self, *inputs: TensorType) -> StreamComponent:
        """Return `pe` memories."""
        return TableUnit(self, inputs[0])


class TableUnit(ChannelPipeline):
    """One memory a lane; the address is the channel group above the code."""

    def __init__(self, op: Table, x: TensorType) -> None:
        self.op, self.x = op, x
        self.per_channel = op.contents.shape[0] > 1
        super().__init__(x.codes, op.infer(x).codes, x.channels, op.pe, DEPTH)

    def fetch(self, m: Module, k: int, group: Signal, advance: Signal) -> Value:
        """Return the channel group: the upper address bits."""
        held = Signal.like(group, name=f"group{k}")
        with m.If(advance):
            m.d.sync += held.eq(group)
        return held

    def lane(self, m: Module, k: int, x: Value, word: Value, advance: Signal) -> Value:
        """Subtract, look up."""
        index = Signal(self.op.index_bits, name=f"index{k}")
        value = extend(number(x, self.i_codes), self.i_codes.lo < 0, self.op.index_bits)
        m.d.comb += index.eq((value - self.op.lo)[: self.op.index_bits])
        address = Cat(index, word) if self.per_channel and self.groups > 1 else index
        words, known = self.op.lane_words(self.x, k)
        width = self.o_codes.width
        entry = sparse_memory(m, words, known, width, address, advance, f"table{k}")
        result = Signal(code_shape(self.o_codes), name=f"result{k}")
        m.d.comb += result.eq(entry)
        return result


def _cases() -> tuple[Case, ...]:
    entries = integers((6, 20), -9, 9)
    binary = integers((1, 8), -1, 1, step=2)
    cases = [
        Case(Table(entries, -10, CodeType(-9, 9), pe=pe), (vector(6, -10, 9),))
        for pe in (1, 2, 3, 6)
    ]
    cases += [
        Case(Table(entries[:1], -10, CodeType(-9, 9), pe=2), (vector(6, -7, 3),)),
        Case(Table(binary, 0, CodeType.binary(), pe=2), (vector(4, 0, 7),)),
        Case(Table(entries[:1, :3] + 9, -1, CodeType(0, 18)), (bipolar_vector(3),)),
        Case(
            Table(entries[:2, :16] + 9, 3, CodeType(0, 18)), (TensorType((3, 2), CodeType(3, 18)),)
        ),
        Case(Table(entries, -10, CodeType(-9, 9), 18), (TensorType((3, 6), CodeType(-10, 9)),)),
        Case(Table(entries[:1, :1] * 0 + 4, 0, CodeType(4, 4)), (vector(2, 0, 0),)),
    ]
    # Addresses that never come: channels with intervals of their own, and the end of a deep table.
    own = tuple(CodeType(low, low + 9) for low in (-10, -4, 0, -7, -10, -2))
    several = TensorType((6,), CodeType(-10, 9), own)
    deep = np.round(31 / (1 + np.exp(-np.arange(-90, 70) / 15))).astype(np.int64)
    cases += [Case(Table(entries, -10, CodeType(-9, 9), pe), (several,)) for pe in (1, 2, 6)]
    cases.append(Case(Table(deep[None], -90, CodeType(0, 31)), (vector(3, -90, 69),)))
    return tuple(cases)


CASES = _cases()
REJECTS = (
    Reject(
        Table(integers((1, 4), 0, 3), 0, CodeType(0, 3)),
        (vector(3, -1, 3),),
        "table covers 0..3, expected to cover the input's -1..3",
    ),
)
