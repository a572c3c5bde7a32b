"""`explain`: what each node of a model becomes, or why it cannot; the rows of `hwgen check`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from hwgen.frontend.importer import Row, import_model
from hwgen.frontend.integers import Tensor
from hwgen.frontend.reader import read
from hwgen.ir import Graph


@dataclass(frozen=True)
class Explanation:
    """The answer of `hwgen check`.

    Parameters
    ----------
    rows : one for each node of the file, in its order
    problems : everything in the way, those included that no single node causes
    graph : None when there are problems
    tensors : for each quantized tensor of the file, which value of the graph holds it and how
    """

    rows: tuple[Row, ...]
    problems: tuple[str, ...]
    graph: Graph | None
    tensors: Mapping[str, Tensor] = field(default_factory=dict)


def explain(path: str | Path) -> Explanation:
    """Walk the model in file `path` and say what becomes of each node.

    Raises
    ------
    FrontendError : when the file is not a sound ONNX model at all
    """
    importer = import_model(read(path), Path(path).stem)
    rows, problems = tuple(importer.rows), tuple(importer.problems)
    return Explanation(rows, problems, importer.graph, importer.quantized_tensors())
