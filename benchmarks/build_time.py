"""How build time and memory grow with the number of layers.

    python benchmarks/build_time.py [--layers 5 10 20 40] [--json]

Chains of 3x3 convolutions with 16 channels on 16x16 images, weights of 4 bits from a fixed seed,
thresholds between them, as QONNX files that hwgen.nn writes; built for the ZCU104 at a frame rate
that leaves each layer folded. Every build runs in a process of its own; seconds are by stage.
"""

from __future__ import annotations

import argparse
import json
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

SEED, CHANNELS, SIZE, FPS = 0, 16, 16, 2000.0


def export_chain(layers: int, path: Path) -> None:
    """Write a network of so many convolutions with seeded weights."""
    import torch

    import hwgen.nn as hnn

    torch.manual_seed(SEED)
    bits = hnn.FixedPointConfig(4, frac=6)
    activation = hnn.FixedPointConfig(4, signed=False, frac=2)
    pixels = hnn.FixedPointConfig(4, signed=False, frac=4)
    parts: list[torch.nn.Module] = [hnn.Identity(output=pixels)]
    for _ in range(layers):
        parts.append(hnn.Conv2d(CHANNELS, CHANNELS, 3, padding=1, bias=False, weight=bits))
        parts.append(hnn.ReLU(output=activation))
    network = torch.nn.Sequential(*parts).eval()
    hnn.export(network, torch.rand(1, CHANNELS, SIZE, SIZE), path)


def build(path: Path, folder: Path) -> dict[str, object]:
    """Build and return seconds by stage, and the largest resident set in MB."""
    from hwgen.pipeline import BuildOptions, run_stages, start

    marks: list[tuple[str, float]] = []
    options = BuildOptions(board="zcu104", target_fps=FPS)
    begun = start(path, folder, options)
    run_stages(begun, progress=lambda name, *_: marks.append((name, time.perf_counter())))
    ends = [when for _, when in marks[1:]] + [time.perf_counter()]
    seconds = {name: round(end - at, 2) for (name, at), end in zip(marks, ends, strict=True)}
    memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024
    return {"total": round(ends[-1] - marks[0][1], 2), "memory_mb": memory, **seconds}


def main() -> None:
    """Measure every length; a process measures one."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--layers", type=int, nargs="+", default=[5, 10, 20, 40])
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--build", type=Path, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.build is not None:
        print(json.dumps(build(arguments.build, arguments.build.parent / "out")))
        return
    rows = {}
    for layers in arguments.layers:
        with tempfile.TemporaryDirectory() as name:
            path = Path(name) / f"chain{layers}.onnx"
            export_chain(layers, path)
            (Path(name) / "out").mkdir()
            command = [sys.executable, __file__, "--build", str(path)]
            done = subprocess.run(command, check=True, capture_output=True, text=True)
        rows[layers] = json.loads(done.stdout)
        if not arguments.json:
            print(f"{layers} layers:", rows[layers], flush=True)
    if arguments.json:
        print(json.dumps(rows))


if __name__ == "__main__":
    main()
