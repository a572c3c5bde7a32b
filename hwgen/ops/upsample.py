"""Nearest-neighbour upsampling: each pixel several times, each row several times."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import ClassVar

import numpy as np
from amaranth import Cat, Module, Signal, Value

from hwgen.cost import Resources
from hwgen.ir import Codes, Op, Schedule, TensorType, expect
from hwgen.numeric import CodeType
from hwgen.ops.case import Case, Reject
from hwgen.ops.lane_choices import MOST_PIXELS, divisors, expect_pixels
from hwgen.rtl.spatial.replay import DEPTH, Replay, ReplayPlan, grouped, pixel_choices
from hwgen.rtl.stream.component import StreamComponent


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
        expect_pixels(self.pe, self.pixels, x.channels, pixel_choices(self.factors[1], x.shape[1]))
        shape = (x.shape[0] * self.factors[0], x.shape[1] * self.factors[1], x.channels)
        return TensorType(shape, x.codes, x.channel_codes)

    @property
    def grouped(self) -> tuple[int, int, int]:
        """Pixels of the image a beat, copies of each in a beat, beats of copies."""
        return grouped(self.pixels, self.factors[1])

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
        whole = [
            (x.channels, m)
            for m in pixel_choices(self.factors[1], x.shape[1])[1:]
            if m <= MOST_PIXELS
        ]
        return tuple(replace(self, pe=pe, pixels=m) for pe, m in parts + whole)

    def plan(self, x: TensorType) -> ReplayPlan:
        """Return the steps of an image row."""
        pixels, _, again = self.grouped
        return ReplayPlan(self.factors[0], x.shape[1] // pixels, again, x.channels // self.pe)

    def schedule(self, *inputs: TensorType) -> Schedule:
        """A beat of the result a cycle; a pixel is taken where it first appears."""
        (x,) = inputs
        takes = self.plan(x).takes(x.shape[0])
        return Schedule(takes, np.ones(len(takes), dtype=bool), DEPTH)

    def resources(self, *inputs: TensorType) -> Resources:
        """Predict the memory, the counters and the output register."""
        (x,) = inputs
        bits = self.lanes[0] * x.codes.width
        counters = sum(size.bit_length() for size in self.infer(x).shape)
        memory = self.plan(x).memory(bits).lut
        return Resources(lut=memory + counters + bits, ff=counters + bits)

    def memory_bits(self, *inputs: TensorType) -> int:
        """Bits of the beats kept."""
        (x,) = inputs
        return self.plan(x).depth_words * self.lanes[0] * x.codes.width

    # hardware
    def hardware(self, *inputs: TensorType) -> StreamComponent:
        """Return the row memory and its counters."""
        return UpsampleUnit(self, inputs[0])


class UpsampleUnit(Replay):
    """A beat is kept and shown as it is, its pixels repeated behind the register."""

    def __init__(self, op: Upsample, x: TensorType) -> None:
        self.op = op
        super().__init__(op.plan(x), x.codes, op.lanes[0], x.codes, op.lanes[1])

    def kept(self, incoming: Value) -> Value:
        """All of it."""
        return incoming

    def first(self, incoming: Value) -> Value:
        """All of it."""
        return incoming

    def later(self, m: Module, kept: Value, row: Signal, again: Signal) -> Value:
        """The same again."""
        return kept

    def give(self, m: Module, register: Signal, any_signal: Signal) -> None:
        """Give each pixel of the register as often as a beat holds it."""
        pixels, copies, _ = self.op.grouped
        bits = self.op.pe * self.i_codes.width
        repeated = Cat(register[k * bits :][:bits].replicate(copies) for k in range(pixels))
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
