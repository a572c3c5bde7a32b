"""`Pass` and the runner: one small rewrite at a time, the graph verified after each.

A failing pass names itself, the passes that ran before it and the node at fault.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from hwgen.errors import HwgenError, PassError
from hwgen.ir import Graph, verify
from hwgen.ir.text import print_graph


@dataclass(frozen=True)
class Pass(ABC):
    """A rewrite of the graph that keeps every output code. `name` is a verb phrase."""

    name: ClassVar[str]

    def requires(self, graph: Graph) -> None:
        """Check what must hold before.

        Raises
        ------
        PassError : naming the node
        """
        verify(graph)

    @abstractmethod
    def run(self, graph: Graph) -> Graph:
        """Return the rewritten graph; `graph` itself never changes."""

    def ensures(self, before: Graph, after: Graph) -> None:
        """Check what the pass promises; the runner verifies `after` besides.

        Raises
        ------
        PassError : naming the node
        """
        if [i.type for i in before.inputs] != [i.type for i in after.inputs]:
            raise PassError("the pass changed the network's input")


def run_passes(graph: Graph, passes: Sequence[Pass], dump_dir: Path | None = None) -> Graph:
    """Run `passes` in order.

    Parameters
    ----------
    graph : to rewrite
    passes : in order
    dump_dir : where to write the text form before the first and after every pass

    Raises
    ------
    PassError : naming the pass, the passes already run and the node
    """
    _dump(graph, dump_dir, 0, "imported")
    done: list[str] = []
    for number, each in enumerate(passes, start=1):
        try:
            each.requires(graph)
            after = each.run(graph)
            verify(after)
            each.ensures(graph, after)
        except HwgenError as error:
            ran = ", ".join(done) or "no pass"
            raise PassError(f"pass {each.name} (after {ran}): {error}") from error
        graph = after
        done.append(each.name)
        _dump(graph, dump_dir, number, each.name)
    return graph


def _dump(graph: Graph, dump_dir: Path | None, number: int, name: str) -> None:
    if dump_dir is not None:
        dump_dir.mkdir(parents=True, exist_ok=True)
        (dump_dir / f"{number:02d}_{name}.txt").write_text(print_graph(graph), encoding="utf-8")
