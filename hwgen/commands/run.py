"""`hwgen run`: a build's outputs for the user's own frames, by the integer reference."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import numpy.typing as npt

from hwgen.build_directory import read_manifest
from hwgen.errors import HwgenError
from hwgen.ir import Graph
from hwgen.ir.text import parse_graph
from hwgen.ops.registry import OPERATORS


def load_graph(directory: Path) -> Graph:
    """Return the mapped graph of a build directory."""
    read_manifest(directory)
    text = (directory / "reference" / "graph.txt").read_text(encoding="utf-8")
    return parse_graph(text, OPERATORS)


def run_reference(directory: Path, source: Path, target: Path) -> dict[str, object]:
    """Read frames from `source`, write outputs to `target`, both `.npy`, and return a summary.

    Outputs are float32, shaped like the model's: what an ONNX executor would give.
    """
    graph = load_graph(directory)
    outputs = infer(graph, _read(source))
    try:
        np.save(target, outputs)
    except OSError as error:
        raise HwgenError(f"{target}: cannot be written: {error.strerror}") from error
    return {"frames": len(outputs), "target": str(target), "shape": list(outputs.shape)}


def infer(graph: Graph, frames: npt.NDArray[np.generic]) -> npt.NDArray[np.float32]:
    """Return the real outputs of real (or integer) `frames`, any number along axis 0."""
    shape = graph.inputs[0].type.shape
    if frames.ndim < 1 or int(np.prod(frames.shape[1:])) != int(np.prod(shape)):
        raise HwgenError(f"frames are shaped {frames.shape}, expected (frames, {str(shape)[1:-1]})")
    codes = graph.inputs[0].quantize(frames.reshape(len(frames), *shape))
    return graph.dequantize(graph.evaluate(codes)).astype(np.float32)


def _read(source: Path) -> npt.NDArray[np.generic]:
    try:
        frames = np.load(source, allow_pickle=False)
    except (OSError, ValueError, EOFError) as error:
        raise HwgenError(f"{source}: not a .npy array of numbers: {error}") from error
    if not isinstance(frames, np.ndarray) or frames.dtype.kind not in "fiub":
        raise HwgenError(f"{source}: expected one array of numbers")
    return frames
