"""Shift-add: every weight is a sum of at most a few signed powers of two (K-hot).

Folded, a weight is stored as K digits of (shift, sign, present) and each digit costs a barrel
shifter instead of a multiplier; as constants, the shifts are wires.

Source: Dai et al., QFX, arXiv 2401.17544 (K-hot weights); Elhoushi et al., DeepShift,
arXiv 1905.13298.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property

import numpy as np
from amaranth import Cat, Const, Module, Mux, Signal, Value

from hwgen.adders import DSP48E2, MultiplierShape
from hwgen.cost import Resources
from hwgen.ir import Codes
from hwgen.numeric import CodeType
from hwgen.numeric.signed_digits import count_digits, signed_digits
from hwgen.rtl.adder_tree import Term, extend
from hwgen.rtl.dot.kernel import DotKernel, FoldedUnit, ProductTree, smallest_unit
from hwgen.rtl.dot.multiply_accumulate import digit_terms
from hwgen.rtl.dot.operand import number
from hwgen.rtl.dot.shifted_sums import ShiftedSums
from hwgen.rtl.stream.component import code_shape

MAX_DIGITS = 3  # more barrel shifters than that and a multiplier is smaller


class ShiftAdd(DotKernel):
    """Word: for each digit, shift, then sign, then present, low digit first."""

    name = "shift_add"

    @classmethod
    def rejects(
        cls, weights: Codes, inputs: CodeType, multiplier: MultiplierShape = DSP48E2
    ) -> str:
        """Return why not, or an empty string."""
        digits = int(count_digits(weights).max(initial=0))
        if digits > MAX_DIGITS:
            return f"a weight has {digits} signed digits, the shift_add kernel takes {MAX_DIGITS}"
        return ""

    @cached_property
    def digits(self) -> int:
        """Largest number of digits in a weight."""
        return max(int(count_digits(self.weights).max(initial=0)), 1)

    @cached_property
    def max_shift(self) -> int:
        """Largest shift of a digit."""
        shifts = [s for w in np.unique(self.weights) for s, _ in signed_digits(int(w))]
        return max(shifts, default=0)

    @property
    def digit_bits(self) -> int:
        """Bits of one digit."""
        return self.max_shift.bit_length() + 2

    @property
    def weight_bits(self) -> int:
        """Bits of all digits of a weight."""
        return self.digits * self.digit_bits

    def encode(self, weights: Codes) -> Codes:
        """Return the packed digits."""
        words = {int(w): self._word(int(w)) for w in np.unique(weights)}
        flat = [words[int(w)] for w in weights.ravel()]
        return np.array(flat, dtype=np.int64).reshape(weights.shape)

    def _word(self, weight: int) -> int:
        shift_bits = self.digit_bits - 2
        word = 0
        for k, (shift, negative) in enumerate(signed_digits(weight)):
            digit = shift | (int(negative) << shift_bits) | (1 << (shift_bits + 1))
            word |= digit << (k * self.digit_bits)
        return word

    def summands(
        self, m: Module, x: Sequence[Value], words: Sequence[Value], name: str, advance: Signal
    ) -> list[Term]:
        """Return one shifted, signed input for each digit, registered."""
        reach = max(abs(self.inputs.lo), abs(self.inputs.hi)) << self.max_shift
        codes = CodeType(-reach, reach)
        terms = []
        for k, (value, word) in enumerate(zip(x, words, strict=True)):
            plain = number(value, self.inputs)
            wide = extend(plain, plain.shape().signed, codes.width)
            for d in range(self.digits):
                digit = word[d * self.digit_bits : (d + 1) * self.digit_bits]
                moved = Signal(code_shape(codes), name=f"{name}_shifted{k}_{d}")
                product = Signal(code_shape(codes), name=f"{name}_product{k}_{d}")
                m.d.comb += moved.eq(_shift_left(wide, digit[:-2]))
                with m.If(advance):
                    m.d.sync += product.eq(Mux(digit[-1], Mux(digit[-2], -moved, moved), 0))
                terms.append(Term(product, codes))
        return terms

    def constant_summands(self, x: Sequence[Value], row: Codes) -> list[Term]:
        """Return one shifted input for each signed digit."""
        return digit_terms(x, row, self.inputs)

    def constant_terms(self, row: Codes) -> int:
        """Return how many signed digits the row has."""
        return int(count_digits(row).sum())

    def folded_unit(self, steps: int, simd: int) -> FoldedUnit:
        """Return tables where they are smaller, else multiplexers and adders."""
        picked = ShiftedSums(self.weights, steps, simd, self.inputs)
        # A lone digit has no adder to hide in, and its negation would need starts of rows.
        shifted = picked if picked.terms > 1 else ProductTree(self, steps, simd)
        return smallest_unit((shifted, *self.table_units(steps, simd)))

    def summands_per_lane(self) -> int:
        """One a digit."""
        return self.digits

    def lane_resources(self) -> Resources:
        """A barrel shifter, a conditional negation and an adder for each digit; measured."""
        width = self.inputs.width + self.max_shift
        digit = Resources(lut=3.3 * (self.inputs.width + 1) + 4 * self.max_shift, ff=1.3 * width)
        return digit * self.digits


def _shift_left(value: Value, amount: Value) -> Value:
    """Shift by a stage of multiplexers for each bit of `amount`, keeping the width."""
    width = len(value)
    for stage, bit in enumerate(amount):
        shifted = Cat(Const(0, 1 << stage), value)[:width]
        value = Mux(bit, shifted, value)
    return value
