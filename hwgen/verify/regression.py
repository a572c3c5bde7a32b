"""`verify`: the Verilator link of the chain: a build's Verilog against its reference, code by code.

Golden codes come from the graph and, independently, from the ONNX model; the bench in the build
directory compares; on a mismatch the bench runs again with probes and the layer is named.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import cast

from hwgen.build_directory import read_manifest, update_manifest
from hwgen.errors import VerificationError
from hwgen.ir import Codes, Graph
from hwgen.ir.text import parse_graph
from hwgen.ops.registry import OPERATORS
from hwgen.verify.bench_run import BenchRun, run_bench
from hwgen.verify.golden import Executor, Golden, execute_model, golden
from hwgen.verify.mismatch import OUTPUT_LAYER, Mismatch, first_mismatch
from hwgen.verify.vectors import golden_frames

Progress = Callable[[str, int, int], None]

_STEPS = ("golden codes", "compile", "simulate", "report")
_WAVES_TEST = "frames_with_idles_and_backpressure"


@dataclass(frozen=True)
class VerifyResult:
    """What `hwgen verify` found.

    Parameters
    ----------
    frames : golden frames used
    codes_compared, mismatches : output codes, over all tests of the bench
    seed : repeats the run
    measured_interval_cycles, measured_latency_cycles : None when a fault kept them unmeasured
    first_mismatch : where the first wrong code came from
    failures : one line for each thing that is wrong; empty means equal
    layers : measured latency_cycles of a lone frame and interval_cycles of each layer
    float_differences : frames whose codes differ from the float execution of the model
    compiled : whether Verilator ran, False when the compiled model was used again
    junit, waves : files written on request
    """

    frames: int
    codes_compared: int
    mismatches: int
    seed: int
    measured_interval_cycles: float | None
    measured_latency_cycles: int | None
    first_mismatch: Mismatch | None
    failures: tuple[str, ...]
    layers: Mapping[str, Mapping[str, int]]
    float_differences: int
    compiled: bool
    junit: Path | None = None
    waves: Path | None = None

    @property
    def passed(self) -> bool:
        """Whether every code is equal and every promise kept."""
        return not self.failures and self.mismatches == 0

    def as_dict(self) -> dict[str, object]:
        """Return everything, ready for JSON."""
        found = self.first_mismatch
        return {
            **manifest_entry(self),
            "first_mismatch": None if found is None else str(found),
            "first_mismatch_at": None if found is None else asdict(found),
            "failures": list(self.failures),
            "compiled": self.compiled,
            "junit": None if self.junit is None else str(self.junit),
            "waves": None if self.waves is None else str(self.waves),
        }


def verify(
    build_dir: Path,
    frames: int = 64,
    seed: int = 0,
    junit: Path | None = None,
    waves: bool = False,
    progress: Progress | None = None,
    samples: Codes | None = None,
    executor: Executor = execute_model,
) -> VerifyResult:
    """Verify a build directory; its manifest gets the key `verify`.

    Parameters
    ----------
    frames : golden frames, corners included
    seed : of vectors, idles and stalls
    junit : where to write JUnit XML
    waves : also record tb/<top>.vcd, of the failing test where there is one
    progress : called with a step's name, its number and their count
    samples : the user's own frames of input codes, used besides corners and random ones
    executor : runs the ONNX model in floating point

    Raises
    ------
    VerificationError : when the references disagree, or the simulation left no results
    ToolError : when Verilator or the C++ compiler is missing or fails
    """
    build_dir = Path(build_dir).resolve()
    manifest = read_manifest(build_dir)
    report = progress or (lambda step, number, count: None)
    report(_STEPS[0], 0, len(_STEPS))
    graph, bench = _read_build(build_dir)
    inputs = golden_frames(graph, frames, seed, samples)
    reference = golden(graph, inputs, build_dir / "reference" / "model.onnx", executor)
    vectors = (reference.inputs, reference.outputs)
    report(_STEPS[1], 1, len(_STEPS))

    def on_line(line: str) -> None:
        if "model" in line:
            report(_STEPS[2], 2, len(_STEPS))

    results = build_dir / "tb" / "results"
    run = run_bench(build_dir, results, vectors, seed, progress=on_line)
    report(_STEPS[3], 3, len(_STEPS))
    failures = [*run.failures, *_broken_promises(run, bench, manifest)]
    culprit = _find_mismatch(build_dir, graph, reference, run, seed)
    vcd = _record_waves(build_dir, vectors, run, seed, bench) if waves else None
    result = _result(run, reference, seed, culprit, failures, _copy_junit(results, junit), vcd)
    update_manifest(build_dir, verify=manifest_entry(result))
    return result


def _read_build(build_dir: Path) -> tuple[Graph, Mapping[str, object]]:
    try:
        text = (build_dir / "reference" / "graph.txt").read_text(encoding="utf-8")
        bench = json.loads((build_dir / "tb" / "bench.json").read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise VerificationError(
            f"{build_dir}: {error}; the build directory is not whole, build the model again"
        ) from error
    return parse_graph(text, OPERATORS), cast(Mapping[str, object], bench)


def _broken_promises(
    run: BenchRun, bench: Mapping[str, object], manifest: Mapping[str, object]
) -> list[str]:
    """Return what the bench cannot see: tests that did not run, a manifest that promises more."""
    problems = [
        f"{name}: did not run" for name in cast(list[str], bench["tests"]) if name not in run.ran
    ]
    for what, meaning in (
        ("interval_cycles", "a frame every {} cycles measured"),
        ("latency_cycles", "a lone frame took {} cycles"),
    ):
        promised, measured = manifest[what], run.measured.get(what)
        if measured is not None and measured != promised:
            name = what.removesuffix("_cycles")
            problems.append(f"{name}: {meaning.format(measured)}, the manifest promises {promised}")
    if not run.measured["codes_compared"]:
        problems.append("not a single code was compared")
    return problems


def _find_mismatch(
    build_dir: Path, graph: Graph, reference: Golden, run: BenchRun, seed: int
) -> Mismatch | None:
    """Run the first test with a wrong code again, layer by layer."""
    first = cast(Mapping[str, int | str | None] | None, run.measured["first"])
    if first is None:
        return None
    test = str(first["test"])
    vectors = (reference.inputs, reference.outputs)
    folder = run.folder / "probe"
    probed = run_bench(build_dir, folder, vectors, seed, only=test, probe=True)
    tests = cast(Mapping[str, Mapping[str, list[int]]], probed.measured["tests"])
    sent = reference.inputs[tests[test]["frames"]]
    found = first_mismatch(graph, sent, probed.recordings(), test)
    if found is not None:
        return found
    channels = graph.types[graph.outputs[0]].channels
    # Every layer is right, so it is the output port: its own comparison says where.
    return Mismatch(
        test,
        OUTPUT_LAYER,
        "",
        cast(int, first["frame"]),
        cast(int, first["code"]) % channels,
        None,
        cast(int, first["expected"]),
        cast("int | None", first["got"]),
    )


def _record_waves(
    build_dir: Path,
    vectors: tuple[Codes, Codes],
    run: BenchRun,
    seed: int,
    bench: Mapping[str, object],
) -> Path:
    test = run.failures[0].split(":")[0] if run.failures else _WAVES_TEST
    folder = run.folder / "waves"
    run_bench(build_dir, folder, vectors, seed, only=test, waves=True)
    target = build_dir / "tb" / f"{bench['top']}.vcd"
    shutil.move(folder / "dump.vcd", target)
    return target


def _copy_junit(results: Path, junit: Path | None) -> Path | None:
    if junit is None:
        return None
    junit = Path(junit)
    try:
        junit.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(results / "results.xml", junit)
    except OSError as error:
        raise VerificationError(f"{junit}: cannot be written: {error.strerror}") from error
    return junit


def _result(
    run: BenchRun,
    reference: Golden,
    seed: int,
    culprit: Mismatch | None,
    failures: list[str],
    junit: Path | None,
    waves: Path | None,
) -> VerifyResult:
    measured = run.measured
    return VerifyResult(
        frames=len(reference.inputs),
        codes_compared=cast(int, measured["codes_compared"]),
        mismatches=cast(int, measured["mismatches"]),
        seed=seed,
        measured_interval_cycles=cast("float | None", measured.get("interval_cycles")),
        measured_latency_cycles=cast("int | None", measured.get("latency_cycles")),
        first_mismatch=culprit,
        failures=tuple(failures),
        layers=cast(Mapping[str, Mapping[str, int]], measured.get("layers", {})),
        float_differences=reference.float_differences,
        compiled=run.compiled,
        junit=junit,
        waves=waves,
    )


def manifest_entry(result: VerifyResult) -> dict[str, object]:
    """Return the manifest's key `verify`."""
    return {
        "frames": result.frames,
        "codes_compared": result.codes_compared,
        "mismatches": result.mismatches,
        "seed": result.seed,
        "measured_interval_cycles": result.measured_interval_cycles,
        "measured_latency_cycles": result.measured_latency_cycles,
        "layers": dict(result.layers),
        "float_differences": result.float_differences,
        "passed": result.passed,
    }
