"""Packed multiply-accumulate: any integer weights; hardware multipliers that rows share.

Unlike the mac kernel it always takes a multiplier of the device, and as many products in each as
stay exact. With constant weights each product is a sum of signed digits, as there.
"""

from __future__ import annotations

from hwgen.ir import Codes
from hwgen.numeric import CodeType
from hwgen.rtl.dot.kernel import FoldedUnit
from hwgen.rtl.dot.multiply_accumulate import MultiplyAccumulate
from hwgen.rtl.dot.packed_products import PackedProducts

# What a multiplier of every supported device takes, with sign.
MAX_FACTOR_BITS = 18


class PackedMultiply(MultiplyAccumulate):
    """Word: the weights of several rows side by side."""

    name = "packed_mac"

    @classmethod
    def rejects(cls, weights: Codes, inputs: CodeType) -> str:
        """Return why not, or an empty string."""
        for what, codes in (("weights", CodeType.of(weights)), ("inputs", inputs)):
            if codes.width + (codes.lo >= 0) > MAX_FACTOR_BITS:
                return (
                    f"{what} are {codes}, the packed_mac kernel takes {MAX_FACTOR_BITS} bits "
                    "with sign"
                )
        return ""

    def folded_unit(self, steps: int, simd: int) -> FoldedUnit:
        """Return the unit with packed multipliers."""
        return PackedProducts(steps, simd, self.inputs, self.weight_codes, self.multiplier)
