"""Convolutional networks on the Ultra96: built, simulated against the reference, synthesized.

    python benchmarks/networks.py [--frames 100] [--cifar10 FOLDER] [--no-synthesis] [NAME ...]

Each shipped model is built for the frame rate that stands beside it. The Verilog then runs on so
many frames in the native engine and every output code is compared with the integer reference by
`==`; the interval is measured in the same run. yosys counts the resources. `--cifar10` takes the
folder that the examples take and gives the accuracy on its first test images, through the Verilog;
without it frames are random.
"""

from __future__ import annotations

import argparse
import json
import resource
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "examples"))

from public_data import load_cifar10

import hwgen
from hwgen.commands.run import load_graph, run_build
from hwgen.commands.synth import synthesize_build

MODELS = Path(__file__).resolve().parents[1] / "examples" / "models"
CLOCK_MHZ = 200


@dataclass(frozen=True)
class Network:
    """A shipped model and what is asked of it.

    Parameters
    ----------
    target_fps : frames a second at `CLOCK_MHZ`
    reported : what others report for the same network, for people
    """

    target_fps: float
    reported: str = ""


NETWORKS = {
    "cifar10_cnv_w1a1": Network(
        3_000, "FINN, Pynq-Z2 at 100 MHz: 661 frames/s, about 24,500 LUT, 100 BRAM36"
    ),
    "cifar10_resnet8": Network(5_000, "fpgaConvNet, ZedBoard: 2,431 frames/s, 47,000 LUT, 211 DSP"),
    "ecg_conv1d": Network(100_000),
    "digits_conv": Network(1_000_000),
}


def main() -> None:
    """Measure the named networks, all by default; print one JSON object a network."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("names", nargs="*", default=list(NETWORKS), metavar="NAME")
    parser.add_argument("--frames", type=int, default=100)
    parser.add_argument("--cifar10", type=Path)
    parser.add_argument("--no-synthesis", action="store_true")
    arguments = parser.parse_args()
    for name in arguments.names:
        with tempfile.TemporaryDirectory() as folder:
            row = measure(name, Path(folder), arguments.frames, arguments.cifar10)
            if not arguments.no_synthesis:
                begin = time.perf_counter()
                row["synthesized"] = synthesize_build(Path(folder) / "build", "yosys")["resources"][
                    "synthesized"
                ]
                row["synthesis_seconds"] = round(time.perf_counter() - begin, 1)
        print(json.dumps({"network": name, **row, "others": NETWORKS[name].reported}), flush=True)


def measure(name: str, folder: Path, frames: int, cifar10: Path | None) -> dict[str, Any]:
    """Build one network into `folder`/build and run frames through its Verilog."""
    begin = time.perf_counter()
    out = folder / "build"
    manifest: dict[str, Any] = hwgen.build(
        MODELS / f"{name}.onnx",
        out,
        board="ultra96",
        clock_mhz=CLOCK_MHZ,
        target_fps=NETWORKS[name].target_fps,
    )
    built = time.perf_counter() - begin
    inputs, labels = frames_for(out, frames, cifar10 if name.startswith("cifar10") else None)
    np.save(folder / "in.npy", inputs)
    summary = run_build(out, folder / "in.npy", folder / "out.npy", engine="rtl", check=True)
    row = {
        "build_seconds": round(built, 1),
        "peak_memory_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024,
        "frames": len(inputs),
        "codes_compared": summary["check"]["codes_compared"],
        "mismatches": summary["check"]["mismatches"],
        "interval_predicted": manifest["interval_cycles"],
        "interval_measured": summary["measured_interval_cycles"],
        "frames_per_second": round(manifest["throughput_fps"], 1),
        "latency_cycles": manifest["latency_cycles"],
        "bottleneck": manifest["bottleneck"],
        "predicted": manifest["resources"]["predicted"],
        "simulated_cycles_per_second": round(summary["cycles_per_second"]),
    }
    if labels is not None:
        right = np.load(folder / "out.npy").reshape(len(inputs), -1).argmax(axis=1) == labels
        row["accuracy_through_rtl"] = float(right.mean())
    return row


def frames_for(
    out: Path, frames: int, cifar10: Path | None
) -> tuple[np.ndarray[Any, Any], np.ndarray[Any, Any] | None]:
    """Return real frames shaped as in the model, and their labels where there are any."""
    source = load_graph(out).inputs[0]
    if cifar10 is None:
        codes = source.type.codes.codes()
        rng = np.random.default_rng(0)
        drawn = rng.choice(codes, (frames, *source.frame_shape))
        return (drawn * source.scale).astype(np.float32), None
    data = load_cifar10(cifar10)
    # Code 1 of the input is one step of a pixel.
    reals = data.test[:frames].astype(np.float32) * source.scale
    return reals.astype(np.float32), data.test_labels[:frames]


if __name__ == "__main__":
    main()
