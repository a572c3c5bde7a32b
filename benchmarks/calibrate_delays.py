"""Measure `hwgen.adders.FABRICS` of a Lattice family: chains of adders, through nextpnr.

    pip install -e '.[bench]'
    python benchmarks/calibrate_delays.py [--family ecp5|ice40] [--seeds N]

Several chains of equal adders, the operands in registers, a register behind; yosys and nextpnr as
in `lattice.py`. The time of the slowest path is fitted by
register_ps + adders * adder_ps + bits * carry_ps. Sums of 4 bits and fewer have no carry chain in
yosys for ECP5, so the narrowest here have 6.
"""

from __future__ import annotations

import argparse

import numpy as np
from lattice import FAMILIES, place

from hwgen.adders import FABRICS

WIDTHS = (6, 8, 16, 24, 32)
ADDERS = (1, 2, 3, 5)
CHAINS = 6
ADDER = """module adder (input [{bits}-1:0] a, b, output [{bits}-1:0] sum);
  assign sum = a + b;
endmodule
"""


def chains(bits: int, adders: int) -> tuple[str, str]:
    """Return Verilog: the operands come through one long shift register, as do the sums."""
    lines = [f"module top (input clk, input [{bits}-1:0] d, output [{bits}-1:0] q);"]
    before = "d"

    def register(name: str, value: str) -> str:
        lines.append(f"  reg [{bits}-1:0] {name} = 0;")
        lines.append(f"  always @(posedge clk) {name} <= {value};")
        return name

    for chain in range(CHAINS):
        operands = []
        for k in range(adders + 1):
            before = register(f"x{chain}_{k}", before)
            operands.append(before)
        total = operands[0]
        for k, operand in enumerate(operands[1:]):
            name = f"sum{chain}_{k}"
            lines.append(f"  wire [{bits}-1:0] {name};")
            lines.append(f"  adder adder_{name} (.a({total}), .b({operand}), .sum({name}));")
            total = name
        before = register(f"y{chain}", total)
    lines += [f"  assign q = {before};", "endmodule"]
    return "\n".join(lines), ADDER.format(bits=bits)


def main() -> None:
    """Measure, fit and compare with the model."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seeds", type=int, default=3, help="placements a design")
    parser.add_argument("--family", choices=FAMILIES, default="ecp5")
    arguments = parser.parse_args()
    seeds = range(1, arguments.seeds + 1)
    model = FABRICS[arguments.family]
    measured, unknowns = [], []
    print("bits | adders | measured ps | model ps | difference")
    for bits in WIDTHS:
        for adders in ADDERS:
            placed = place(chains(bits, adders), "top", seeds, arguments.family)
            picoseconds = 1e6 / placed.median_mhz
            measured.append(picoseconds)
            unknowns.append((1, adders, bits))
            expected = model.path_ps(adders, bits)
            difference = f"{expected / picoseconds - 1:+.1%}"
            print(bits, adders, round(picoseconds), expected, difference, sep=" | ", flush=True)
    # Shares of the measured time, not picoseconds: short paths count as much as long ones.
    shares = np.array(unknowns) / np.array(measured)[:, None]
    fitted, *_ = np.linalg.lstsq(shares, np.ones(len(measured)), rcond=None)
    names = ("register_ps", "adder_ps", "carry_ps")
    print("fit:", ", ".join(f"{n} {v:.0f}" for n, v in zip(names, fitted, strict=True)))


if __name__ == "__main__":
    main()
