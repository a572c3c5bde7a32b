"""The runner: order, dumps, and errors that name the pass, those before it, and the node."""

from dataclasses import dataclass, replace
from typing import ClassVar

import pytest

from hwgen.errors import PassError
from hwgen.ir import Graph
from hwgen.ir.text import parse_graph, print_graph
from hwgen.ops.registry import IR_OPERATORS
from hwgen.passes import PASSES, Pass, RemoveIdentity, Tabulate, run_passes

TEXT = """graph g
%x : [2] -8..7 scale 0x1p+0 = input rounding=RND_CONV zero_point=0 prepare=()
%fc : [2] -75..75 scale 0x1p-3 = matvec(%x) weights=[[3 2] [5 -5]] pe=1 simd=1 kernel=mac pixels=1
%act : [2] -2..1 scale 0x1p+2 = elementwise(%fc) scale=[0x1p-3] steps=() \
quantizer=Quantize(scale=[0x1p+2], zero_point=0, codes=-2..1, rounding=TRN)  # from "act"
output %act
"""


def graph() -> Graph:
    return parse_graph(TEXT, IR_OPERATORS)


@dataclass(frozen=True)
class BreakNames(Pass):
    """Gives a node a name that is no identifier."""

    name: ClassVar[str] = "break_names"

    def run(self, graph: Graph) -> Graph:
        first = replace(graph.nodes[0], name="not a name")
        return graph.with_nodes((first, *graph.nodes[1:]))


@dataclass(frozen=True)
class Widen(Pass):
    """Changes what the network reads."""

    name: ClassVar[str] = "widen"

    def run(self, graph: Graph) -> Graph:
        wide = replace(graph.inputs[0].type, shape=(3,))
        return replace(
            graph, inputs=(replace(graph.inputs[0], type=wide),), nodes=(), outputs=("x",)
        )


def test_dumps_in_order(tmp_path):
    before = graph()
    after = run_passes(before, PASSES, dump_dir=tmp_path / "dump")
    names = sorted(path.name for path in (tmp_path / "dump").iterdir())
    ran = [f"{number:02d}_{each.name}.txt" for number, each in enumerate(PASSES, start=1)]
    assert names == ["00_imported.txt", *ran]
    for name, expected in ((names[0], before), (names[-1], after)):
        text = (tmp_path / "dump" / name).read_text()
        assert text == print_graph(expected)
        assert parse_graph(text, IR_OPERATORS) == expected


def test_a_failing_pass_names_itself_and_the_node():
    with pytest.raises(PassError) as caught:
        run_passes(graph(), [Tabulate(), RemoveIdentity(), BreakNames()])
    assert str(caught.value).startswith(
        "pass break_names (after tabulate, remove_identity): 'not a name' is not an identifier"
    )


def test_a_changed_input_is_noticed():
    with pytest.raises(PassError, match=r"^pass widen \(after no pass\): the pass changed the"):
        run_passes(graph(), [Widen()])


def test_the_graph_given_does_not_change():
    before = graph()
    run_passes(before, PASSES)
    assert before == graph()
