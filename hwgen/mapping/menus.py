"""What each layer could be: its foldings, with cycles, resources and price of each."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields, replace

from hwgen.board import Board
from hwgen.cost import Resources
from hwgen.errors import IRError, MappingError
from hwgen.ir import Graph, Node, Op, Same, TensorType
from hwgen.mapping.layers import Layer
from hwgen.mapping.streams import host_lanes
from hwgen.ops.matvec import Kernel, MatVec
from hwgen.ops.sliding_window import SlidingWindow
from hwgen.rtl.dot import kernel_rejects
from hwgen.rtl.dot.kernel import ProductTree

FIELDS = ("pe", "simd", "taps", "pixels")  # what foldings choose, where an operator has it
Folding = Mapping[str, int | str]


@dataclass(frozen=True)
class Choice:
    """One way to build a layer.

    Parameters
    ----------
    nodes : with their folding
    interval_cycles : of a frame, the host's beats included where the host is a neighbour
    resources : predicted
    price : share of the board taken, weighted by what is slow
    """

    nodes: tuple[Node, ...]
    interval_cycles: int
    resources: Resources
    price: float

    @property
    def folding(self) -> dict[str, int | str]:
        """What a folding file says of it."""
        return folding_of(self.nodes[0].op)

    @property
    def lanes(self) -> tuple[int, int]:
        """Codes in a beat of every input, and in an output beat."""
        return self.nodes[0].op.lanes[0], self.nodes[-1].op.lanes[1]


def folding_of(op: Op) -> dict[str, int | str]:
    """Return the folding of an operator as plain words and numbers."""
    own = {field.name for field in fields(op)}
    words: dict[str, int | str] = {name: getattr(op, name) for name in FIELDS if name in own}
    return {**words, "kernel": op.kernel.value} if isinstance(op, MatVec) else words


def menu_of(graph: Graph, layer: Layer, board: Board, wanted: Folding | None) -> list[Choice]:
    """Return the choices for `layer`, those alone that have the `wanted` folding where given.

    Raises
    ------
    MappingError : when the wanted folding is not possible, with the valid ones
    """
    every = _foldings(graph, layer, board)
    if wanted is not None:
        matching = [n for n in every if wanted.items() <= folding_of(n[0].op).items()]
        if not matching:
            raise MappingError(_impossible_folding(layer, wanted, every))
        every = matching
    return [_choice(graph, nodes, board) for nodes in every]


def _foldings(graph: Graph, layer: Layer, board: Board) -> list[tuple[Node, ...]]:
    """Return every way to fold `layer`; the functions behind the head take its beats."""
    first, *functions = layer.nodes
    inputs = graph.input_types(first)
    heads = first.op.foldings(*inputs)
    if isinstance(first.op, MatVec):
        kernels = usable_kernels(first.op, inputs[0])
        chosen = [(k, head) for k in kernels for head in _heads_of(k, heads)]
        heads = tuple(replace(head, kernel=k) for k, head in chosen)  # type: ignore[call-arg]
    if isinstance(first.op, SlidingWindow) and board.resources.uram:
        ultra = [replace(head, ultra_ram=True) for head in heads]  # type: ignore[call-arg]
        heads = (*heads, *(head for head in ultra if head.estimate(*inputs).uram))
    found = []
    for head in heads:
        nodes = (replace(first, op=head), *(_with_lanes(n, head.lanes[1]) for n in functions))
        if _fits(graph, nodes[1:]):
            found.append(nodes)
    return found


def _heads_of(kernel: Kernel, heads: tuple[Op, ...]) -> tuple[Op, ...]:
    """Return the foldings that `kernel` allows: bits come one by one of one vector at a time."""
    if kernel is not Kernel.BIT_SERIAL:
        return heads
    return tuple(head for head in heads if isinstance(head, MatVec) and head.pixels == 1)


def _with_lanes(node: Node, lanes: int) -> Node:
    return replace(node, op=replace(node.op, pe=lanes))  # type: ignore[call-arg]


def _fits(graph: Graph, functions: tuple[Node, ...]) -> bool:
    """Whether the functions behind a head can take beats of its width."""
    try:
        for node in functions:
            node.op.infer(*graph.input_types(node))
    except IRError:
        return False
    return True


def usable_kernels(op: MatVec, x: TensorType) -> list[Kernel]:
    """Return the kernels that accept the weights and inputs."""
    given = Same(op.weights), x.codes, op.target.multiplier
    return [k for k in Kernel if not kernel_rejects(k.value, *given)]


def _choice(graph: Graph, nodes: tuple[Node, ...], board: Board) -> Choice:
    interval, used = _host_beats(graph, nodes), Resources()
    for node in nodes:
        kinds = graph.input_types(node)
        interval = max(interval, node.op.interval_cycles(*kinds))
        used = used + node.op.estimate(*kinds)
    factor = _factor(nodes[0].op, graph.input_types(nodes[0])[0])
    return Choice(nodes, interval, used, price_of(used, board) * factor)


def _host_beats(graph: Graph, nodes: tuple[Node, ...]) -> int:
    """Cycles of a frame on the host's bus, where it is a neighbour; else 1."""
    source, beats = graph.inputs[0], 1
    if source.name in nodes[0].inputs:
        beats = source.type.size // host_lanes(source.type, nodes[0].op.lanes[0])
    if nodes[-1].name in graph.outputs:
        out = graph.types[nodes[-1].name]
        beats = max(beats, out.size // host_lanes(out, nodes[-1].op.lanes[1]))
    return beats


def _factor(op: Op, x: TensorType) -> float:
    """Return what a folding costs beside its resources: a multiplier is the longest path."""
    if not isinstance(op, MatVec) or op.unrolled:
        return 1.0
    kernel = op.dot_kernel(x.codes)
    if kernel.price_factor == 1.0:
        return 1.0
    unit = kernel.folded_unit(op.row_folds * op.column_folds, op.simd)
    return kernel.price_factor if isinstance(unit, ProductTree) else 1.0


def price_of(used: Resources, board: Board) -> float:
    """Return the share of the device used up; the scarcest resource counts most."""
    shares = used.utilization(board.resources)
    return sum(shares.values()) + max(shares.values())


def _impossible_folding(layer: Layer, wanted: Folding, every: list[tuple[Node, ...]]) -> str:
    foldings = [folding_of(nodes[0].op) for nodes in every]
    valid = {
        key: sorted({f[key] for f in foldings}, key=lambda v: (isinstance(v, str), v))
        for key in foldings[0]
    }
    choices = "; ".join(f"{key} one of {values}" for key, values in valid.items())
    return f"folding of {layer.name}: {dict(wanted)} is not possible; choose {choices}"
