"""XNOR-popcount: both weights and inputs are -1 or +1, one bit each.

With p ones among the n XNORs, the dot product is 2p - n.

Source: Rastegari et al., XNOR-Net, arXiv 1603.05279; Umuroglu et al., FINN, FPGA 2017.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from amaranth import Cat, Module, Signal, Value

from hwgen.adders import DSP48E2, MultiplierShape
from hwgen.cost import Resources
from hwgen.ir import Codes
from hwgen.numeric import CodeType
from hwgen.rtl.adder_tree import Term
from hwgen.rtl.dot.kernel import DotKernel, FoldedUnit
from hwgen.rtl.dot.match_count import MatchCount

BIT = CodeType(0, 1)


class XnorPopcount(DotKernel):
    """One XNOR a synapse; bit 1 stands for +1."""

    name = "xnor"
    gain = 2
    per_input = -1
    stages = 1

    @classmethod
    def rejects(
        cls, weights: Codes, inputs: CodeType, multiplier: MultiplierShape = DSP48E2
    ) -> str:
        """Return why not, or an empty string."""
        if not inputs.bipolar:
            return f"inputs are {inputs}, the xnor kernel takes bipolar"
        if not np.all(np.abs(weights) == 1):
            return "weights are not all -1 or +1, which the xnor kernel takes"
        return ""

    @property
    def weight_bits(self) -> int:
        """One."""
        return 1

    def encode(self, weights: Codes) -> Codes:
        """Return 1 for +1."""
        return (weights + 1) >> 1

    def summands(
        self, m: Module, x: Sequence[Value], words: Sequence[Value], name: str, advance: Signal
    ) -> list[Term]:
        """Return the XNORs, registered."""
        match = Signal(len(x), name=f"{name}_match")
        with m.If(advance):
            m.d.sync += match.eq(~(Cat(*x) ^ Cat(*words)))
        return [Term(match[k], BIT) for k in range(len(x))]

    def constant_summands(self, x: Sequence[Value], row: Codes) -> list[Term]:
        """Return each input or its complement."""
        return [Term(bit if w > 0 else ~bit, BIT) for bit, w in zip(x, row, strict=True)]

    def summands_per_lane(self) -> int:
        """One."""
        return 1

    def constant_row_resources(self, row: Codes, sums: CodeType) -> Resources:
        """Measured: the counting tree of single bits, a register behind each level."""
        return Resources(lut=1.1 * len(row), ff=1.6 * len(row)) + Resources(lut=2, ff=sums.width)

    def folded_unit(self, steps: int, simd: int) -> FoldedUnit:
        """Return the unit that counts matches."""
        return MatchCount(steps, simd, self.inputs, self.lut_inputs)

    def lane_resources(self) -> Resources:
        """An XNOR and about one LUT of the counting tree."""
        return Resources(lut=2.6, ff=1.6)
