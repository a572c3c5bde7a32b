"""Measure the simulations of one design: cocotb bench, compiled harness, integer reference.

    python benchmarks/native_simulation.py [MODEL.onnx ...] [--json]

Without models it takes the demo's digits network (a million frames a second on the board) and a
6-bit perceptron 16-64-32-32-5, fully unrolled, with random weights. Figures are medians; run it
on a quiet machine. Every code of the compiled simulation is compared with the reference's.
"""

from __future__ import annotations

import argparse
import json
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from itertools import pairwise
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
from onnx import NodeProto, TensorProto, helper, numpy_helper, save

from hwgen.commands.run import load_graph
from hwgen.verify.bench_run import run_bench
from hwgen.verify.native_model import native_model

ROOT = Path(__file__).resolve().parents[1]
QONNX = "qonnx.custom_op.general"
SIZES = (16, 64, 32, 32, 5)
CLOCK_NS = 10  # of the cocotb bench
# Of a run: enough to take seconds, in whole frames.
COCOTB_CYCLES, NATIVE_CYCLES, REFERENCE_FRAMES = 20_000, 1_000_000, 500_000
TIMES = 5


def quant(x: str, bits: str, out: str, signed: int) -> NodeProto:
    """Return a quantizer node whose scale is a constant of the graph."""
    return helper.make_node(
        "Quant",
        [x, f"{out}.scale", "zero", bits],
        [out],
        out,
        domain=QONNX,
        signed=signed,
        narrow=0,
        rounding_mode="ROUND",
    )


def write_perceptron(path: Path) -> None:
    """Write the perceptron as QONNX: six bits everywhere, a ReLU between the layers."""
    rng = np.random.default_rng(0)
    constants = {"zero": np.float32(0), "six": np.float32(6), "q0.scale": np.float32(1)}
    nodes, last = [quant("x", "six", "q0", 1)], "q0"
    for k, (columns, rows) in enumerate(pairwise(SIZES), 1):
        constants[f"w{k}"] = rng.integers(-32, 32, (columns, rows)).astype(np.float32)
        constants[f"wq{k}.scale"] = np.float32(1)
        nodes.append(quant(f"w{k}", "six", f"wq{k}", 1))
        nodes.append(helper.make_node("MatMul", [last, f"wq{k}"], [f"fc{k}"], f"fc{k}"))
        last = f"fc{k}"
        if k < len(SIZES) - 1:
            nodes.append(helper.make_node("Relu", [last], [f"relu{k}"], f"relu{k}"))
            constants[f"q{k}.scale"] = np.float32(64)
            nodes.append(quant(f"relu{k}", "six", f"q{k}", 0))
            last = f"q{k}"
    graph = helper.make_graph(
        nodes,
        "perceptron",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["n", SIZES[0]])],
        [helper.make_tensor_value_info(last, TensorProto.FLOAT, ["n", SIZES[-1]])],
        [numpy_helper.from_array(np.asarray(value), name) for name, value in constants.items()],
    )
    opsets = [helper.make_opsetid("", 18), helper.make_opsetid(QONNX, 1)]
    save(helper.make_model(graph, opset_imports=opsets, ir_version=10), path)


def build(model: Path, out: Path) -> None:
    """Build `model`: the perceptron with every layer unrolled, others as the demo is built."""
    command = [sys.executable, "-m", "hwgen", "build", model, "--board", "ultra96", "--out", out]
    if model.stem != "perceptron":
        command += ["--target-fps", "1e6"]
    else:
        layers = enumerate(pairwise(SIZES), 1)
        folding = {f"fc{k}": {"pe": rows, "simd": columns} for k, (columns, rows) in layers}
        path = out.with_suffix(".json")
        path.write_text(json.dumps(folding), encoding="utf-8")
        command += ["--folding", path]
    subprocess.run(command, check=True, cwd=ROOT, stdout=subprocess.DEVNULL)


def cocotb_cycles_per_second(directory: Path, interval: int) -> float:
    """Return the bench's speed while it streams without a pause."""
    graph = load_graph(directory)
    kind = graph.inputs[0].type
    count = max(COCOTB_CYCLES // interval, 8)
    rng = np.random.default_rng(0)
    # A test of the bench sends every fourth frame.
    codes = rng.choice(kind.codes.codes(), (4 * count, *kind.shape))
    vectors = (codes, graph.evaluate(codes))
    rates = []
    for seed in range(TIMES):
        results = directory / "tb" / "measured"
        run = run_bench(directory, results, vectors, seed, only="frames_unhindered")
        assert run.failures == (), run.failures
        cases = ElementTree.parse(results / "results.xml").getroot().iter("testcase")
        case = next(case for case in cases if case.get("name") == "frames_unhindered")
        facts = {fact.get("name"): fact.get("value", "") for fact in case.iter("property")}
        rates.append(float(facts["sim_time_ratio"]) / CLOCK_NS)
    return statistics.median(rates)


def compile_seconds(directory: Path) -> float:
    """Return how long Verilator and the C++ compiler take."""
    took = []
    for _ in range(3):
        shutil.rmtree(directory / "native", ignore_errors=True)
        start = time.perf_counter()
        native_model(directory)
        took.append(time.perf_counter() - start)
    return statistics.median(took)


def run(directory: Path, frames: int, *options: str, times: int = TIMES) -> dict[str, float]:
    """Return the medians of what `hwgen run` reports for random frames."""
    kind = load_graph(directory).inputs[0]
    rng = np.random.default_rng(1)
    codes = rng.choice(kind.type.codes.codes(), (frames, kind.type.size))
    np.save(directory / "frames.npy", (codes * kind.scale).astype(np.float32))
    command = [sys.executable, "-m", "hwgen", "run", directory, directory / "frames.npy"]
    command += [directory / "outputs.npy", "--json", *options]
    summaries = []
    for _ in range(times):
        done = subprocess.run(command, check=True, capture_output=True, cwd=ROOT)
        summaries.append(json.loads(done.stdout))
    numbers = [name for name, value in summaries[0].items() if isinstance(value, (int, float))]
    return {name: statistics.median(s[name] for s in summaries) for name in numbers}


def measure(directory: Path) -> dict[str, float]:
    """Return all figures of a build directory."""
    manifest = json.loads((directory / "manifest.json").read_text(encoding="utf-8"))
    interval = int(manifest["interval_cycles"])
    frames = max(NATIVE_CYCLES // interval, 8)
    compiled = compile_seconds(directory)
    native = run(directory, frames, "--engine", "rtl")
    # Once more with every code compared: that is no part of the figures.
    run(directory, frames, "--engine", "rtl", "--check", times=1)
    values = sum(kind.size for kind in load_graph(directory).types.values())
    reference = run(directory, min(REFERENCE_FRAMES, max(200_000_000 // values, 8)))
    cocotb = cocotb_cycles_per_second(directory, interval)
    return {
        "interval_cycles": interval,
        "measured_interval_cycles": native["measured_interval_cycles"],
        "compile_seconds": round(compiled, 1),
        "cocotb_cycles_per_second": round(cocotb),
        "native_cycles_per_second": native["cycles_per_second"],
        "native_to_cocotb": round(native["cycles_per_second"] / cocotb, 1),
        "native_frames_per_second": native["frames_per_second"],
        "reference_frames_per_second": reference["frames_per_second"],
    }


def main() -> None:
    """Build and measure each design."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("models", nargs="*", type=Path)
    parser.add_argument("--json", action="store_true", help="one JSON object")
    arguments = parser.parse_args()
    figures = {}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        models = [model.resolve() for model in arguments.models]
        if not models:
            models = [ROOT / "examples" / "models" / "digits_fixed.onnx"]
            models.append(folder / "perceptron.onnx")
            write_perceptron(models[-1])
        for model in models:
            build(model, folder / model.stem)
            figures[model.stem] = measure(folder / model.stem)
            if not arguments.json:
                print(model.stem)
                for what, value in figures[model.stem].items():
                    print(f"  {what}: {value:,}")
    if arguments.json:
        print(json.dumps(figures, indent=2))


if __name__ == "__main__":
    main()
