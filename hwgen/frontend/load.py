"""`load`: an ONNX file to an IR graph, or one error that lists everything in the way."""

from __future__ import annotations

from pathlib import Path

from onnx import ModelProto

from hwgen.errors import FrontendError
from hwgen.frontend import constants, nodes
from hwgen.frontend.boxes import BOXES
from hwgen.frontend.final_softmax import FINAL
from hwgen.frontend.importer import import_model
from hwgen.frontend.quantize import QUANTIZERS
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
    importer = import_model(model, name)
    if importer.graph is None:
        count = len(importer.problems)
        noun = "problem" if count == 1 else "problems"
        raise FrontendError(f"{name}: {count} {noun}", importer.problems)
    return importer.graph


def supported_nodes() -> dict[str, str]:
    """Return each supported ONNX operator and what it becomes, as `hwgen ops` lists them."""
    becomes = dict.fromkeys(sorted(constants.FOLDABLE), "computed once, when its inputs are known")
    becomes |= dict.fromkeys(sorted(constants.MOVES), "nothing, it only says where elements are")
    becomes |= dict.fromkeys(sorted(nodes.TRANSLATORS), "part of an exact integer function")
    joins = {name: f"{becomes[name]}; add, of two activations" for name in ("Add", "Sub")}
    becomes |= joins | {name: words for name, (_, words) in BOXES.items()}
    becomes |= dict.fromkeys(sorted(QUANTIZERS), "integer codes; the end of an integer function")
    becomes |= dict.fromkeys(sorted(FINAL), "nothing, as the last node: outputs are its inputs")
    becomes["FloatQuant"] = "constant weights in fixed point, where 18 bits hold them"
    return dict(sorted(becomes.items()))
