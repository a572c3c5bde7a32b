"""`Fabric`: how long chained additions take between two registers, by device family.

Carry chains that follow each other overlap: the second starts when the low bits of the first are
there. A path through k adders up to bit n therefore takes k times the way into a chain and out
again, but ripples over the n bits only once. Times are whole picoseconds, so that sums in any
order compare alike.

Source: ecp5, ice40: measured by `benchmarks/calibrate_delays.py`, nextpnr, within 7 and 8 %; speed
grade 6, and the HX8K, whose timing Project IceStorm knows best. An UltraPlus takes 2.5 to 2.8 times
as long as the HX8K, so its clock is to be asked for as much higher.
xc7, not measured here: Project X-Ray's timings of CARRY4 and FDRE as yosys quotes them in
techlibs/xilinx/cells_sim.v. xcup, not measured here: RapidWright's
timing/ultrascaleplus/intrasite_delay_terms.txt (Maidee et al., An Open-source Lightweight Timing
Model for RapidWright, FPT 2019). The routes of both are estimates.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Fabric:
    """Delays of adders in LUTs with carry chains, and what becomes of long delay lines.

    Parameters
    ----------
    register_ps : clock to output of a register, and setup of the next
    adder_ps : the route to an adder, into its carry chain and out again
    carry_ps : one more bit of carry chain
    shift_register : registers in a row from which on synthesis puts them into one LUT; 0: never
    third_operand_ps : what a third operand adds: one more LUT and the route to the next place
    """

    register_ps: int
    adder_ps: int
    carry_ps: int
    shift_register: int = 0
    third_operand_ps: int = 0

    def path_ps(self, adders: int, bits: int) -> int:
        """Return the time from register to register through so many adders, up to bit `bits`."""
        return self.register_ps + adders * self.adder_ps + bits * self.carry_ps

    def levels(self, bits: int, period_ps: int) -> int:
        """Return how many adders of `bits` fit between two registers, at least one."""
        return max((period_ps - self.path_ps(0, bits)) // self.adder_ps, 1)


# xc7: FDRE C to Q 303; LUT6 124, S0 to CO3 508, CI to O1 334, a route of 800; CI to CO3 114 for
# four bits. xcup: C to Q 77, CARRY8 to D 25, D 25; A1 to O6 150, to S 15, S0 to CO7 199, CIN to
# O7 142, O to AMUX 30, a route of 450; CIN to COUT and on 69 for eight bits. A third operand: LUT
# to O5 and AMUX, and a route.
FABRICS = {
    "ecp5": Fabric(484, 1961, 44),
    "ice40": Fabric(27, 1405, 160),
    "xc7": Fabric(360, 1770, 29, shift_register=3, third_operand_ps=950),
    "xcup": Fabric(130, 990, 9, shift_register=3, third_operand_ps=630),
}
