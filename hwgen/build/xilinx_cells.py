"""What each AMD cell that yosys emits takes from the device.

An upper bound on LUTs: Vivado may put two small LUTs that share inputs, or two SRL16, into one,
and may absorb an inverter.

Source: AMD UG474 (7 series CLB, table 2-3), UG574 (UltraScale CLB, table 2-6), UG473 and UG573
(block RAM, UltraRAM), UG479 and UG579 (DSP).
"""

from __future__ import annotations

from collections.abc import Mapping

from hwgen.cost import Resources
from hwgen.errors import ToolError

_LUTS = {
    **{f"LUT{inputs}": 1 for inputs in range(1, 7)},
    "LUT6_2": 1,  # one physical LUT with both its outputs in use
    "INV": 1,
    # Shift registers.
    "SRL16E": 1,
    "SRLC16E": 1,
    "SRLC32E": 1,
    # Distributed memory: LUTs = bits / 64, times the read ports that need a copy of their own.
    "RAM32X1S": 1,
    "RAM32X1D": 2,
    "RAM64X1S": 1,
    "RAM64X1D": 2,
    "RAM128X1S": 2,
    "RAM128X1D": 4,
    "RAM256X1S": 4,
    "RAM256X1D": 8,
    "RAM512X1S": 8,
    "RAM32M": 4,
    "RAM64M": 4,
    "RAM32M16": 8,
    "RAM64M8": 8,
    "RAM64X8SW": 8,
    "RAM32X16DR8": 8,
}
_FLIP_FLOPS = tuple(
    f"{cell}{edge}" for cell in ("FDRE", "FDSE", "FDCE", "FDPE") for edge in ("", "_1")
)
# Part of the slice or of the clock network, never the resource that runs out.
_FREE = ("CARRY4", "CARRY8", "MUXCY", "XORCY", "MUXF7", "MUXF8", "MUXF9", "BUFG", "GND", "VCC")

CELL_RESOURCES: dict[str, Resources] = {
    **{cell: Resources(lut=luts) for cell, luts in _LUTS.items()},
    **{cell: Resources(ff=1) for cell in _FLIP_FLOPS},
    **{cell: Resources() for cell in _FREE},
    "DSP48E1": Resources(dsp=1),
    "DSP48E2": Resources(dsp=1),
    "RAMB18E1": Resources(bram36=0.5),
    "RAMB18E2": Resources(bram36=0.5),
    "RAMB36E1": Resources(bram36=1),
    "RAMB36E2": Resources(bram36=1),
    "URAM288": Resources(uram=1),
}


def resources_of_cells(cells: Mapping[str, int]) -> Resources:
    """Return the sum over `cells` (type to count).

    Raises
    ------
    ToolError
        When a cell is not in the table: counting it as nothing would be a wrong report.
    """
    unknown = sorted(set(cells) - set(CELL_RESOURCES))
    if unknown:
        raise ToolError(
            f"synthesis: yosys left cells that no device resource is known for: "
            f"{', '.join(unknown)}; expected LUTs, flip-flops, DSPs and memories only. An "
            "undriven clock, a latch or a black box in the Verilog has this effect"
        )
    return sum((CELL_RESOURCES[cell] * count for cell, count in cells.items()), Resources())
