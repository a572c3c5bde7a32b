"""`reference/`: the model, its graph in text form, and golden vectors of codes."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np

from hwgen.ir import Graph
from hwgen.ir.text import print_graph
from hwgen.verify.vectors import golden_frames


def write_reference(out: Path, model: Path, graph: Graph, frames: int, seed: int) -> None:
    """Write `model.onnx`, `graph.txt`, `input.npy` and `output.npy` (int64, frames first)."""
    folder = out / "reference"
    folder.mkdir()
    shutil.copyfile(model, folder / "model.onnx")
    (folder / "graph.txt").write_text(print_graph(graph), encoding="utf-8")
    inputs = golden_frames(graph, frames, seed)
    np.save(folder / "input.npy", inputs)
    np.save(folder / "output.npy", graph.evaluate(inputs))
