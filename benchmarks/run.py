"""Run the project's own measurements and write their figures into `benchmarks/RESULTS.md`.

    python benchmarks/run.py            # or: make bench

Each figure is the median of several runs of the real commands on a quiet machine, which the table
names. The text outside the markers in RESULTS.md is kept.
"""

from __future__ import annotations

import json
import os
import platform
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
RESULTS = ROOT / "benchmarks" / "RESULTS.md"
HWGEN = Path(sys.executable).with_name("hwgen")
BEGIN, END = "<!-- measured: begin -->", "<!-- measured: end -->"
Row = tuple[str, str, str]


def seconds(command: list[str | Path], cwd: Path) -> float:
    """Return the wall time of `command`, which must succeed."""
    begin = time.perf_counter()
    subprocess.run(command, cwd=cwd, check=True, capture_output=True)
    return time.perf_counter() - begin


def median(run: Callable[[], float], times: int) -> float:
    """Return the median of `times` runs."""
    return statistics.median(run() for _ in range(times))


def machine() -> str:
    """Return processor, cores and memory in a line."""
    lines = Path("/proc/cpuinfo").read_text().splitlines()
    names = [line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")]
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    return (
        f"{names[0] if names else platform.machine()}, {os.cpu_count()} cores, {memory:.0f} GiB, "
        f"Python {platform.python_version()}"
    )


def demo(folder: Path) -> list[Row]:
    """Measure the demo as a whole and its parts."""
    rows: list[Row] = []
    summaries = []
    for k in range(3):
        done = subprocess.run(
            [HWGEN, "demo", "--out", folder / f"demo{k}", "--json"],
            check=True,
            capture_output=True,
            env={**os.environ, "HWGEN_CACHE": str(folder / f"cache{k}")},
        )
        summaries.append(json.loads(done.stdout))
    whole = statistics.median(sum(s["seconds"].values()) for s in summaries)
    rows.append(("`hwgen demo`, caches empty", f"{whole:.1f} s", "< 90 s"))
    for part, goal in (("train", ""), ("build", "< 5 s"), ("verify", ""), ("synthesize", "")):
        took = statistics.median(s["seconds"][part] for s in summaries)
        rows.append((f"- of which {part}", f"{took:.1f} s", goal))
    build = folder / "demo0" / "digits_fixed_ultra96"
    again = median(lambda: seconds([HWGEN, "verify", build], folder), 3)
    rows.append(("second `hwgen verify`, compiled model reused", f"{again:.1f} s", ""))
    predicted, real = (summaries[0]["resources"][k] for k in ("predicted", "synthesized"))
    for key, label in (("lut", "LUT"), ("ff", "FF"), ("dsp", "DSP"), ("bram36", "BRAM36")):
        value = f"{predicted[key]:g} / {real[key]:g}"
        rows.append((f"demo network, predicted / yosys {label}", value, ""))
    return rows


def unrolled(folder: Path) -> list[Row]:
    """Measure the Verilog of a fully unrolled 64x64 layer of 6-bit weights."""
    script = ROOT / "benchmarks" / "unrolled_layer.py"
    took = median(lambda: seconds([sys.executable, script, folder / "unrolled"], folder), 3)
    return [("unrolled 64x64 layer, 6-bit weights: Verilog", f"{took:.1f} s", "< 10 s")]


def start_up(folder: Path) -> list[Row]:
    """Measure how long the command line takes to say anything."""
    took = median(lambda: seconds([HWGEN, "--help"], folder), 11)
    return [("`hwgen --help`", f"{took:.2f} s", "< 0.3 s")]


def cost_model(folder: Path) -> list[Row]:
    """Compare predicted and synthesized LUTs of single units."""
    script = ROOT / "benchmarks" / "cost_model.py"
    done = subprocess.run(
        [sys.executable, script, "--json"], cwd=folder, check=True, capture_output=True
    )
    error = json.loads(done.stdout)["median_lut_error"]
    return [("predicted against yosys LUT, median error over units", f"{100 * error:.0f} %", "")]


def main() -> None:
    """Measure everything and write the table."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        rows = [row for part in (start_up, demo, unrolled, cost_model) for row in part(folder)]
    lines = [BEGIN, "", f"Machine: {machine()}.", "", "| what | measured | goal |", "|---|---|---|"]
    lines += [f"| {what} | {value} | {goal} |" for what, value, goal in rows]
    table = "\n".join([*lines, "", END])
    text = RESULTS.read_text(encoding="utf-8")
    before, rest = text.split(BEGIN, 1)
    RESULTS.write_text(before + table + rest.split(END, 1)[1], encoding="utf-8")
    print(table)


if __name__ == "__main__":
    main()
