"""`Replay`: beats of an image, kept where they first appear and read where they appear again.

What `upsample` and `depth_to_space` are made of: a row of the image leads to several rows of the
result, a beat to several beats.
"""

from __future__ import annotations

from abc import abstractmethod
from dataclasses import dataclass

import numpy as np
from amaranth import Module, Mux, Signal, Value
from amaranth.lib.memory import Memory

from hwgen.cost import Resources
from hwgen.numeric import CodeType
from hwgen.rtl.memory import lut_memory_resources
from hwgen.rtl.spatial.geometry import Mask
from hwgen.rtl.spatial.selection import count_grid
from hwgen.rtl.stream.component import StreamComponent

DEPTH = 1  # the output register


def pixel_choices(across: int, columns: int) -> list[int]:
    """Return how many pixels of the result a beat may hold, of `across` that each one becomes."""
    copies = [n for n in range(1, across + 1) if across % n == 0]
    return copies + [across * m for m in range(2, columns + 1) if columns % m == 0]


def grouped(pixels: int, across: int) -> tuple[int, int, int]:
    """Return pixels of the image a beat, results of each in a beat, beats of results."""
    columns = min(pixels, across)
    return pixels // columns, columns, across // columns


@dataclass(frozen=True)
class ReplayPlan:
    """The steps of a row of the image: one a beat of the result.

    Parameters
    ----------
    down : rows of the result for each row of the image
    beats : of a row of the image, each with all groups of channels
    again : beats of the result for each of them, side by side
    groups : of channels, a beat each
    """

    down: int
    beats: int
    again: int
    groups: int

    @property
    def grid(self) -> tuple[int, int, int, int]:
        """What is counted, the last the fastest."""
        return self.down, self.beats, self.again, self.groups

    @property
    def depth_words(self) -> int:
        """Beats kept: those of a row where it gives several rows, else those of a pixel."""
        return self.groups * (self.beats if self.down > 1 else 1)

    def takes(self, rows: int) -> Mask:
        """Return which steps of a frame take a beat of the image: where it first appears."""
        row, _, again, _ = np.indices(self.grid)
        return np.tile(((row == 0) & (again == 0)).ravel(), rows)

    def memory(self, bits: int) -> Resources:
        """Predict the memory of `bits` a beat."""
        return lut_memory_resources(max(self.depth_words, 2), bits)


class Replay(StreamComponent):
    """Keep a beat where it first appears, read it where it appears again.

    Parameters
    ----------
    plan : when
    i_codes, i_lanes, o_codes, o_lanes : of the streams
    """

    def __init__(
        self, plan: ReplayPlan, i_codes: CodeType, i_lanes: int, o_codes: CodeType, o_lanes: int
    ) -> None:
        self.plan = plan
        super().__init__(i_codes, i_lanes, o_codes, o_lanes)

    @abstractmethod
    def kept(self, incoming: Value) -> Value:
        """Return what is to be kept of a beat."""

    @abstractmethod
    def first(self, incoming: Value) -> Value:
        """Return what of a beat goes into the output register where it first appears."""

    @abstractmethod
    def later(self, m: Module, kept: Value, row: Signal, again: Signal) -> Value:
        """Return what goes there in a further row, or a further time in the first."""

    def give(self, m: Module, register: Signal, any_signal: Signal) -> None:
        """Drive the output from its register; `any_signal` is what a process may wait for."""
        m.d.comb += self.o.payload.as_value().eq(register)

    def elaborate(self, platform: object) -> Module:
        """Count; rows of the image are alike."""
        m = Module()
        advance = Signal()
        step = Signal()
        taking = Signal()
        m.d.comb += [
            advance.eq(~self.o.valid | self.o.ready),
            step.eq(advance & (self.i.valid | ~taking)),
            self.i.ready.eq(advance & taking),
        ]
        (row, _, again, group), ends = count_grid(m, self.plan.grid, step)
        m.d.comb += taking.eq((row == 0) & (again == 0))
        depth = max(self.plan.depth_words, 2)
        pixel = Signal(range(depth))
        place = Signal(range(depth))
        m.d.comb += place.eq(pixel + group)
        if self.plan.down > 1:
            with m.If(step & ends[2] & ends[3]):
                m.d.sync += pixel.eq(Mux(ends[1], 0, pixel + self.plan.groups))
        incoming = self.i.payload.as_value()
        kept = self.kept(incoming)
        memory: Memory = Memory(shape=len(kept), depth=depth, init=[])
        m.submodules.kept = memory
        write, read = memory.write_port(), memory.read_port(domain="comb")
        m.d.comb += [
            write.addr.eq(place),
            write.data.eq(kept),
            write.en.eq(step & taking),
            read.addr.eq(place),
        ]
        with m.If(advance):
            m.d.sync += self.o.valid.eq(step)
        first, later = self.first(incoming), self.later(m, read.data, row, again)
        register = Signal(len(first))
        with m.If(step):
            m.d.sync += register.eq(Mux(taking, first, later))
        self.give(m, register, row)
        return m
