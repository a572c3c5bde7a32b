"""`hwgen run`: a build's outputs for the user's own frames, by one of two engines.

`reference` evaluates the integer graph; `rtl` streams through the compiled Verilog. Both work
chunk by chunk, so that a test set of any size fits in memory.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from hwgen.build_directory import read_manifest
from hwgen.errors import HwgenError
from hwgen.ir import Codes, Graph
from hwgen.ir.text import parse_graph
from hwgen.ops.registry import OPERATORS
from hwgen.verify.native import simulate
from hwgen.verify.native_model import native_model

Progress = Callable[[str, int, int], None]
Frames = npt.NDArray[np.generic]
Write = Callable[[Codes], object]

ENGINES = ("reference", "rtl")
# Codes in flight: the reference holds every value of a chunk, and is fastest while they are few
# enough for the processor's cache; the simulation holds inputs and outputs.
_REFERENCE_CODES, _RTL_CODES = 1 << 18, 1 << 17
_KEPT_BYTES = 1 << 24


def load_graph(directory: Path) -> Graph:
    """Return the mapped graph of a build directory."""
    read_manifest(directory)
    text = (directory / "reference" / "graph.txt").read_text(encoding="utf-8")
    return parse_graph(text, OPERATORS)


def run_build(
    directory: Path,
    source: Path,
    target: Path,
    engine: str = "reference",
    check: bool = False,
    progress: Progress | None = None,
) -> dict[str, Any]:
    """Read frames from `source`, write outputs to `target`, both `.npy`, and return a summary.

    Outputs are float32, shaped like the model's: what an ONNX executor would give.

    Parameters
    ----------
    engine : one of ENGINES
    check : hold every code of the engine `rtl` against the reference, with `==`
    progress : called with a step's name, frames done and frames in all

    Raises
    ------
    HwgenError : when frames are of a wrong shape, or a file cannot be read or written
    VerificationError : when the hardware stands still or breaks its frames
    ToolError : when the Verilog cannot be compiled
    """
    graph, frames = load_graph(directory), _read(source)
    graph.inputs[0].quantize(frames[:1])  # a wrong shape is refused before anything is compiled
    report = progress or (lambda what, done, total: None)
    with _written(target, graph, len(frames)) as write:
        if engine == "rtl":
            summary = _run_rtl(directory, graph, frames, write, check, report)
        else:
            summary = _run_reference(graph, frames, write, report)
    shape = [len(frames), *_output_shape(graph)]
    return {"target": str(target), "shape": shape, "engine": engine, **summary}


def _run_reference(
    graph: Graph, frames: Frames, write: Write, report: Progress
) -> dict[str, object]:
    start, done = time.perf_counter(), 0
    report("reference", 0, len(frames))
    # glibc's malloc keeps blocks up to the largest that was ever freed, and hands others back to
    # the system, to be mapped and zeroed again a millisecond later: a third of the time.
    np.empty(_KEPT_BYTES, dtype=np.uint8)
    for codes in _quantized(graph, frames, _REFERENCE_CODES // _values_of_a_frame(graph)):
        write(graph.evaluate(codes))
        done += len(codes)
        report("reference", done, len(frames))
    seconds = time.perf_counter() - start
    rate = round(done / seconds, 1)
    return {"frames": done, "seconds": round(seconds, 3), "frames_per_second": rate}


def _run_rtl(
    directory: Path,
    graph: Graph,
    frames: Frames,
    write: Write,
    check: bool,
    report: Progress,
) -> dict[str, object]:
    report("compile", 0, len(frames))
    model = native_model(directory)
    comparison, done = Comparison(), 0
    report("simulate", 0, len(frames))

    def take(codes: Codes) -> None:
        nonlocal done
        if check:
            sent = graph.inputs[0].quantize(frames[done : done + len(codes)])
            comparison.add(done, graph.evaluate(sent), codes)
        write(codes)
        done += len(codes)
        report("simulate", done, len(frames))

    size = graph.inputs[0].type.size + int(np.prod(model.output_shape))
    run = simulate(model, _quantized(graph, frames, _RTL_CODES // size), take)
    summary = {**run.as_dict(), "interval_cycles": model.interval_cycles}
    summary["compiled"] = model.compiled
    return {**summary, "check": comparison.as_dict()} if check else summary


@dataclass
class Comparison:
    """Output codes against the reference's, chunk by chunk.

    Parameters
    ----------
    codes_compared, mismatches : counts of codes
    first : frame, position in the frame's codes as they stream, expected, got
    """

    codes_compared: int = 0
    mismatches: int = 0
    first: dict[str, int] = field(default_factory=dict)

    def add(self, frame: int, expected: Codes, got: Codes) -> None:
        """Compare a chunk whose first frame has the number `frame`."""
        wrong = np.argwhere((expected != got).reshape(len(got), -1))
        self.codes_compared += got.size
        self.mismatches += len(wrong)
        if len(wrong) and not self.first:
            row, code = (int(k) for k in wrong[0])
            self.first = {
                "frame": frame + row,
                "code": code,
                "expected": int(expected.reshape(len(got), -1)[row, code]),
                "got": int(got.reshape(len(got), -1)[row, code]),
            }

    def as_dict(self) -> dict[str, object]:
        """Return everything, ready for JSON."""
        return {
            "passed": self.mismatches == 0,
            "codes_compared": self.codes_compared,
            "mismatches": self.mismatches,
            "first_mismatch": self.first or None,
        }


def show_run(summary: dict[str, Any]) -> Iterator[str]:
    """Yield the summary in words, line by line."""
    rate = "{frames} frames in {seconds} s ({frames_per_second:,.0f} frames/s) -> {target}"
    yield rate.format(**summary)
    if summary["engine"] == "rtl":
        cycles = "{cycles} cycles ({cycles_per_second:,.0f} cycles/s)".format(**summary)
        interval = summary["measured_interval_cycles"]
        if interval is not None:
            cycles += f", a frame every {interval} ({summary['interval_cycles']} promised)"
        yield cycles
    check = summary.get("check")
    if isinstance(check, dict):
        yield "{mismatches} of {codes_compared} codes differ from the reference".format(**check)
        if check["first_mismatch"]:
            first = "first: frame {frame}, code {code}: expected {expected}, got {got}"
            yield first.format(**check["first_mismatch"])


def _quantized(graph: Graph, frames: Frames, count: int) -> Iterator[Codes]:
    """Yield the codes of `count` frames at a time, at least one."""
    step = max(count, 1)
    for start in range(0, len(frames), step):
        yield graph.inputs[0].quantize(frames[start : start + step])


def _values_of_a_frame(graph: Graph) -> int:
    return sum(kind.size for kind in graph.types.values())


def _output_shape(graph: Graph) -> tuple[int, ...]:
    """Return the shape of a frame of real outputs."""
    one = np.zeros((1, *graph.types[graph.outputs[0]].shape), dtype=np.int64)
    return graph.dequantize(one).shape[1:]


@contextmanager
def _written(target: Path, graph: Graph, count: int) -> Iterator[Write]:
    """Give a function that appends the real outputs of codes to `target`, whole or not there."""
    shape = (count, *_output_shape(graph))
    staging = target.with_name(f".{target.name}.part")

    try:
        with staging.open("wb") as file:
            header = {"descr": "<f4", "fortran_order": False, "shape": shape}
            np.lib.format.write_array_header_1_0(file, header)
            yield lambda codes: file.write(graph.dequantize(codes).astype("<f4").tobytes())
        staging.replace(target)
    except OSError as error:
        raise HwgenError(f"{target}: cannot be written: {error.strerror}") from error
    finally:
        with suppress(OSError):
            staging.unlink()


def _read(source: Path) -> Frames:
    """Open an array of numbers without reading it; frames are on axis 0."""
    try:
        frames = np.load(source, mmap_mode="r", allow_pickle=False)
    except (OSError, ValueError, EOFError) as error:
        raise HwgenError(f"{source}: not a .npy array of numbers: {error}") from error
    if not isinstance(frames, np.ndarray) or frames.dtype.kind not in "fiub" or not frames.ndim:
        raise HwgenError(f"{source}: expected one array of numbers, frames along its first axis")
    return frames
