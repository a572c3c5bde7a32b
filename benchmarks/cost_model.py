"""Predicted against synthesized resources of single units.

    python benchmarks/cost_model.py [--only TEXT]... [--json]

Every unit is synthesized by yosys for xcup (ultra96) by itself and compared with the operator's own
promise. The median of |predicted / synthesized - 1| is the figure of merit.
"""

from __future__ import annotations

import argparse
import json
import statistics
import tempfile
from pathlib import Path

import numpy as np
from amaranth import Module
from amaranth.back import rtlil
from amaranth.lib.wiring import connect, flipped

from hwgen.board import load_board
from hwgen.build.rtlil_to_verilog import verilog_modules
from hwgen.build.synthesis_attributes import with_attributes
from hwgen.build.synthesize import synthesize
from hwgen.cost import Resources
from hwgen.ir import Op, TensorType
from hwgen.numeric import CodeType, Rounding
from hwgen.ops.convert_lanes import ConvertLanes
from hwgen.ops.fifo import Fifo
from hwgen.ops.matvec import Kernel, MatVec
from hwgen.ops.matvec_threshold import MatVecThreshold
from hwgen.ops.requantize import Requantize
from hwgen.ops.table import Table
from hwgen.ops.thresholds import Thresholds
from hwgen.rtl.stream.component import StreamComponent

SEED = 0


def units() -> dict[str, tuple[Op, TensorType]]:
    """Return the units by name: every operator at several foldings, seeded parameters."""
    rng = np.random.default_rng(SEED)
    dense = rng.integers(-32, 32, (64, 64))
    signs = rng.choice([-1, 1], (64, 64))
    twohot = np.array([a + b for a in (0, 1, 2, 4, 8) for b in (0, 16, -1, -4)])[
        rng.integers(0, 20, (64, 64))
    ]
    six, binary = TensorType((64,), CodeType(0, 63)), TensorType((64,), CodeType.binary())
    found: dict[str, tuple[Op, TensorType]] = {}
    for pe, simd in ((1, 1), (4, 1), (4, 4), (2, 16)):
        found[f"mac_{pe}x{simd}"] = MatVec(dense, pe, simd, Kernel.MAC), six
        found[f"shift_add_{pe}x{simd}"] = MatVec(twohot, pe, simd, Kernel.SHIFT_ADD), six
        found[f"signed_add_{pe}x{simd}"] = MatVec(signs, pe, simd, Kernel.SIGNED_ADD), six
    for pe, simd in ((1, 8), (4, 16), (16, 16)):
        found[f"xnor_{pe}x{simd}"] = MatVec(signs, pe, simd, Kernel.XNOR), binary
    small = rng.integers(-32, 32, (8, 8))
    found["unrolled_mac_8x8"] = MatVec(small, 8, 8), TensorType((8,), CodeType(0, 63))
    bits = TensorType((16,), CodeType.binary())
    found["unrolled_xnor_16x16"] = MatVec(signs[:16, :16], 16, 16, Kernel.XNOR), bits
    found["unrolled_xnor_16x64"] = MatVec(signs[:16], 16, 64, Kernel.XNOR), binary
    cuts = rng.integers(-8, 9, 64)
    for rows, pe, simd in ((16, 16, 64), (64, 16, 64), (64, 16, 16), (64, 2, 64)):
        shape = signs[:rows], pe, simd, Kernel.XNOR
        merged = MatVecThreshold(*shape, thresholds=cuts[:rows])
        found[f"xnor_threshold_{rows}_{pe}x{simd}"] = merged, binary
    for width, inputs in ((4, 15), (8, 255)):
        packed = rng.integers(-(1 << width - 1), 1 << width - 1, (64, 64))
        kind = TensorType((64,), CodeType(0, inputs))
        found[f"packed_mac_{width}_bit_4x4"] = MatVec(packed, 4, 4, Kernel.PACKED_MAC), kind
    few = rng.integers(-2, 2, (64, 64))
    three = TensorType((64,), CodeType(0, 7))
    for pe, simd in ((16, 32), (16, 16), (4, 16)):
        found[f"mac_2x3_bit_{pe}x{simd}"] = MatVec(few, pe, simd, Kernel.MAC), three
    # The same 16 cycles a vector: 16 inputs at once, or one bit of 64.
    nibbles, fours = rng.integers(-8, 8, (32, 64)), TensorType((64,), CodeType(0, 15))
    found["mac_4x4_bit_8x16"] = MatVec(nibbles, 8, 16, Kernel.MAC), fours
    found["bit_serial_4x4_bit_8x64"] = MatVec(nibbles, 8, 64, Kernel.BIT_SERIAL), fours
    wide = TensorType((64,), CodeType(-22000, 24000))
    for pe in (1, 4):
        scale, offset = rng.integers(16, 32, 64), rng.integers(-30000, 30000, 64)
        requantize = Requantize(scale, offset, 10, Rounding.RND_CONV, CodeType(0, 63), pe)
        found[f"requantize_{pe}"] = requantize, wide
        shift = Requantize(scale[:1] * 0 + 1, offset, 10, Rounding.RND, CodeType(0, 63), pe)
        found[f"shift_{pe}"] = shift, wide
        steps = np.sort(rng.integers(-22000, 24000, (64, 3)), axis=1)
        rising = np.zeros(1, dtype=np.int64)
        found[f"thresholds3_{pe}"] = Thresholds(steps, rising, CodeType(0, 3), pe), wide
        many = np.sort(rng.integers(-22000, 24000, (64, 15)), axis=1)
        found[f"thresholds15_{pe}"] = Thresholds(many, rising, CodeType(0, 15), pe), wide
        found[f"sign_{pe}"] = Thresholds(steps[:, :1], rising, CodeType.binary(), pe), wide
    byte = np.arange(200) - 100
    gelu = np.round(byte / 4 / (1 + np.exp(-byte / 20))).astype(np.int64)
    of_gelu = Table(gelu[None], -100, CodeType(int(gelu.min()), int(gelu.max())), 4)
    found["table_of_gelu_4"] = of_gelu, TensorType((64,), CodeType(-100, 99))
    entries = rng.integers(0, 64, (1, 256))
    found["table_4"] = Table(entries, 0, CodeType(0, 63), 4), TensorType((64,), CodeType(0, 255))
    found["widen_1x16"] = ConvertLanes(1, 16), six
    found["narrow_16x1"] = ConvertLanes(16, 1), six
    found["fifo_16x8"] = Fifo(16, 8), six
    return found


class Bench(StreamComponent):
    """A unit behind its own ports, so that it is a module."""

    def __init__(self, unit: StreamComponent) -> None:
        self.unit = unit
        super().__init__(unit.i_codes, unit.i_lanes, unit.o_codes, unit.o_lanes)

    def elaborate(self, platform: object) -> Module:
        """Pass the ports through."""
        m = Module()
        m.submodules.unit = self.unit
        connect(m, flipped(self.i), self.unit.i)
        connect(m, self.unit.o, flipped(self.o))
        return m


def measure(chosen: dict[str, tuple[Op, TensorType]], folder: Path) -> dict[str, Resources]:
    """Return the synthesized resources of each unit."""
    m = Module()
    ports = {}
    for name, (op, kind) in chosen.items():
        unit = Bench(op.hardware(kind))
        m.submodules[name] = unit
        for side in ("i", "o"):
            stream = getattr(unit, side)
            for member in ("payload", "valid", "ready"):
                signal = getattr(stream, member)
                signal = signal.as_value() if member == "payload" else signal
                ports[f"{name}_{side}_{member}"] = (signal, None)
    text = rtlil.convert(m, name="bench", ports=ports, emit_src=False)
    files = []
    for module in verilog_modules(text, lambda path: "_".join(path[1:]) or "bench"):
        uses_dsp = (
            len(module.path) > 1
            and chosen[module.path[1]][0].resources(chosen[module.path[1]][1]).dsp > 0
        )
        files.append(folder / f"{module.name}.v")
        files[-1].write_text(with_attributes(module.text, uses_dsp))
    report = synthesize(files, "bench", load_board("ultra96"), folder / "synth", keep=list(chosen))
    return report.modules


def row_of(name: str, op: Op, kind: TensorType) -> dict[str, object]:
    """Return what is promised and what yosys takes."""
    with tempfile.TemporaryDirectory() as folder:
        real = measure({name: (op, kind)}, Path(folder))[name]
    return {"unit": name, "predicted": op.resources(kind).as_dict(), "yosys": real.as_dict()}


def main() -> None:
    """Print the table, a row when it is there."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--only", action="append", default=[], help="units with this in the name")
    parser.add_argument("--json", action="store_true", help="print the rows as JSON")
    arguments = parser.parse_args()
    kinds = ("lut", "ff", "dsp", "bram36")
    if not arguments.json:
        print(f"{'unit':28}" + "".join(f"{k:>9}{'yosys':>9}" for k in kinds))
    rows = []
    for name, (op, kind) in units().items():
        if arguments.only and not any(text in name for text in arguments.only):
            continue
        row = row_of(name, op, kind)
        rows.append(row)
        if not arguments.json:
            cells = (f"{row['predicted'][k]:9.0f}{row['yosys'][k]:9.0f}" for k in kinds)
            print(f"{name:28}" + "".join(cells), flush=True)
    errors = [abs(r["predicted"]["lut"] / r["yosys"]["lut"] - 1) for r in rows if r["yosys"]["lut"]]
    if arguments.json:
        print(json.dumps({"rows": rows, "median_lut_error": statistics.median(errors)}, indent=2))
    else:
        print(f"median LUT error {100 * statistics.median(errors):.1f} %, {len(errors)} units")


if __name__ == "__main__":
    main()
