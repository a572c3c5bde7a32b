"""Tracing: from a model to the layers it calls and what each of them reads.

torch.fx runs the model's forward on symbols; layers stay whole, containers and the user's own
modules are seen through. Used by `export.py` and `prepare.py`.
"""

from __future__ import annotations

import traceback
from dataclasses import dataclass

from torch import fx, nn
from torch.fx.proxy import TraceError

from hwgen.errors import ExportError

MODEL_INPUT = ""  # the name under which steps read the model's input


@dataclass(frozen=True)
class Step:
    """One call of a layer.

    Parameters
    ----------
    name : its path in the model, numbered where it is called again
    module : the layer
    inputs : names of the steps whose results it reads, MODEL_INPUT for the model's input; None
        for what is not the result of a step, which is reported as a problem of its own
    """

    name: str
    module: nn.Module
    inputs: tuple[str | None, ...]


@dataclass(frozen=True)
class Trace:
    """The steps in the order of their calls, whose result the model returns, and what is wrong."""

    steps: list[Step]
    output: str | None
    problems: list[str]


class LayerTracer(fx.Tracer):
    """Keep layers of torch.nn and hwgen.nn whole, whatever they are derived from."""

    def is_leaf_module(self, m: nn.Module, module_qualified_name: str) -> bool:
        """Say whether `m` stays one call."""
        if isinstance(m, nn.Sequential):
            return False
        roots = ("torch.nn.", "hwgen.nn.")
        return any(c.__module__.startswith(roots) for c in type(m).__mro__ if c is not nn.Module)


def trace_graph(model: nn.Module) -> tuple[nn.Module, fx.Graph]:
    """Return the model, in a Sequential if it is a single layer, and the graph of its calls.

    Raises
    ------
    ExportError
        naming the line of the user's code that cannot be followed
    """
    tracer = LayerTracer()
    if tracer.is_leaf_module(model, ""):
        model = nn.Sequential(model)  # fx would look inside it
    try:
        return model, tracer.trace(model)
    except (TraceError, TypeError, ValueError, RuntimeError, AttributeError) as error:
        raise ExportError(
            f"{type(model).__name__}: expected a forward that calls its layers one after another, "
            f"got one that cannot be traced{_line_of(error)} ({error}); take conditions on data "
            "out of forward, or use nn.Sequential"
        ) from error


def trace(model: nn.Module) -> Trace:
    """Return the layers in the order of their calls, and what is not such a call."""
    model, graph = trace_graph(model)
    steps: list[Step] = []
    problems: list[str] = []
    calls: dict[str, int] = {}
    results: dict[fx.Node, str | None] = {}
    output: str | None = None
    for node in graph.nodes:
        where = str(node.target) if node.op == "call_module" else node.name
        if node.op == "placeholder":
            results[node] = MODEL_INPUT if not results else None
            if results[node] is None:
                problems.append(f"{where}: expected a model of one input, got a further one")
        elif node.op == "call_module":
            calls[where] = calls.get(where, 0) + 1
            name = where if calls[where] == 1 else f"{where}#{calls[where]}"
            inputs = tuple(_source(read, results) for read in [*node.args, *node.kwargs.values()])
            steps.append(Step(name, model.get_submodule(where), inputs))
            results[node] = name
            if not all(isinstance(read, fx.Node) for read in [*node.args, *node.kwargs.values()]):
                problems.append(
                    f"{where}: expected tensors as arguments, got something else; give each tensor "
                    "by itself"
                )
            if not node.users:
                problems.append(
                    f"{where}: expected a layer whose result is used, got one that nothing reads; "
                    "take it out of forward"
                )
        elif node.op == "output":
            output, found = _returned(node, results)
            problems += found
        else:
            what = getattr(node.target, "__name__", str(node.target))
            problems.append(
                f"{where}: expected a call of a layer, got the function or tensor {what}; use the "
                "module of hwgen.nn or torch.nn that does it"
            )
            results[node] = None
    return Trace(steps, output, problems)


def _source(read: object, results: dict[fx.Node, str | None]) -> str | None:
    return results.get(read) if isinstance(read, fx.Node) else None


def _returned(node: fx.Node, results: dict[fx.Node, str | None]) -> tuple[str | None, list[str]]:
    value = node.args[0]
    if isinstance(value, fx.Node):
        return results.get(value), []
    return None, [f"output: expected one tensor, got {type(value).__name__}; return only that"]


def _line_of(error: BaseException) -> str:
    """Return where the user's code was when tracing failed: the last frame outside PyTorch."""
    frames = [
        frame
        for frame in traceback.extract_tb(error.__traceback__)
        if "/torch/" not in frame.filename and not frame.filename.endswith("nn/trace.py")
    ]
    return f" at {frames[-1].filename}:{frames[-1].lineno}" if frames else ""
