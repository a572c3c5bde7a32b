"""TFC-W1A1 (784-64-64-64-10, binary) on the PYNQ-Z2's part, beside what FINN reports for it.

    python benchmarks/tfc_w1a1.py TFC_1W1A.onnx [--frames N]

The model is Brevitas' own export, from the test data of the qonnx and FINN repositories. For each
interval it is built, verified in Verilator code by code, and synthesized by yosys for xc7z020. FINN
cannot run without Vivado: its figures are those its authors report, LUTs as Vivado counts them.
"""

from __future__ import annotations

import argparse
import json
import tempfile
from pathlib import Path

import hwgen
from hwgen.commands.synth import synthesize_build

CLOCK_MHZ = 100
# interval in cycles -> LUTs reported for FINN and its fork at about that interval.
REPORTED = {896: 1_700, 20: 20_837}


def main() -> None:
    """Build, verify, synthesize, print one row an interval."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("model", type=Path)
    parser.add_argument("--frames", type=int, default=100)
    parser.add_argument("--json", action="store_true")
    arguments = parser.parse_args()
    rows = []
    with tempfile.TemporaryDirectory() as name:
        for interval, reported in REPORTED.items():
            out = Path(name) / str(interval)
            fps = CLOCK_MHZ * 1e6 / interval
            hwgen.build(arguments.model, out, board="pynq-z2", clock_mhz=CLOCK_MHZ, target_fps=fps)
            result = hwgen.verify(out, frames=arguments.frames)
            manifest = synthesize_build(out, "yosys")
            rows.append(
                {
                    "interval_cycles": manifest["interval_cycles"],
                    "latency_cycles": manifest["latency_cycles"],
                    "equal": result.passed,
                    "frames": result.frames,
                    **{f"{k}_predicted": v for k, v in manifest["resources"]["predicted"].items()},
                    **manifest["resources"]["synthesized"],
                    "finn_interval_cycles": interval,
                    "finn_lut_reported": reported,
                    "ratio": round(manifest["resources"]["synthesized"]["lut"] / reported, 2),
                }
            )
    if arguments.json:
        print(json.dumps(rows, indent=2))
        return
    for row in rows:
        print("  ".join(f"{key} {value}" for key, value in row.items()))


if __name__ == "__main__":
    main()
