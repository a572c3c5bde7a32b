"""`hwgen check`: each node of a model, what it becomes, and everything that is in the way."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from rich.markup import escape

from hwgen.commands.check_samples import Agreement, compare, read_frames
from hwgen.errors import HwgenError
from hwgen.frontend.explain import Explanation, explain
from hwgen.ir import Graph
from hwgen.passes import PASSES, run_passes
from hwgen.report.terminal import console, show_rows


@dataclass(frozen=True)
class CheckReport:
    """Rows for people and machines.

    Parameters
    ----------
    nodes : one row an ONNX node
    layers : one row an operator of the finished graph; empty when there are problems
    problems : one line each: where, expected, got, what to try
    samples : the user's frames by the integer graph and in floating point, see `Agreement`
    """

    model: str
    nodes: list[dict[str, Any]]
    layers: list[dict[str, Any]]
    problems: list[str]
    samples: dict[str, Any] | None = None

    def as_dict(self) -> dict[str, object]:
        """Return plain data."""
        return {**asdict(self), "buildable": not self.problems}

    def show(self) -> None:
        """Print tables, then the problems or the verdict."""
        unsound = any(row["problem"] for row in self.nodes)
        shown = [{k: v for k, v in row.items() if unsound or k != "problem"} for row in self.nodes]
        show_rows(f"{self.model}: nodes", shown)
        if self.layers:
            shown = [{k: v for k, v in row.items() if k != "why"} for row in self.layers]
            show_rows("as integer operators", shown)
        for row in self.layers:
            if row["why"]:
                console().print(f"{row['name']}: {row['operator']}, {escape(row['why'])}")
        for problem in self.problems:
            console().print(f"[red]problem[/red] {escape(problem)}", highlight=False)
        verdict = f"{len(self.problems)} problems" if self.problems else "can be built"
        console().print(f"{escape(self.model)}: {verdict}", highlight=False)
        if self.samples is not None:
            console().print(Agreement(**self.samples).sentence(), highlight=False)


def check_model(model: Path, samples: Path | None = None) -> CheckReport:
    """Explain ONNX file `model` without building it.

    Parameters
    ----------
    samples : `.npy` file of frames to compare with the float execution of the model
    """
    explanation = explain(model)
    problems, layers, agreement = list(explanation.problems), [], None
    if explanation.graph is not None and not problems:
        try:
            layers = _operators(run_passes(explanation.graph, PASSES))
        except HwgenError as error:
            problems.append(str(error))
    if samples is not None and not problems:
        agreement = asdict(compare(model, explanation, read_frames(samples)))
    return CheckReport(model.name, _rows(explanation), layers, problems, agreement)


def _rows(explanation: Explanation) -> list[dict[str, Any]]:
    return [asdict(row) for row in explanation.rows]


def _operators(graph: Graph) -> list[dict[str, Any]]:
    return [
        {
            "name": node.name,
            "operator": node.op.name,
            "input": str(graph.input_types(node)[0]),
            "output": str(graph.types[node.name]),
            "from": node.source,
            "why": node.why,
        }
        for node in graph.nodes
    ]
