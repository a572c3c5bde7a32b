"""Signed add: weights are -1, 0 or +1; an input is added, subtracted or left out.

Source: METHODS of FINN-style binary-weight layers; ternary weights as in Li & Liu, Ternary Weight
Networks, arXiv 1605.04711.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from amaranth import Module, Mux, Signal, Value

from hwgen.adders import DSP48E2, MultiplierShape
from hwgen.cost import Resources
from hwgen.ir import Codes
from hwgen.numeric import CodeType
from hwgen.rtl.adder_tree import Term
from hwgen.rtl.dot.kernel import DotKernel, FoldedUnit
from hwgen.rtl.dot.match_count import MatchCount
from hwgen.rtl.dot.operand import number
from hwgen.rtl.stream.component import code_shape


class SignedAdd(DotKernel):
    """Word: bit 0 says subtract; bit 1, present when some weight is 0, says leave out."""

    name = "signed_add"

    @classmethod
    def rejects(
        cls, weights: Codes, inputs: CodeType, multiplier: MultiplierShape = DSP48E2
    ) -> str:
        """Return why not, or an empty string."""
        if np.abs(weights).max(initial=0) > 1:
            return f"weights reach {np.abs(weights).max()}, the signed_add kernel takes -1, 0, 1"
        return ""

    @property
    def weight_bits(self) -> int:
        """One, or two when there are zeros."""
        return 2 if np.any(self.weights == 0) else 1

    def encode(self, weights: Codes) -> Codes:
        """Return the sign bit and the zero bit."""
        return np.where(weights == 0, np.int64(2), (weights < 0).astype(np.int64))

    def summands(
        self, m: Module, x: Sequence[Value], words: Sequence[Value], name: str, advance: Signal
    ) -> list[Term]:
        """Return +x, -x or 0, registered."""
        ends = (self.inputs.lo, self.inputs.hi, -self.inputs.lo, -self.inputs.hi, 0)
        codes = CodeType(min(ends), max(ends))
        terms = []
        for k, (value, word) in enumerate(zip(x, words, strict=True)):
            plain = number(value, self.inputs)
            chosen = Mux(word[0], -plain, plain)
            if self.weight_bits == 2:
                chosen = Mux(word[1], 0, chosen)
            product = Signal(code_shape(codes), name=f"{name}_product{k}")
            with m.If(advance):
                m.d.sync += product.eq(chosen)
            terms.append(Term(product, codes))
        return terms

    def constant_summands(self, x: Sequence[Value], row: Codes) -> list[Term]:
        """Return the inputs with a weight, signed."""
        plain = CodeType(self.inputs.lo, self.inputs.hi)
        return [
            Term(number(value, self.inputs), plain, negative=bool(w < 0))
            for value, w in zip(x, row, strict=True)
            if w
        ]

    def summands_per_lane(self) -> int:
        """One."""
        return 1

    def folded_unit(self, steps: int, simd: int) -> FoldedUnit:
        """Return the unit that counts matches of signs, or tables where there are zeros."""
        if self.weight_bits == 2:
            return super().folded_unit(steps, simd)
        return MatchCount(steps, simd, self.inputs, self.lut_inputs)

    def lane_resources(self) -> Resources:
        """A conditional negation and an adder; measured."""
        width = self.inputs.width + 1
        return Resources(lut=2.4 * width, ff=1.3 * width)
