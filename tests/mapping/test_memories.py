"""UltraRAM: a choice of the folding search for line memories, a second step for FIFOs."""

from __future__ import annotations

from dataclasses import replace

from hwgen.board import load_board
from hwgen.cost import Resources
from hwgen.ir import Graph, Input, Node, TensorType
from hwgen.mapping.folding import fold
from hwgen.mapping.memories import in_ultra_ram
from hwgen.numeric import CodeType
from hwgen.ops.fifo import Fifo
from hwgen.ops.sliding_window import SlidingWindow

BYTES = CodeType(0, 255)
WITH, WITHOUT = load_board("kv260"), load_board("ultra96")


def chain(kind: TensorType, *nodes: Node) -> Graph:
    return Graph("chain", (Input("x", kind),), nodes, (nodes[-1].name,))


def lines() -> Graph:
    window = SlidingWindow((3, 3), padding=(1, 1, 1, 1))
    return chain(TensorType((9, 640, 16), BYTES), Node("window", window, ("x",)))


def waiting() -> Graph:
    """FIFOs of one URAM each, and one that is too small for it."""
    large = [Node(f"large{k}", Fifo(4000, 9), (f"large{k - 1}" if k else "x",)) for k in range(3)]
    small = Node("small", Fifo(600, 1), ("large2",))
    return chain(TensorType((9 * 4000,), BYTES), *large, small)


def test_line_memories_by_board() -> None:
    for board, wanted in ((WITH, True), (WITHOUT, False)):
        op = fold(lines(), board, 150, 50).node("window").op
        assert isinstance(op, SlidingWindow)
        assert op.ultra_ram is wanted
        assert (op.resources(lines().inputs[0].type).uram > 0) is wanted


def test_block_ram_where_ultra_ram_is_used_up() -> None:
    one_too_few = replace(WITH, resources=replace(WITH.resources, uram=0.5))
    op = fold(lines(), one_too_few, 150, 50).node("window").op
    used = op.resources(lines().inputs[0].type)
    assert (used.uram, used.bram36 > 0) == (0, True)


def test_fifos_as_many_as_there_is_room_for() -> None:
    for room, expected in ((0, 0), (2, 2), (64, 3)):
        board = replace(WITH, resources=replace(WITH.resources, uram=room))
        moved = in_ultra_ram(waiting(), board)
        used = sum((n.op.resources(*moved.input_types(n)) for n in moved.nodes), Resources())
        assert used.uram == expected
        small = moved.node("small").op
        assert isinstance(small, Fifo)
        assert not small.ultra_ram
