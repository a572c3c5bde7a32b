"""Measure `hwgen.adders.FABRICS["ecp5"]`: chains of adders between registers, through nextpnr.

    pip install -e '.[bench]'
    python benchmarks/calibrate_delays.py [--seeds N]

Several chains of equal adders, the operands in registers, a register behind; yosys and nextpnr as
in `place_and_route.py`. The time of the slowest path is fitted by
register_ps + adders * adder_ps + bits * carry_ps. Sums of 4 bits and fewer have no carry chain in
yosys, so the narrowest here have 6.
"""

from __future__ import annotations

import argparse

import numpy as np
from place_and_route import place_and_route

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
    seeds = range(1, parser.parse_args().seeds + 1)
    model = FABRICS["ecp5"]
    measured, unknowns = [], []
    print("bits | adders | measured ps | model ps | difference")
    for bits in WIDTHS:
        for adders in ADDERS:
            picoseconds = 1e6 / place_and_route(chains(bits, adders), "top", seeds).median_mhz
            measured.append(picoseconds)
            unknowns.append((1, adders, bits))
            expected = model.path_ps(adders, bits)
            difference = f"{expected / picoseconds - 1:+.1%}"
            print(bits, adders, round(picoseconds), expected, difference, sep=" | ", flush=True)
    fitted, *_ = np.linalg.lstsq(np.array(unknowns, dtype=float), np.array(measured), rcond=None)
    names = ("register_ps", "adder_ps", "carry_ps")
    print("fit:", ", ".join(f"{n} {v:.0f}" for n, v in zip(names, fitted, strict=True)))


if __name__ == "__main__":
    main()
