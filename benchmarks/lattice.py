"""Verilog to the cells of a Lattice family, and to the clock it reaches there.

Yosys flattens late: each adder stays behind its module until carry chains are made. The device of
ECP5 is the LFE5U-85F, speed grade 6, out of context (no pads). For iCE40 nextpnr is the judge of
both, cells and clock: the device is the HX8K, whose timing is the best documented of the family
(Project IceStorm measured it against Lattice's own tool), package CT256. Results are cached by
content.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path

from hwgen.build.yosys import quote_path, run_yosys
from hwgen.resources import cache_folder

# What nextpnr is told of the device.
DEVICES = {
    "ecp5": ("--85k", "--package", "CABGA756", "--speed", "6", "--out-of-context"),
    "ice40": ("--hx8k", "--package", "ct256", "--pcf-allow-unconstrained"),
}
FAMILIES = tuple(DEVICES)
# Part of the key: raise it when the commands below change.
REVISION = 1
# Beyond what any design here reaches, so that placement never stops trying.
WANTED_MHZ = 600
NEXTPNR = "from yowasp_{name} import run_{name} as run; import sys; run(sys.argv[1:])"

Report = dict[str, dict[str, dict[str, float]]]


@dataclass(frozen=True)
class Placed:
    """What a design takes and reaches.

    Parameters
    ----------
    lut, carry, ff : LUT4, CCU2C (two bits of carry chain, two LUT4) and flip-flops; on iCE40 logic
        cells as nextpnr packs them (a LUT4, its carry and its flip-flop), SB_CARRY and flip-flops
    mhz : the clock that each seed reaches
    """

    lut: int
    carry: int
    ff: int
    mhz: tuple[float, ...]

    @property
    def median_mhz(self) -> float:
        """Of the seeds."""
        return statistics.median(self.mhz)


def cells(verilog: Sequence[str], top: str, family: str) -> dict[str, int]:
    """Return how many of each cell yosys makes of a design.

    Parameters
    ----------
    verilog : texts of all modules
    """
    found = json.loads(_synthesized(verilog, top, family).read_text(encoding="utf-8"))
    return {str(cell): int(count) for cell, count in found.items()}


def logic_cells(counts: dict[str, int]) -> int:
    """Return the LUT4 of a device that these cells take, those of the carry chains included.

    A CCU2C of ECP5 is two LUT4. On iCE40 an SB_CARRY stands beside the SB_LUT4 that adds, if there
    is one, and else takes a cell of its own: see `packed_cells`.
    """
    return counts.get("LUT4", 0) + 2 * counts.get("CCU2C", 0) + counts.get("SB_LUT4", 0)


def packed_cells(verilog: Sequence[str], top: str) -> int:
    """Return the logic cells of an iCE40, each a LUT4, a carry and a flip-flop, as nextpnr packs.

    Ways into and out of carry chains are counted, and flip-flops without a LUT in front.
    """
    netlist = _synthesized(verilog, top, "ice40").with_name("netlist.json")
    return _used(_report(netlist, "ice40", "packed", ("--pack-only",)))


def registers(counts: dict[str, int]) -> int:
    """Return the flip-flops among these cells."""
    return sum(n for cell, n in counts.items() if cell.startswith(("TRELLIS_FF", "SB_DFF")))


def place(verilog: Sequence[str], top: str, seeds: Sequence[int], family: str) -> Placed:
    """Return cells and clock of a design with one clock, ports and their pins left out of it."""
    counts = cells(verilog, top, family)
    netlist = _synthesized(verilog, top, family).with_name("netlist.json")
    reports = [_report(netlist, family, str(seed), ("--seed", str(seed))) for seed in seeds]
    if family == "ecp5":
        used, carry = counts.get("LUT4", 0), counts.get("CCU2C", 0)
    else:
        used, carry = _used(reports[0]), counts.get("SB_CARRY", 0)
    return Placed(used, carry, registers(counts), tuple(map(_clock, reports)))


def _synthesized(verilog: Sequence[str], top: str, family: str) -> Path:
    """Return the file of cell counts; the netlist lies beside it."""
    key = [str(REVISION), version("pyosys"), family, top, *verilog]
    entry = cache_folder() / "lattice" / hashlib.sha256("\0".join(key).encode()).hexdigest()
    entry.mkdir(parents=True, exist_ok=True)
    counted = entry / "cells.json"
    if counted.is_file():
        return counted
    with tempfile.TemporaryDirectory() as folder:
        files = [Path(folder) / f"{k}.v" for k in range(len(verilog))]
        for file, text in zip(files, verilog, strict=True):
            file.write_text(text, encoding="utf-8")
        synth = f"synth_{family} -top {top} -noflatten"
        log = run_yosys(
            [
                *(f"read_verilog -defer {quote_path(file)}" for file in files),
                f"{synth} -run begin:map_ram",
                "flatten -noscopeinfo",
                "opt_clean",
                f"{synth} -run map_ram:json",
                f"write_json {quote_path(entry / 'netlist.json')}",
                "stat",
            ]
        )
    lines = re.findall(r"^ +(\d+) +(?:\S+ +)?(\w+)$", log[log.rindex("cells") :], re.MULTILINE)
    counted.write_text(json.dumps({cell: int(n) for n, cell in lines}), encoding="utf-8")
    return counted


def _report(netlist: Path, family: str, what: str, options: Sequence[str]) -> Report:
    """Return nextpnr's report."""
    name = f"{version(f'yowasp-nextpnr-{family}')}_{what}.json"
    report, part = netlist.with_name(name), f"{name}.{os.getpid()}"
    if not report.is_file():
        # It sees the folder it runs in and no other.
        common = [*DEVICES[family], "--json", netlist.name, "--report", part, "--quiet"]
        common += ["--freq", str(WANTED_MHZ), "--timing-allow-fail"]
        done = subprocess.run(
            [sys.executable, "-c", NEXTPNR.format(name=f"nextpnr_{family}"), *common, *options],
            cwd=netlist.parent,
            capture_output=True,
            text=True,
            check=False,
        )
        if done.returncode:
            raise SystemExit(f"nextpnr-{family}: {done.stdout[-2000:]}{done.stderr[-2000:]}")
        netlist.with_name(part).rename(report)
    found: Report = json.loads(report.read_text(encoding="utf-8"))
    return found


def _used(report: Report) -> int:
    return int(report["utilization"]["ICESTORM_LC"]["used"])


def _clock(report: Report) -> float:
    (clock,) = report["fmax"].values()
    return float(clock["achieved"])
