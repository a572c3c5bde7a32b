"""Tracing: from a model to the layers it calls, one after another.

torch.fx runs the model's forward on symbols; layers stay whole, containers and the user's own
modules are seen through. Used by `export.py`.
"""

from __future__ import annotations

from dataclasses import dataclass

from torch import fx, nn
from torch.fx.proxy import TraceError

from hwgen.errors import ExportError


@dataclass(frozen=True)
class Step:
    """One call of a layer; `name` is its path in the model, numbered where it is called again."""

    name: str
    module: nn.Module


class _LayerTracer(fx.Tracer):
    """Keep layers of torch.nn and hwgen.nn whole, whatever they are derived from."""

    def is_leaf_module(self, m: nn.Module, module_qualified_name: str) -> bool:
        if isinstance(m, nn.Sequential):
            return False
        roots = ("torch.nn.", "hwgen.nn.")
        return any(c.__module__.startswith(roots) for c in type(m).__mro__ if c is not nn.Module)


def trace(model: nn.Module) -> tuple[list[Step], list[str]]:
    """Return the layers in the order of their calls, and what is not such a call.

    Raises
    ------
    ExportError
        if the model's forward cannot be followed at all
    """
    tracer = _LayerTracer()
    if tracer.is_leaf_module(model, ""):
        model = nn.Sequential(model)  # a single layer; fx would look inside it
    try:
        graph = tracer.trace(model)
    except (TraceError, TypeError, ValueError, RuntimeError, AttributeError) as error:
        raise ExportError(
            f"{type(model).__name__}: expected a forward that calls its layers one after another, "
            f"got one that cannot be traced ({error}); take conditions on data out of forward, or "
            "use nn.Sequential"
        ) from error
    return _chain(model, graph)


def _chain(model: nn.Module, graph: fx.Graph) -> tuple[list[Step], list[str]]:
    steps: list[Step] = []
    problems: list[str] = []
    calls: dict[str, int] = {}
    previous: fx.Node | None = None
    for node in graph.nodes:
        where = str(node.target) if node.op == "call_module" else node.name
        if node.op == "placeholder" and previous is not None:
            problems.append(f"{where}: expected a model of one input, got a further one")
            continue
        if previous is not None and list(node.all_input_nodes) != [previous]:
            sources = ", ".join(source.name for source in node.all_input_nodes) or "nothing"
            problems.append(
                f"{where}: expected the result of {previous.name} as its only input, got "
                f"{sources}; only chains of layers are supported"
            )
        if node.op == "call_module":
            calls[where] = calls.get(where, 0) + 1
            name = where if calls[where] == 1 else f"{where}#{calls[where]}"
            steps.append(Step(name, model.get_submodule(where)))
        elif node.op not in ("placeholder", "output"):
            what = getattr(node.target, "__name__", str(node.target))
            problems.append(
                f"{where}: expected a call of a layer, got the function or tensor {what}; use the "
                "module of hwgen.nn or torch.nn that does it"
            )
        previous = node
    return steps, problems
