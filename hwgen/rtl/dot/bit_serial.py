"""Bit-serial products: a step takes as many cycles as an input has bits, one bit of each a cycle.

For the same vectors a second a unit has so many more lanes of single bits, and so many fewer steps.
Where the weights are functions of the step (`distributed.py`, `match_count.py`), fewer steps leave
room for more lanes in a table: a LUT6 of 16 steps takes two lanes, one of 4 steps takes four. That
is what makes this kernel the cheaper one at some 8 to 32 steps.

The highest bit comes first: s = 2 * s + sum, and what s has become with the lowest is added to the
row's accumulator.

Source: White, Applications of Distributed Arithmetic to Digital Signal Processing, IEEE ASSP
Magazine, July 1989 (bit-serial distributed arithmetic).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from amaranth import Module, Mux, Signal, Value

from hwgen.adders import DSP48E2, MultiplierShape
from hwgen.cost import Resources
from hwgen.ir import Codes
from hwgen.numeric import CodeType
from hwgen.rtl.adder_tree import Term
from hwgen.rtl.dot.distributed import DistributedSum
from hwgen.rtl.dot.kernel import FoldedUnit
from hwgen.rtl.dot.multiply_accumulate import MultiplyAccumulate
from hwgen.rtl.dot.operand import bit_base
from hwgen.rtl.dot.partial_products import PartialProducts

BIT = CodeType(0, 1)
# Of a multiplexer, a number among them included.
LUT_DATA_INPUTS = 4


class BitSerial(MultiplyAccumulate):
    """Word: the weight in two's complement."""

    name = "bit_serial"

    @classmethod
    def rejects(
        cls, weights: Codes, inputs: CodeType, multiplier: MultiplierShape = DSP48E2
    ) -> str:
        """Return why not, or an empty string."""
        if inputs.width == 1:
            return f"inputs are {inputs}, the bit_serial kernel takes several bits"
        return ""

    @property
    def planes(self) -> int:
        """Cycles of a step."""
        return self.inputs.width

    def folded_unit(self, steps: int, simd: int) -> FoldedUnit:
        """Return the smallest unit for single bits, and what adds up its results."""
        shape = steps, simd, BIT, self.weight_codes, self.lut_inputs
        distributed, products = DistributedSum(*shape), PartialProducts(*shape)
        bits: DistributedSum | PartialProducts = products
        if distributed.group and distributed.resources(1).lut < products.resources(1).lut:
            bits = distributed
        return SerialSum(bits, self.inputs, simd)


@dataclass(frozen=True)
class SerialSum:
    """The sums of bits of a step, added up with their weights.

    Parameters
    ----------
    bits : gives the sums of single bits
    inputs : type of the inputs
    simd : inputs a step
    """

    bits: DistributedSum | PartialProducts
    inputs: CodeType
    simd: int

    @property
    def planes(self) -> int:
        """Cycles of a step."""
        return self.inputs.width

    @property
    def cycles(self) -> int:
        """Registers from the last bits of a step to the sums."""
        return self.bits.cycles + 1

    def offset(self, row: Codes) -> int:
        """Return what the sums lack: as much for each bit, and what the codes count from."""
        every_bit = (1 << self.planes) - 1
        return every_bit * self.bits.offset(row) + bit_base(self.inputs) * int(row.sum())

    @property
    def offsets_differ(self) -> bool:
        """Whether `offset` depends on the weights."""
        return self.bits.offsets_differ or bit_base(self.inputs) != 0

    def build(
        self, m: Module, x: Sequence[Value], steps: Codes, address: Value, advance: Signal
    ) -> list[Term]:
        """Return the sums; `x` are bits, and the low bits of `address` number them, from zero."""
        number = (self.planes - 1).bit_length()
        begins: Value = address[:number] == 0
        for stage in range(self.bits.cycles + 1):
            held = Signal(name=f"begins_s{stage + 1}", reset_less=True)
            with m.If(advance):
                m.d.sync += held.eq(begins)
            begins = held
        sums = self.bits.build(m, x, steps, address[number:], advance)
        return [self._add_up(m, total, begins, row, advance) for row, total in enumerate(sums)]

    def _add_up(self, m: Module, total: Term, begins: Value, row: int, advance: Signal) -> Term:
        codes = self.codes
        serial = Signal(codes.width, name=f"row{row}_serial", reset_less=True)
        # A step never pauses between its bits, so nothing but its beginning is to be known.
        doubled = Mux(begins, 0, serial << 1)
        with m.If(advance):
            m.d.sync += serial.eq((total.value + doubled)[: codes.width])
        return replace(total, value=serial, codes=codes)

    @property
    def codes(self) -> CodeType:
        """Interval of the sum of a row."""
        return CodeType(0, self.bits.codes.hi * ((1 << self.planes) - 1))

    def resources(self, pe: int) -> Resources:
        """Predict the sums of bits, their adders and the multiplexers of the inputs."""
        select = self.simd * -(-self.planes // LUT_DATA_INPUTS)
        width = self.codes.width
        own = Resources(lut=width * pe + select, ff=width * pe + self.simd * self.planes)
        return self.bits.resources(pe) + own
