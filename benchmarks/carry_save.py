"""Sums of three operands where a LUT has four inputs: two carry chains, or carry-save and one.

    pip install -e '.[bench]'
    python benchmarks/carry_save.py [--family ecp5|ice40] [--seeds N] [--graphs] [--json]

Several equal sums between registers, through yosys and nextpnr as in `lattice.py`: one carry chain,
two after each other, and full adders with one carry chain behind them, two more LUT4 a bit. With
`--graphs` also whole adder graphs of three operands, each of them such a sum, beside those of two
operands: LUT4 and, for several periods of the delay model, registers.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterator
from dataclasses import replace

import numpy as np
from adder_matrices import random_matrix
from lattice import FAMILIES, place

from hwgen.adders import (
    FABRICS,
    AdderGraph,
    SolveOptions,
    cached_solve,
    minimum_depth,
    place_registers,
    roomy_depth,
)
from hwgen.numeric import CodeType

WIDTHS = (8, 16, 24)
SUMS = 6
FORMS = ("one chain", "two chains", "carry-save")
PERIODS = (4_400, 4_800, 5_200, 5_600)
EFFORT = 2.0
# Picoseconds of a row of full adders in front of a chain on ECP5, with its route: what this script
# measures between "one chain" and "carry-save", at most.
FULL_ADDERS_PS = 1_170
ADDER = """module adder (input [{bits}-1:0] a, b, output [{bits}-1:0] sum);
  assign sum = a + b;
endmodule
"""
FULL_ADDERS = """module full_adders (
  input [{bits}-1:0] a, b, c, output [{bits}-1:0] low, high
);
  wire [{bits}-1:0] carry = (a & b) | (c & (a ^ b));
  assign low = a ^ b ^ c;
  assign high = carry << 1;
endmodule
"""


def sums(bits: int, form: str) -> tuple[str, ...]:
    """Return Verilog: the operands come through one long shift register, as do the sums."""
    lines = [f"module top (input clk, input [{bits}-1:0] d, output [{bits}-1:0] q);"]
    before = "d"
    for k in range(SUMS):
        names = [f"x{k}_{operand}" for operand in range(2 if form == "one chain" else 3)]
        for name in (*names, f"y{k}"):
            lines.append(f"  reg [{bits}-1:0] {name} = 0;")
        lines.append(f"  wire [{bits}-1:0] first{k}, second{k}, total{k};")
        for name in names:
            lines.append(f"  always @(posedge clk) {name} <= {before};")
            before = name
        lines += [f"  {line}" for line in _sum(form, k, names)]
        lines.append(f"  always @(posedge clk) y{k} <= total{k};")
        before = f"y{k}"
    lines += [f"  assign q = {before};", "endmodule"]
    cells = (ADDER, FULL_ADDERS) if form == "carry-save" else (ADDER,)
    return "\n".join(lines), *(cell.format(bits=bits) for cell in cells)


def _sum(form: str, k: int, names: list[str]) -> list[str]:
    last = f"adder last{k} (.a({{}}), .b({{}}), .sum(total{k}));"
    if form == "one chain":
        return [last.format(*names)]
    if form == "two chains":
        first = f"adder first_of_{k} (.a({names[0]}), .b({names[1]}), .sum(first{k}));"
        return [first, last.format(f"first{k}", names[2])]
    ports = ", ".join(f".{port}({name})" for port, name in zip("abc", names, strict=True))
    saved = f"full_adders saved{k} ({ports}, .low(first{k}), .high(second{k}));"
    return [saved, last.format(f"first{k}", f"second{k}")]


def placed_rows(family: str, seeds: range) -> Iterator[dict[str, object]]:
    """Yield what each form takes."""
    for bits in WIDTHS:
        for form in FORMS:
            found = place(sums(bits, form), "top", seeds, family)
            # On iCE40 cells of registers alone are counted too: the same for both of three.
            cells = found.lut + (2 * found.carry if family == "ecp5" else 0)
            picoseconds = round(1e6 / found.median_mhz)
            yield {"bits": bits, "form": form, "cells": cells, "ff": found.ff, "ps": picoseconds}


def graph_rows() -> Iterator[dict[str, object]]:
    """Yield LUT4 and registers of graphs of two and of three operands on ECP5."""
    for name, matrix in (
        ("16x16 4 bit", random_matrix(16, 16, -8, 7)),
        ("16x16 8 bit", random_matrix(16, 16, -128, 127)),
        ("5x32 6 bit", random_matrix(5, 32, -32, 31)),
    ):
        yield from _graph_rows(name, matrix)


def _graph_rows(name: str, matrix: np.ndarray) -> Iterator[dict[str, object]]:
    inputs = (CodeType(-128, 127),) * matrix.shape[1]
    fabric = replace(FABRICS["ecp5"], third_operand_ps=FULL_ADDERS_PS)
    for operands in (2, 3):
        depth = minimum_depth(matrix) if operands == 2 else roomy_depth(matrix, 3)
        graph = cached_solve(matrix, inputs, SolveOptions(depth, EFFORT, operands=operands))
        bits = zip(graph.adders, graph.adder_bits(), strict=True)
        lut = sum(own * (3 if len(adder.operands) == 3 else 1) for adder, own in bits)
        yield {"matrix": name, "operands": operands, "rows_of_one_level": _rows_of_one_level(graph)}
        for period in PERIODS:
            stages = place_registers(graph, fabric, period)
            registers = {"latency": stages.latency, "ff": stages.register_bits(graph)}
            yield {"matrix": name, "operands": operands, "lut4": lut, "ps": period, **registers}


def _rows_of_one_level(graph: AdderGraph) -> int:
    """Return the rows at the bottom whose last sum has all its operands from the level before."""
    last = {output.node for output in graph.outputs if output.node is not None}
    first, levels = len(graph.inputs), graph.levels
    deepest = max(levels[node] for node in last)
    operands = [graph.adders[node - first].operands for node in last if levels[node] == deepest]
    return sum(all(levels[o.node] == deepest - 1 for o in own) for own in operands)


def main() -> None:
    """Print the rows."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--family", choices=FAMILIES, default="ecp5")
    parser.add_argument("--seeds", type=int, default=3, help="placements a design")
    parser.add_argument("--graphs", action="store_true", help="also whole graphs, for ECP5")
    parser.add_argument("--json", action="store_true", help="print the rows as JSON")
    arguments = parser.parse_args()
    rows = list(placed_rows(arguments.family, range(1, arguments.seeds + 1)))
    if arguments.graphs:
        rows += graph_rows()
    if arguments.json:
        print(json.dumps(rows, indent=2))
        return
    for row in rows:
        print("  ".join(f"{key} {value}" for key, value in row.items()))


if __name__ == "__main__":
    main()
