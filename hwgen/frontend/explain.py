"""`explain`: what each node of a model becomes, or why it cannot; the rows of `hwgen check`."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from hwgen.frontend.importer import Row, import_model
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
    """

    rows: tuple[Row, ...]
    problems: tuple[str, ...]
    graph: Graph | None


def explain(path: str | Path) -> Explanation:
    """Walk the model in file `path` and say what becomes of each node.

    Raises
    ------
    FrontendError : when the file is not a sound ONNX model at all
    """
    importer = import_model(read(path), Path(path).stem)
    return Explanation(tuple(importer.rows), tuple(importer.problems), importer.graph)
