"""Multiply-accumulate: any integer weights; the synthesizer takes a DSP or LUTs.

With constant weights each product is a sum of signed digits, so no multiplier is built.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import cached_property

from amaranth import Module, Signal, Value

from hwgen.adders import DSP48E2, MultiplierShape
from hwgen.cost import Resources
from hwgen.ir import Codes
from hwgen.numeric import CodeType
from hwgen.numeric.signed_digits import count_digits, signed_digits
from hwgen.rtl.adder_tree import Term, extend
from hwgen.rtl.dot.kernel import DotKernel
from hwgen.rtl.dot.operand import number
from hwgen.rtl.stream.component import code_shape

# Below this product of operand widths a LUT multiplier is smaller than a DSP is worth.
LUT_MULTIPLIER_BITS = 64
# What a multiplier takes more where LUTs have four inputs; measured for 2 by 3 bits on ECP5.
FOUR_INPUT_FACTOR = 2


class MultiplyAccumulate(DotKernel):
    """Word: the weight in two's complement."""

    name = "mac"
    # A multiplier in LUTs is the longest path of a layer: shifters and adders that cost a little
    # more are worth that, and K-hot weights are trained for it.
    price_factor = 1.5

    @classmethod
    def rejects(
        cls, weights: Codes, inputs: CodeType, multiplier: MultiplierShape = DSP48E2
    ) -> str:
        """Return an empty string: every integer matrix will do."""
        return ""

    @cached_property
    def weight_codes(self) -> CodeType:
        """Interval of the weights."""
        return CodeType.of(self.weights)

    @property
    def weight_bits(self) -> int:
        """Width of the interval of the weights."""
        return self.weight_codes.width

    def encode(self, weights: Codes) -> Codes:
        """Return two's complement words."""
        return self.weight_codes.to_bits(weights)

    @property
    def product_codes(self) -> CodeType:
        """Interval of one product."""
        w, x = self.weight_codes, self.inputs
        ends = [a * b for a in (w.lo, w.hi) for b in (x.lo, x.hi)]
        return CodeType(min(ends), max(ends))

    def summands(
        self, m: Module, x: Sequence[Value], words: Sequence[Value], name: str, advance: Signal
    ) -> list[Term]:
        """Return the products, registered."""
        terms = []
        for k, (value, word) in enumerate(zip(x, words, strict=True)):
            weight = number(word, self.weight_codes)
            product = Signal(code_shape(self.product_codes), name=f"{name}_product{k}")
            full = number(value, self.inputs) * weight
            with m.If(advance):
                m.d.sync += product.eq(
                    extend(full, self.product_codes.signed, self.product_codes.width)
                )
            terms.append(Term(product, self.product_codes))
        return terms

    def constant_summands(self, x: Sequence[Value], row: Codes) -> list[Term]:
        """Return one shifted input for each signed digit of each weight."""
        return digit_terms(x, row, self.inputs)

    def constant_terms(self, row: Codes) -> int:
        """Return how many signed digits the row has."""
        return int(count_digits(row).sum())

    def summands_per_lane(self) -> int:
        """One."""
        return 1

    def lane_resources(self) -> Resources:
        """A DSP, or a small multiplier in LUTs, and an adder."""
        width = self.product_codes.width
        multiplier = multiplier_resources(self.weight_bits, self.inputs.width)
        if self.lut_inputs < 6:
            multiplier = replace(multiplier, lut=multiplier.lut * FOUR_INPUT_FACTOR)
        return multiplier + Resources(lut=width, ff=width if multiplier.dsp else 1.3 * width)


def multiplier_resources(a_bits: int, b_bits: int) -> Resources:
    """Predict a multiplier: a DSP, or LUTs where it is small (measured: 1.75 a partial product)."""
    bits = a_bits * b_bits
    return Resources(dsp=1) if bits > LUT_MULTIPLIER_BITS else Resources(lut=1.75 * bits)


def digit_terms(x: Sequence[Value], row: Codes, inputs: CodeType) -> list[Term]:
    """Return x[k] shifted and signed for each signed digit of row[k]."""
    plain = CodeType(inputs.lo, inputs.hi)
    return [
        Term(number(value, inputs), plain, shift, negative)
        for value, weight in zip(x, row, strict=True)
        for shift, negative in signed_digits(int(weight))
    ]
