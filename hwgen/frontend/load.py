"""`load`: an ONNX file to an IR graph, or one error that lists everything in the way."""

from __future__ import annotations

from pathlib import Path

from onnx import ModelProto

from hwgen.errors import FrontendError
from hwgen.frontend.importer import Importer
from hwgen.frontend.reader import check, decode, read
from hwgen.ir import Graph


def load(path: str | Path) -> Graph:
    """Return the graph of the model in file `path`.

    Raises
    ------
    FrontendError : with every problem of the file, each with what to try
    """
    return _import(read(path), Path(path).stem)


def load_model(model: ModelProto | bytes, name: str = "") -> Graph:
    """Return the graph of a model in memory, called `name` (or what the model calls itself)."""
    checked = decode(model, "model") if isinstance(model, bytes) else check(model, "model")
    return _import(checked, name or checked.graph.name)


def _import(model: ModelProto, name: str) -> Graph:
    importer = Importer(model, name)
    importer.run()
    if importer.graph is None:
        count = len(importer.problems)
        noun = "problem" if count == 1 else "problems"
        raise FrontendError(f"{name}: {count} {noun}", importer.problems)
    return importer.graph
