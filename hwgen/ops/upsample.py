"""Nearest-neighbour upsampling: each pixel several times, each row several times."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import ClassVar

import numpy as np
from amaranth import Module, Mux, Signal
from amaranth.lib.memory import Memory

from hwgen.cost import Resources
from hwgen.ir import Codes, Op, Schedule, TensorType, expect
from hwgen.numeric import CodeType
from hwgen.ops.case import Case, Reject
from hwgen.ops.lane_choices import divisors
from hwgen.rtl.memory import memory_resources
from hwgen.rtl.spatial.geometry import expect_lanes
from hwgen.rtl.spatial.selection import count_grid
from hwgen.rtl.stream.component import StreamComponent

DEPTH = 1  # the output register


@dataclass(frozen=True, eq=False)
class Upsample(Op):
    """Repeat the rows and columns of an image (H, W, C).

    Parameters
    ----------
    factors : (rows, columns)
    pe : codes a beat, a divisor of C
    """

    # what
    name: ClassVar[str] = "upsample"
    factors: tuple[int, int]
    pe: int = 1

    def infer(self, *inputs: TensorType) -> TensorType:
        """A larger image of the same codes."""
        (x,) = inputs
        expect(len(x.shape) == 3, f"shape is {list(x.shape)}, expected an image [H, W, C]")
        expect(
            min(self.factors) >= 1 < max(self.factors),
            f"factors are {self.factors}, expected none below and one above 1",
        )
        expect_lanes(self.pe, x.channels)
        shape = (x.shape[0] * self.factors[0], x.shape[1] * self.factors[1], x.channels)
        return TensorType(shape, x.codes, x.channel_codes)

    # meaning
    def evaluate(self, *codes: Codes) -> Codes:
        """Return the repeated pixels."""
        return codes[0].repeat(self.factors[0], axis=1).repeat(self.factors[1], axis=2)

    # promise
    @property
    def lanes(self) -> tuple[int, int]:
        """Codes in an input beat and in an output beat."""
        return self.pe, self.pe

    def interval_cycles(self, *inputs: TensorType) -> int:
        """A beat of the result a cycle."""
        return inputs[0].size * self.factors[0] * self.factors[1] // self.pe

    def foldings(self, *inputs: TensorType) -> tuple[Upsample, ...]:
        """Parts of a pixel."""
        return tuple(replace(self, pe=pe) for pe in divisors(inputs[0].channels))

    def _groups(self, x: TensorType) -> int:
        return x.channels // self.pe

    def schedule(self, *inputs: TensorType) -> Schedule:
        """A beat of the result a cycle; a pixel is taken where it first appears."""
        (x,) = inputs
        down, across = (np.arange(f) == 0 for f in self.factors)
        row = np.repeat(np.tile(across, x.shape[1]), self._groups(x))
        takes = np.tile(np.logical_and.outer(down, row).ravel(), x.shape[0])
        return Schedule(takes, np.ones(len(takes), dtype=bool), DEPTH)

    def depth_words(self, x: TensorType) -> int:
        """Beats kept: a row where rows repeat, else a pixel."""
        return self._groups(x) * (x.shape[1] if self.factors[0] > 1 else 1)

    def resources(self, *inputs: TensorType) -> Resources:
        """Predict the memory, the counters and the output register."""
        (x,) = inputs
        bits = self.pe * x.codes.width
        counters = sum(size.bit_length() for size in self.infer(x).shape)
        memory = memory_resources(max(self.depth_words(x), 2), bits, distributed=True).lut
        return Resources(lut=memory + counters + bits, ff=counters + bits)

    def memory_bits(self, *inputs: TensorType) -> int:
        """Bits of the beats kept."""
        (x,) = inputs
        return self.depth_words(x) * self.pe * x.codes.width

    # hardware
    def hardware(self, *inputs: TensorType) -> StreamComponent:
        """Return the row memory and its counters."""
        return UpsampleUnit(self, inputs[0])


class UpsampleUnit(StreamComponent):
    """Keep a beat where it first appears, read it where it appears again."""

    def __init__(self, op: Upsample, x: TensorType) -> None:
        self.op, self.x = op, x
        super().__init__(x.codes, op.pe, x.codes, op.pe)

    def elaborate(self, platform: object) -> Module:
        """Count (row repetition, column, column repetition, group); rows themselves are alike."""
        m = Module()
        advance = Signal()
        step = Signal()
        taking = Signal()
        m.d.comb += [
            advance.eq(~self.o.valid | self.o.ready),
            step.eq(advance & (self.i.valid | ~taking)),
            self.i.ready.eq(advance & taking),
        ]
        (down, across), groups = self.op.factors, self.x.channels // self.op.pe
        indices, ends = count_grid(m, (down, self.x.shape[1], across, groups), step)
        m.d.comb += taking.eq((indices[0] == 0) & (indices[2] == 0))
        depth = max(self.op.depth_words(self.x), 2)
        pixel = Signal(range(depth))
        place = Signal(range(depth))
        m.d.comb += place.eq(pixel + indices[3])
        if down > 1:
            with m.If(step & ends[2] & ends[3]):
                m.d.sync += pixel.eq(Mux(ends[1], 0, pixel + groups))
        incoming = self.i.payload.as_value()
        memory: Memory = Memory(shape=len(incoming), depth=depth, init=[])
        m.submodules.kept = memory
        write, read = memory.write_port(), memory.read_port(domain="comb")
        m.d.comb += [
            write.addr.eq(place),
            write.data.eq(incoming),
            write.en.eq(step & taking),
            read.addr.eq(place),
        ]
        with m.If(advance):
            m.d.sync += self.o.valid.eq(step)
        with m.If(step):
            m.d.sync += self.o.payload.as_value().eq(Mux(taking, incoming, read.data))
        return m


def _cases() -> tuple[Case, ...]:
    image = TensorType((2, 3, 4), CodeType(-4, 3))
    each = TensorType((2, 2, 2), CodeType(0, 9), (CodeType(3, 9), CodeType(0, 2)))
    return (
        *(Case(Upsample((2, 2), pe), (image,)) for pe in (1, 2, 4)),
        Case(Upsample((1, 3), 2), (image,)),
        Case(Upsample((3, 1)), (image,)),
        Case(Upsample((2, 3), 2), (TensorType((1, 1, 2), CodeType.binary()),)),
        Case(Upsample((1, 2), 2), (each,)),
    )


CASES = _cases()
REJECTS = (
    Reject(
        Upsample((1, 1)),
        (TensorType((2, 2, 1), CodeType(0, 1)),),
        "factors are (1, 1), expected none below and one above 1",
    ),
    Reject(
        Upsample((2, 2)),
        (TensorType((4,), CodeType(0, 1)),),
        "shape is [4], expected an image [H, W, C]",
    ),
)
