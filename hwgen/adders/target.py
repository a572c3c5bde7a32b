"""`AdderTarget`: what the device and the user's patience allow an unrolled product to be.

One value for a whole build; it travels with each matrix-vector operator.
"""

from __future__ import annotations

from dataclasses import dataclass

from hwgen.adders.fabric import FABRICS, Fabric


@dataclass(frozen=True)
class MultiplierShape:
    """Operands of the device's hardware multiplier, in bits with sign.

    Parameters
    ----------
    name : of the primitive
    wide, narrow : widths of the two operands
    """

    name: str
    wide: int
    narrow: int


# AMD UG579 and UG479, Lattice FPGA-TN-02205 (sysDSP) and FPGA-TN-02007 (DSP Function Usage Guide
# for iCE40 Devices): of the iCE40 only the UltraPlus has SB_MAC16, and yosys takes it there alone.
DSP48E2 = MultiplierShape("DSP48E2", 27, 18)
DSP48E1 = MultiplierShape("DSP48E1", 25, 18)
MULT18X18D = MultiplierShape("MULT18X18D", 18, 18)
SB_MAC16 = MultiplierShape("SB_MAC16", 16, 16)
# By device family, as board files name it.
MULTIPLIERS = {"xcup": DSP48E2, "xc7": DSP48E1, "ecp5": MULT18X18D, "ice40": SB_MAC16}
# LUTs with six inputs and two outputs beside their carry chain; see ternary_adder.v.
TERNARY_FAMILIES = frozenset({"xcup", "xc7"})
# Inputs of a LUT. ECP5 joins LUTs to larger ones, but each of them counts.
LUT_INPUTS = {"xcup": 6, "xc7": 6, "ecp5": 4, "ice40": 4}


@dataclass(frozen=True)
class AdderTarget:
    """Freedom and limits of an adder graph.

    Parameters
    ----------
    effort : work to spend on the search for each matrix, in seconds of a common core
    three_operands : whether a LUT of the device adds three bits beside its carry chain
    multiplier : what a folded product is made of where LUTs are dearer
    family : of the device, a key of `FABRICS`
    period_ps : longest time from register to register; 0: a register behind every adder
    """

    effort: float = 0.0
    three_operands: bool = False
    multiplier: MultiplierShape = DSP48E2
    family: str = "xcup"
    period_ps: int = 0

    @property
    def operands(self) -> int:
        """Operands of an adder at most."""
        return 3 if self.three_operands else 2

    @property
    def lut_inputs(self) -> int:
        """Inputs of a LUT of the device."""
        return LUT_INPUTS[self.family]

    @property
    def fabric(self) -> Fabric:
        """The device's adders and registers."""
        return FABRICS[self.family]
