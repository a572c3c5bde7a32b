"""Compressor trees on LUTs of four inputs, beside the same trees built for six.

    python benchmarks/bit_heaps.py [--heap BITS]... [--unit ROWS,COLUMNS,PE,SIMD]...
                                   [--place SEEDS] [--json]

Single columns of bits behind a shift register, and folded XNOR-popcount units (random weights,
without thresholds), each planned for LUTs of six and of four inputs and synthesized by yosys for
ECP5 and iCE40 with late flattening. ECP5: LUT4, those of carry chains included; iCE40: LUT4, and
for heaps, whose few ports have pins, logic cells as nextpnr packs them, without those of the shift
register. With `--place` also the clock on ECP5, the median of so many placements.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass

import numpy as np
from amaranth import Cat, Const, Elaboratable, Module, Signal
from amaranth.back import rtlil
from lattice import FAMILIES, cells, logic_cells, packed_cells, place

from hwgen.adders import AdderTarget
from hwgen.build.rtlil_to_verilog import verilog_modules
from hwgen.ir import TensorType
from hwgen.numeric import CodeType
from hwgen.ops.matvec import Kernel, MatVec
from hwgen.rtl.compressor_tree import compress, compression_latency, compression_luts

HEAPS = (32, 128, 1024)
# Rows, columns, pe, simd: 2, 4, 8 and 16 steps.
UNITS = ((64, 64, 32, 64), (64, 64, 16, 64), (64, 64, 8, 64), (64, 64, 4, 64))
# A family of each: what the tree is planned for.
PLANS = {6: "xcup", 4: "ecp5"}


@dataclass(frozen=True)
class Row:
    """One design, planned for LUTs of so many inputs; flip-flops of a heap without its source."""

    design: str
    lut_inputs: int
    latency: int
    predicted: int
    ecp5_lut4: int
    ecp5_ccu2c: int
    ecp5_ff: int
    ice40_lut4: int
    ice40_cells: int | None
    ecp5_mhz: float | None


class Heap(Elaboratable):
    """The number of ones in a shift register."""

    def __init__(self, bits: int, lut_inputs: int) -> None:
        self.bits, self.lut_inputs = bits, lut_inputs
        self.d, self.q = Signal(), Signal(bits.bit_length())

    def elaborate(self, platform: object) -> Module:
        """Shift register and tree."""
        m = Module()
        x = Signal(self.bits, reset_less=True)
        m.d.sync += x.eq(Cat(self.d, x))
        columns = [list(x), *([] for _ in range(len(self.q) - 1))]
        codes = CodeType(0, self.bits)
        m.d.comb += self.q.eq(compress(m, columns, codes, "heap", Const(1), self.lut_inputs).value)
        return m


def heap_row(bits: int, lut_inputs: int, seeds: Sequence[int]) -> Row:
    """Measure a single column."""
    heap = Heap(bits, lut_inputs)
    text = rtlil.convert(
        heap, name="unit", ports={"d": (heap.d, None), "q": (heap.q, None)}, emit_src=False
    )
    heights = (bits, *([0] * (bits.bit_length() - 1)))
    latency = compression_latency(heights, lut_inputs)
    luts = compression_luts(heights, lut_inputs)
    return _row(f"{bits} bits", lut_inputs, (latency, luts), text, bits, seeds)


def unit_row(shape: tuple[int, int, int, int], lut_inputs: int, seeds: Sequence[int]) -> Row:
    """Measure a folded unit of signs."""
    rows, columns, pe, simd = shape
    weights = np.random.default_rng(0).choice([-1, 1], (rows, columns))
    target = AdderTarget(family=PLANS[lut_inputs])
    op = MatVec(weights, pe, simd, Kernel.XNOR, target=target)
    x = TensorType((columns,), CodeType.binary())
    text = rtlil.convert(op.hardware(x), name="unit", emit_src=False)
    promised = op.schedule(x).depth, round(op.resources(x).lut)
    name = f"XNOR {rows}x{columns}, pe {pe}, simd {simd}"
    return _row(name, lut_inputs, promised, text, 0, seeds)


def _row(
    name: str,
    lut_inputs: int,
    promised: tuple[int, int],
    text: str,
    source_ff: int,
    seeds: Sequence[int],
) -> Row:
    verilog = [module.text for module in verilog_modules(text, "_".join)]
    ecp5, ice40 = (cells(verilog, "unit", family) for family in FAMILIES)
    return Row(
        name,
        lut_inputs,
        *promised,
        logic_cells(ecp5),
        ecp5.get("CCU2C", 0),
        ecp5.get("TRELLIS_FF", 0) - source_ff,
        logic_cells(ice40),
        packed_cells(verilog, "unit") - source_ff if source_ff else None,
        place(verilog, "unit", seeds, "ecp5").median_mhz if seeds else None,
    )


def main() -> None:
    """Print a row for each design and plan."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--heap", type=int, action="append", help="bits")
    parser.add_argument("--unit", action="append", help="rows, columns, pe, simd")
    parser.add_argument("--place", type=int, default=0, help="placements a design")
    parser.add_argument("--json", action="store_true", help="print the rows as JSON")
    arguments = parser.parse_args()
    chosen = arguments.heap or arguments.unit
    heaps = arguments.heap or (() if chosen else HEAPS)
    given = [tuple(int(n) for n in unit.split(",")) for unit in arguments.unit or ()]
    units = given or (() if chosen else UNITS)
    rows = []
    for measure, designs in ((heap_row, heaps), (unit_row, units)):
        for design in designs:
            for lut_inputs in PLANS:
                rows.append(measure(design, lut_inputs, range(1, arguments.place + 1)))
                if not arguments.json:
                    print(*asdict(rows[-1]).values(), sep=" | ", flush=True)
    if arguments.json:
        print(json.dumps([asdict(row) for row in rows], indent=2))


if __name__ == "__main__":
    main()
