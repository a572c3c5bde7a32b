"""Add: two or more streams of equal shape, code by code; each brought to a common scale first.

Residual connections end here. The multipliers align the scales exactly: where one input's code
counts for 2**-4 and the other's for 2**-6, the first is multiplied by 4.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import ClassVar

import numpy as np
from amaranth import Cat, Const, Module, Signal, Value

from hwgen.cost import Resources
from hwgen.ir import Codes, Op, Schedule, TensorType, expect, frozen_codes, union
from hwgen.numeric import CodeType
from hwgen.numeric.signed_digits import signed_digits
from hwgen.ops.case import Case, Reject
from hwgen.ops.lane_choices import expect_channel_lanes, lane_choices
from hwgen.rtl.adder_tree import extend
from hwgen.rtl.dot.operand import number
from hwgen.rtl.stream.component import StreamComponent

DEPTH = 1


@dataclass(frozen=True, eq=False)
class Add(Op):
    """Add multipliers[k] * input k.

    Parameters
    ----------
    multipliers : int64 [inputs], none of them 0
    pe : codes a beat of every stream, a divisor of the channels or several whole pixels
    """

    # what
    name: ClassVar[str] = "add"
    multipliers: Codes
    pe: int = 1

    def __post_init__(self) -> None:
        object.__setattr__(self, "multipliers", frozen_codes(self.multipliers, 1, "multipliers"))

    def infer(self, *inputs: TensorType) -> TensorType:
        """Return sums of the shape that all inputs have, one interval a channel."""
        count = self.multipliers.size
        expect(len(inputs) == count, f"{count} multipliers for {len(inputs)} inputs")
        expect(count >= 2, f"{count} input, expected at least 2")
        expect(bool(self.multipliers.all()), "a multiplier is 0, leave that input out")
        shapes = [list(x.shape) for x in inputs]
        expect(all(s == shapes[0] for s in shapes), f"shapes {shapes} differ, expected equal ones")
        expect_channel_lanes(self.pe, inputs[0])
        each = tuple(
            self._interval(codes) for codes in zip(*(x.per_channel() for x in inputs), strict=True)
        )
        return TensorType(inputs[0].shape, union(each), each)

    def _interval(self, codes: tuple[CodeType, ...]) -> CodeType:
        ends = [
            sorted((m * c.lo, m * c.hi))
            for m, c in zip(self.multipliers.tolist(), codes, strict=True)
        ]
        return CodeType(sum(lo for lo, _ in ends), sum(hi for _, hi in ends))

    # meaning
    def evaluate(self, *codes: Codes) -> Codes:
        """Return the weighted sums."""
        terms = [m * x for m, x in zip(self.multipliers.tolist(), codes, strict=True)]
        return np.asarray(sum(terms), dtype=np.int64)

    # promise
    @property
    def lanes(self) -> tuple[int, int]:
        """Codes in a beat of every input, and in an output beat."""
        return self.pe, self.pe

    def schedule(self, *inputs: TensorType) -> Schedule:
        """A beat of every input a cycle, and their sum."""
        every = np.ones(inputs[0].size // self.pe, dtype=bool)
        return Schedule(every, every, DEPTH, (every,) * (len(inputs) - 1))

    def interval_cycles(self, *inputs: TensorType) -> int:
        """A beat a cycle."""
        return inputs[0].size // self.pe

    def foldings(self, *inputs: TensorType) -> tuple[Add, ...]:
        """Parts of a pixel, then whole pixels."""
        return tuple(replace(self, pe=pe) for pe in lane_choices(inputs[0]))

    def resources(self, *inputs: TensorType) -> Resources:
        """Predict an adder a lane and further input, a few more for odd multipliers, a register."""
        width = self.infer(*inputs).codes.width
        digits = sum(abs(m).bit_count() - 1 for m in self.multipliers.tolist())
        adders = self.pe * width * (len(inputs) - 1 + digits)
        return Resources(lut=adders + 3, ff=self.pe * width + 1)

    # hardware
    def hardware(self, *inputs: TensorType) -> StreamComponent:
        """Return the adders."""
        return AddUnit(self, inputs)


class AddUnit(StreamComponent):
    """Wait until every input has a beat, add, register."""

    def __init__(self, op: Add, inputs: tuple[TensorType, ...]) -> None:
        self.multipliers = op.multipliers.tolist()
        self.kinds = [x.codes for x in inputs]
        first, *further = self.kinds
        out = op.infer(*inputs).codes
        super().__init__(first, op.pe, out, op.pe, [(codes, op.pe) for codes in further])

    def elaborate(self, platform: object) -> Module:
        """One stage."""
        m = Module()
        advance, complete = Signal(), Signal()
        sources = self.streams_in
        m.d.comb += [
            advance.eq(~self.o.valid | self.o.ready),
            complete.eq(Cat(source.valid for source in sources).all()),
        ]
        m.d.comb += [source.ready.eq(advance & complete) for source in sources]
        with m.If(advance):
            m.d.sync += self.o.valid.eq(complete)
            m.d.sync += [self.o.payload[k].eq(self._sum(k)) for k in range(self.o_lanes)]
        return m

    def _sum(self, lane: int) -> Value:
        """Return the sum in the width of the result, where it wraps back to what it is."""
        width = self.o_codes.width
        total: Value | None = None
        for source, codes, multiplier in zip(
            self.streams_in, self.kinds, self.multipliers, strict=True
        ):
            code = number(source.payload[lane], codes)
            code = extend(code, codes.lo < 0, width)
            for shift, negative in signed_digits(multiplier):
                term = Cat(Const(0, shift), code)[:width]
                if total is None:
                    total = -term if negative else term
                else:
                    total = total - term if negative else total + term
                total = total[:width]
        assert total is not None  # no multiplier is 0
        return total


def _cases() -> tuple[Case, ...]:
    def image(lo: int, hi: int, channels: int = 4) -> TensorType:
        return TensorType((2, 3, channels), CodeType(lo, hi))

    bits = TensorType((3, 2, 4), CodeType.binary())
    each = TensorType((2, 3, 4), CodeType(-9, 9), tuple(CodeType(-k, 9 - k) for k in (0, 3, 9, 1)))
    return (
        *(Case(Add(np.array([1, 1]), pe), (image(-8, 7), image(-8, 7))) for pe in (1, 2, 4)),
        Case(Add(np.array([4, 1]), 2), (image(0, 15), image(-32, 31))),
        Case(Add(np.array([1, -1])), (image(0, 15), image(0, 15))),
        Case(Add(np.array([-3, 5]), 4), (image(-2, 1), image(0, 1))),
        Case(Add(np.array([1, 1]), 12), (image(-2, 1), image(0, 1))),
        Case(Add(np.array([1, 2, -7]), 2), (image(0, 3), each, image(-1, 1))),
        Case(Add(np.array([1, 1]), 2), (bits, bits)),
        Case(
            Add(np.array([8, 1])),
            (TensorType((5,), CodeType(-1, 0)), TensorType((5,), CodeType(3, 9))),
        ),
    )


CASES = _cases()
REJECTS = (
    Reject(
        Add(np.array([1, 1])),
        (TensorType((2, 2, 4), CodeType(0, 1)), TensorType((2, 2, 3), CodeType(0, 1))),
        "shapes [[2, 2, 4], [2, 2, 3]] differ, expected equal ones",
    ),
    Reject(
        Add(np.array([1, 1])), (TensorType((4,), CodeType(0, 1)),), "2 multipliers for 1 inputs"
    ),
    Reject(
        Add(np.array([1, 0])),
        (TensorType((4,), CodeType(0, 1)),) * 2,
        "a multiplier is 0, leave that input out",
    ),
    Reject(
        Add(np.array([1, 1]), pe=3),
        (TensorType((4,), CodeType(0, 1)),) * 2,
        "pe is 3, expected a divisor of 4 channels or 4 times one of [1] pixels",
    ),
)
