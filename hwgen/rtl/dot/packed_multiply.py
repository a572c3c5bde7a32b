"""Packed multiply-accumulate: any integer weights; hardware multipliers that rows share.

Unlike the mac kernel it always takes a multiplier of the device, and as many products in each as
stay exact. With constant weights each product is a sum of signed digits, as there.
"""

from __future__ import annotations

from hwgen.adders import DSP48E2, MultiplierShape
from hwgen.ir import Codes
from hwgen.numeric import CodeType
from hwgen.rtl.dot.kernel import FoldedUnit
from hwgen.rtl.dot.multiply_accumulate import MultiplyAccumulate
from hwgen.rtl.dot.packed_products import PackedProducts


class PackedMultiply(MultiplyAccumulate):
    """Word: the weights of several rows side by side."""

    name = "packed_mac"

    @classmethod
    def rejects(
        cls, weights: Codes, inputs: CodeType, multiplier: MultiplierShape = DSP48E2
    ) -> str:
        """Return why not, or an empty string."""
        for what, codes in (("weights", CodeType.of(weights)), ("inputs", inputs)):
            # Of the wide operand too: so narrow that packing pays, and the same on AMD's devices.
            if codes.width + (codes.lo >= 0) > multiplier.narrow:
                return (
                    f"{what} are {codes}, the packed_mac kernel takes {multiplier.narrow} bits "
                    "with sign"
                )
        return ""

    def folded_unit(self, steps: int, simd: int) -> FoldedUnit:
        """Return the unit with packed multipliers."""
        return PackedProducts(steps, simd, self.inputs, self.weight_codes, self.multiplier)
