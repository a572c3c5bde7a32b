"""Thresholds: the code says how many thresholds the input has reached.

The finite function of binary and few-bit activations: BatchNorm, bias and rounding disappear into
the thresholds.

Source: Umuroglu et al., FINN, FPGA 2017, section 4.2.2 (MultiThreshold).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from amaranth import Cat, Const, Module, Signal, Value

from hwgen.cost import Resources
from hwgen.ir import Codes, Op, Schedule, TensorType, expect, frozen_codes
from hwgen.numeric import CodeType
from hwgen.ops.case import Case, Reject, bipolar_vector, integers, vector
from hwgen.ops.lane_parallel import ChannelPipeline, expect_channels, lockstep
from hwgen.rtl.adder_tree import Term, add_tree, extend
from hwgen.rtl.dot.operand import number
from hwgen.rtl.memory import memory_resources
from hwgen.rtl.stream.component import StreamComponent, code_shape


@dataclass(frozen=True, eq=False)
class Thresholds(Op):
    """Count reached thresholds.

    Parameters
    ----------
    thresholds : int64 [C or 1, K], ascending along K = codes.size - 1; equal ones are allowed
    falling : int64 [C or 1], 1 where a larger input gives a smaller code
    codes : the result: n thresholds reached give the n-th code (from the top where falling)
    pe : codes a beat
    """

    # what
    name: ClassVar[str] = "thresholds"
    thresholds: Codes
    falling: Codes
    codes: CodeType
    pe: int = 1

    def __post_init__(self) -> None:
        table = frozen_codes(self.thresholds, 2, "thresholds")
        object.__setattr__(self, "thresholds", table)
        object.__setattr__(self, "falling", frozen_codes(self.falling, 1, "thresholds falling"))

    def infer(self, *inputs: TensorType) -> TensorType:
        """Shape stays; the type is `codes`."""
        (x,) = inputs
        expect_channels(self.thresholds, x, self.pe, "thresholds")
        expect_channels(self.falling, x, self.pe, "falling")
        steps = self.thresholds.shape[1]
        expect(
            steps == self.codes.size - 1,
            f"{steps} thresholds for the {self.codes.size} codes {self.codes}, expected "
            f"{self.codes.size - 1}",
        )
        expect(bool(np.all(np.diff(self.thresholds) >= 0)), "thresholds are not ascending")
        expect(bool(np.all((self.falling == 0) | (self.falling == 1))), "falling is not 0 or 1")
        return TensorType(x.shape, self.codes)

    # meaning
    def evaluate(self, *codes: Codes) -> Codes:
        """Apply to the last axis."""
        (x,) = codes
        reached = np.zeros(np.broadcast_shapes(x.shape, self.falling.shape), dtype=np.int64)
        for column in self.thresholds.T:
            reached += x >= column
        steps = self.thresholds.shape[1]
        return self.codes.codes()[np.where(self.falling == 1, steps - reached, reached)]

    # promise
    @property
    def lanes(self) -> tuple[int, int]:
        """Codes in an input beat and in an output beat."""
        return self.pe, self.pe

    @property
    def depth(self) -> int:
        """Fetch, compare and, for more than one threshold, count."""
        return 2 if self.thresholds.shape[1] <= 1 else 3

    def schedule(self, *inputs: TensorType) -> Schedule:
        """A beat a cycle."""
        return lockstep(inputs[0], self.pe, self.depth)

    def resources(self, *inputs: TensorType) -> Resources:
        """Predict comparators, the counter and the threshold memory."""
        (x,) = inputs
        steps, bits = self.thresholds.shape[1], x.codes.width
        groups = x.channels // self.pe
        compare = bits * (0.5 if groups == 1 else 0.7) * steps
        lane = Resources(lut=compare + 1.6 * (steps - 1), ff=bits + steps + self.codes.width)
        return lane * self.pe + memory_resources(groups, self.pe * (steps * bits + 1))

    def memory_bits(self, *inputs: TensorType) -> int:
        """Bits of thresholds that differ between channels of a lane."""
        (x,) = inputs
        word_bits = int(self.thresholds.shape[1]) * x.codes.width + 1
        return word_bits * x.channels if x.channels > self.pe else 0

    # hardware
    def hardware(self, *inputs: TensorType) -> StreamComponent:
        """Return `pe` lanes of comparators."""
        return ThresholdUnit(self, inputs[0])


class ThresholdUnit(ChannelPipeline):
    """All thresholds of a channel are compared at once."""

    def __init__(self, op: Thresholds, x: TensorType) -> None:
        self.op, self.channels = op, x.channels
        # A threshold beyond the reachable codes acts like one just outside them.
        self.values = np.clip(op.thresholds, x.codes.lo, x.codes.hi + 1)
        self.value_codes = CodeType(x.codes.lo, x.codes.hi + 1)
        self.mixed = bool(op.falling.min() != op.falling.max())
        super().__init__(x.codes, op.infer(x).codes, x.channels, op.pe, op.depth)

    @property
    def word_bits(self) -> int:
        """Bits of one channel's parameters."""
        return int(self.values.shape[1]) * self.value_codes.width + self.mixed

    def parameter_words(self) -> tuple[list[int], int]:
        """Return the thresholds, lowest first, then the falling flag where channels differ."""
        width, steps = self.value_codes.width, self.values.shape[1]
        rows = np.broadcast_to(self.value_codes.to_bits(self.values), (self.channels, steps))
        falling = np.broadcast_to(self.op.falling, (self.channels,))
        words = []
        for row, flag in zip(rows, falling, strict=True):
            word = sum(int(value) << (j * width) for j, value in enumerate(row))
            words.append(word | (int(flag) << (steps * width) if self.mixed else 0))
        return words, self.word_bits

    def fetch(self, m: Module, k: int, group: Signal, advance: Signal) -> Value:
        """Read the parameter memory."""
        words, width = self.parameter_words()
        return self.fetch_word(m, k, words, width, group, advance)

    def lane(self, m: Module, k: int, x: Value, word: Value, advance: Signal) -> Value:
        """Compare, then count."""
        width, steps = self.value_codes.width, self.values.shape[1]
        result = Signal(code_shape(self.o_codes), name=f"result{k}")
        if steps == 0:
            m.d.comb += result.eq(self.o_codes.lo)
            return result
        flip = word[-1] if self.mixed else Const(int(self.op.falling[0]), 1)
        value = self._comparable(number(x, self.i_codes), self.i_codes)
        bits = [
            (value >= self._comparable(word[j * width : (j + 1) * width], self.value_codes)) ^ flip
            for j in range(steps)
        ]
        reached = Signal(steps, name=f"reached{k}")
        with m.If(advance):
            m.d.sync += reached.eq(Cat(bits))
        if steps == 1 and self.o_codes.bipolar:
            m.d.comb += result.eq(reached)
            return result
        self._count(m, k, reached, result, advance)
        return result

    def _comparable(self, value: Value, codes: CodeType) -> Value:
        """Bring inputs and thresholds to one width and sign, as linters want."""
        signed = self.value_codes.signed or self.i_codes.lo < 0
        width = max(self.value_codes.width, self.i_codes.width) + (0 if codes.lo < 0 else 1)
        wide = extend(value, codes.signed or codes.bipolar, width)
        return wide.as_signed() if signed else wide.as_unsigned()

    def _count(self, m: Module, k: int, reached: Signal, result: Signal, advance: Signal) -> None:
        ones = [Term(reached[j], CodeType(0, 1)) for j in range(len(reached))]
        total = add_tree(m, ones, f"count{k}")
        width = self.o_codes.width
        base = Const(self.o_codes.lo & ((1 << width) - 1), width)
        value = (
            (extend(total.value, False, width) + base)[:width] if self.o_codes.lo else total.value
        )
        if self.depth == 2:
            m.d.comb += result.eq(value)
        else:
            with m.If(advance):
                m.d.sync += result.eq(value)


def _cases() -> tuple[Case, ...]:
    binary, flags = CodeType.binary(), integers((6,), 0, 1)
    rising = np.array([0])
    few = np.sort(integers((6, 3), -60, 60), axis=1)
    cases = [
        Case(Thresholds(integers((6, 1), -60, 60), flags, binary, pe=pe), (vector(6, -50, 49),))
        for pe in (1, 2, 3, 6)
    ]
    cases += [
        Case(Thresholds(few, flags, CodeType(-1, 2), pe=pe), (vector(6, -50, 49),)) for pe in (1, 6)
    ]
    cases += [
        Case(Thresholds(few, rising, CodeType(0, 3), pe=2), (vector(6, 0, 49),)),
        Case(Thresholds(few[:1], rising, CodeType(-4, -1), pe=2), (vector(6, -50, 49),)),
        Case(Thresholds(few[:, :1], rising, CodeType(0, 1), pe=3), (vector(6, -50, -9),)),
        Case(Thresholds(np.array([[1]]), rising + 1, binary), (bipolar_vector(3),)),
        Case(
            Thresholds(np.arange(15)[None], rising, CodeType(0, 15), pe=2),
            (TensorType((2, 2), CodeType(-3, 16)),),
        ),
    ]
    return tuple(cases)


CASES = _cases()
REJECTS = (
    Reject(
        Thresholds(np.array([[1, 2]]), np.array([0]), CodeType(0, 3)),
        (vector(3, 0, 9),),
        "2 thresholds for the 4 codes 0..3, expected 3",
    ),
    Reject(
        Thresholds(np.array([[2, 1]]), np.array([0]), CodeType(0, 2)),
        (vector(3, 0, 9),),
        "thresholds are not ascending",
    ),
)
