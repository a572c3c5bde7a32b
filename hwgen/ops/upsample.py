"""Nearest-neighbour upsampling: each pixel several times, each row several times."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import ClassVar

import numpy as np
from amaranth import Cat, Module, Mux, Signal
from amaranth.lib.memory import Memory

from hwgen.cost import Resources
from hwgen.ir import Codes, Op, Schedule, TensorType, expect
from hwgen.numeric import CodeType
from hwgen.ops.case import Case, Reject
from hwgen.ops.lane_choices import MOST_PIXELS, divisors, expect_pixels
from hwgen.rtl.memory import memory_resources
from hwgen.rtl.spatial.selection import count_grid
from hwgen.rtl.stream.component import StreamComponent

DEPTH = 1  # the output register


@dataclass(frozen=True, eq=False)
class Upsample(Op):
    """Repeat the rows and columns of an image (H, W, C).

    Parameters
    ----------
    factors : (rows, columns)
    pe : channels a beat, a divisor of C
    pixels : of the result a beat, a divisor of the factor of the columns, or that factor times a
        divisor of W; several only with pe = C
    """

    # what
    name: ClassVar[str] = "upsample"
    factors: tuple[int, int]
    pe: int = 1
    pixels: int = 1

    def infer(self, *inputs: TensorType) -> TensorType:
        """A larger image of the same codes."""
        (x,) = inputs
        expect(len(x.shape) == 3, f"shape is {list(x.shape)}, expected an image [H, W, C]")
        expect(
            min(self.factors) >= 1 < max(self.factors),
            f"factors are {self.factors}, expected none below and one above 1",
        )
        expect_pixels(self.pe, self.pixels, x.channels, self._pixel_choices(x))
        shape = (x.shape[0] * self.factors[0], x.shape[1] * self.factors[1], x.channels)
        return TensorType(shape, x.codes, x.channel_codes)

    def _pixel_choices(self, x: TensorType) -> list[int]:
        across = self.factors[1]
        return divisors(across) + [across * m for m in divisors(x.shape[1])[1:]]

    @property
    def grouped(self) -> tuple[int, int, int]:
        """Pixels of the image a beat, copies of each in a beat, beats of copies."""
        across = self.factors[1]
        copies = min(self.pixels, across)
        return self.pixels // copies, copies, across // copies

    # meaning
    def evaluate(self, *codes: Codes) -> Codes:
        """Return the repeated pixels."""
        return codes[0].repeat(self.factors[0], axis=1).repeat(self.factors[1], axis=2)

    # promise
    @property
    def lanes(self) -> tuple[int, int]:
        """Codes in an input beat and in an output beat."""
        return self.grouped[0] * self.pe, self.pixels * self.pe

    def interval_cycles(self, *inputs: TensorType) -> int:
        """A beat of the result a cycle."""
        return inputs[0].size * self.factors[0] * self.factors[1] // (self.pixels * self.pe)

    def foldings(self, *inputs: TensorType) -> tuple[Upsample, ...]:
        """Parts of a pixel; then several pixels."""
        (x,) = inputs
        parts = [(pe, 1) for pe in divisors(x.channels)]
        whole = [(x.channels, m) for m in self._pixel_choices(x)[1:] if m <= MOST_PIXELS]
        return tuple(replace(self, pe=pe, pixels=m) for pe, m in parts + whole)

    def grid(self, x: TensorType) -> tuple[int, int, int, int]:
        """Steps of an image row: its repetition, beats, their repetition, groups of channels."""
        pixels, _, again = self.grouped
        return self.factors[0], x.shape[1] // pixels, again, x.channels // self.pe

    def schedule(self, *inputs: TensorType) -> Schedule:
        """A beat of the result a cycle; a pixel is taken where it first appears."""
        (x,) = inputs
        row, _, again, _ = np.indices(self.grid(x))
        takes = np.tile(((row == 0) & (again == 0)).ravel(), x.shape[0])
        return Schedule(takes, np.ones(len(takes), dtype=bool), DEPTH)

    def depth_words(self, x: TensorType) -> int:
        """Beats kept: a row where rows repeat, else a pixel."""
        down, beats, _, groups = self.grid(x)
        return groups * (beats if down > 1 else 1)

    def resources(self, *inputs: TensorType) -> Resources:
        """Predict the memory, the counters and the output register."""
        (x,) = inputs
        bits = self.lanes[0] * x.codes.width
        counters = sum(size.bit_length() for size in self.infer(x).shape)
        memory = memory_resources(max(self.depth_words(x), 2), bits, distributed=True).lut
        return Resources(lut=memory + counters + bits, ff=counters + bits)

    def memory_bits(self, *inputs: TensorType) -> int:
        """Bits of the beats kept."""
        (x,) = inputs
        return self.depth_words(x) * self.lanes[0] * x.codes.width

    # hardware
    def hardware(self, *inputs: TensorType) -> StreamComponent:
        """Return the row memory and its counters."""
        return UpsampleUnit(self, inputs[0])


class UpsampleUnit(StreamComponent):
    """Keep a beat where it first appears, read it where it appears again."""

    def __init__(self, op: Upsample, x: TensorType) -> None:
        self.op, self.x = op, x
        super().__init__(x.codes, op.lanes[0], x.codes, op.lanes[1])

    def elaborate(self, platform: object) -> Module:
        """Count (row repetition, beat, its repetition, group); rows themselves are alike."""
        m = Module()
        advance = Signal()
        step = Signal()
        taking = Signal()
        m.d.comb += [
            advance.eq(~self.o.valid | self.o.ready),
            step.eq(advance & (self.i.valid | ~taking)),
            self.i.ready.eq(advance & taking),
        ]
        down, _, _, groups = grid = self.op.grid(self.x)
        indices, ends = count_grid(m, grid, step)
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
        # Kept codes once, repeated behind the register.
        shown = Signal(len(incoming))
        with m.If(step):
            m.d.sync += shown.eq(Mux(taking, incoming, read.data))
        self._repeat(m, shown, indices[0])
        return m

    def _repeat(self, m: Module, shown: Signal, any_signal: Signal) -> None:
        """Give each pixel of the register as often as a beat holds it."""
        pixels, copies, _ = self.op.grouped
        bits = self.op.pe * self.i_codes.width
        repeated = Cat(shown[k * bits :][:bits].replicate(copies) for k in range(pixels))
        # The beat shares no net with the register: linters would take a beat whose parts are each
        # other for a loop.
        with m.Switch(any_signal), m.Default():
            m.d.comb += self.o.payload.as_value().eq(repeated)


def _cases() -> tuple[Case, ...]:
    image = TensorType((2, 3, 4), CodeType(-4, 3))
    each = TensorType((2, 2, 2), CodeType(0, 9), (CodeType(3, 9), CodeType(0, 2)))
    return (
        *(Case(Upsample((2, 2), pe), (image,)) for pe in (1, 2, 4)),
        Case(Upsample((1, 3), 2), (image,)),
        Case(Upsample((3, 1)), (image,)),
        Case(Upsample((2, 3), 2), (TensorType((1, 1, 2), CodeType.binary()),)),
        Case(Upsample((1, 2), 2), (each,)),
        *(Case(Upsample((2, 2), 4, m), (image,)) for m in (2, 6)),
        *(Case(Upsample((1, 4), 2, m), (each,)) for m in (2, 4, 8)),
        Case(Upsample((3, 1), 4, 3), (image,)),
    )


CASES = _cases()
REJECTS = (
    Reject(
        Upsample((2, 4), pixels=3),
        (TensorType((2, 3, 1), CodeType(0, 1)),),
        "pixels is 3, expected one of [1, 2, 4, 12]",
    ),
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
