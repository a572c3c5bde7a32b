"""Choose kernel, pe and simd of every layer: the cheapest that is fast enough for the board.

Layers share nothing but the budget, so for a given interval each layer's cheapest choice is the
network's; the fastest interval that fits is found by bisection over the intervals that exist.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

from hwgen.board import Board
from hwgen.cost import Resources
from hwgen.errors import MappingError
from hwgen.ir import Graph, Node, Op, TensorType
from hwgen.mapping.layers import Layer, group_layers
from hwgen.ops.matvec import Kernel, MatVec, divisors
from hwgen.rtl.dot import KERNELS

# A device filled beyond that rarely meets timing; AXI, DMA and the host's part are in the rest.
USABLE = 0.7


@dataclass(frozen=True)
class Choice:
    """One way to build a layer."""

    nodes: tuple[Node, ...]
    interval_cycles: int
    resources: Resources
    price: float

    @property
    def folding(self) -> dict[str, int | str]:
        """What a folding file says of it."""
        return folding_of(self.nodes[0].op)


def folding_of(op: Op) -> dict[str, int | str]:
    """Return the folding of an operator as plain words and numbers."""
    if isinstance(op, MatVec):
        return {"pe": op.pe, "simd": op.simd, "kernel": op.kernel.value}
    return {"pe": op.lanes[1]}


def fold(
    graph: Graph,
    board: Board,
    clock_mhz: float,
    target_fps: float | None = None,
    fixed: Mapping[str, Mapping[str, int | str]] | None = None,
) -> Graph:
    """Return `graph` with every layer folded.

    Parameters
    ----------
    target_fps : frames a second to reach at `clock_mhz`; None asks for the fastest that fits
    fixed : foldings chosen by the user, by layer name, as in a folding file

    Raises
    ------
    MappingError : when no folding reaches the target or fits the board, with the numbers
    """
    layers = group_layers(graph)
    menus = _menus(graph, layers, board, fixed or {})
    if target_fps is None:
        chosen = _fastest(menus, board)
    else:
        chosen = _cheapest(menus, _limit(menus, clock_mhz, target_fps))
    used = sum((choice.resources for choice in chosen), Resources())
    problems = used.exceeds(board.resources)
    if problems:
        raise MappingError(_does_not_fit(graph, board, chosen, problems, target_fps, clock_mhz))
    return graph.with_nodes(tuple(node for choice in chosen for node in choice.nodes))


def _menus(
    graph: Graph,
    layers: tuple[Layer, ...],
    board: Board,
    fixed: Mapping[str, Mapping[str, int | str]],
) -> list[list[Choice]]:
    unknown = set(fixed) - {layer.name for layer in layers}
    if unknown:
        names = ", ".join(layer.name for layer in layers)
        raise MappingError(f"folding: no layer {', '.join(sorted(unknown))}; there are {names}")
    menus = []
    for layer in layers:
        menu = [_choice(graph, nodes, board) for nodes in _foldings(graph, layer)]
        wanted = fixed.get(layer.name)
        if wanted is not None:
            matching = [c for c in menu if all(c.folding.get(k) == v for k, v in wanted.items())]
            if not matching:
                raise MappingError(_impossible_folding(layer, dict(wanted), menu))
            menu = matching
        menus.append(menu)
    return menus


def _foldings(graph: Graph, layer: Layer) -> list[tuple[Node, ...]]:
    """Return every way to fold `layer`; the functions after a matvec take its pe as lanes."""
    first = layer.nodes[0]
    (x,) = graph.input_types(first)
    heads: list[Op] = []
    if isinstance(first.op, MatVec):
        rows, columns = first.op.weights.shape
        heads = [
            replace(first.op, pe=pe, simd=simd, kernel=kernel)
            for kernel in usable_kernels(first.op, x)
            for pe in divisors(rows)
            for simd in divisors(columns)
        ]
    else:
        heads = [replace(first.op, pe=pe) for pe in divisors(x.channels)]  # type: ignore[call-arg]
    return [
        (
            replace(first, op=head),
            *(replace(n, op=replace(n.op, pe=head.lanes[1])) for n in layer.nodes[1:]),  # type: ignore[call-arg]
        )
        for head in heads
    ]


def usable_kernels(op: MatVec, x: TensorType) -> list[Kernel]:
    """Return the kernels that accept the weights and inputs."""
    return [k for k in Kernel if not KERNELS[k.value].rejects(op.weights, x.codes)]


def _choice(graph: Graph, nodes: tuple[Node, ...], board: Board) -> Choice:
    types = graph.types
    interval, used = 1, Resources()
    for node in nodes:
        kinds = tuple(types[name] for name in node.inputs)
        interval = max(interval, node.op.schedule(*kinds).interval_cycles)
        used = used + node.op.estimate(*kinds)
    return Choice(nodes, interval, used, _price(used, board) * _factor(nodes[0].op))


def _factor(op: Op) -> float:
    return KERNELS[op.kernel.value].price_factor if isinstance(op, MatVec) else 1.0


def _price(used: Resources, board: Board) -> float:
    """Return the share of the device used up; the scarcest resource counts most."""
    shares = used.utilization(board.resources)
    return sum(shares.values()) + max(shares.values())


def _cheapest(menus: list[list[Choice]], limit: int) -> list[Choice]:
    """Return each layer's cheapest choice within `limit` cycles; ties go to the faster one."""
    return [
        min(
            (c for c in menu if c.interval_cycles <= limit),
            key=lambda c: (c.price, c.interval_cycles),
        )
        for menu in menus
    ]


def _best_interval(menus: list[list[Choice]]) -> int:
    return max(min(c.interval_cycles for c in menu) for menu in menus)


def _limit(menus: list[list[Choice]], clock_mhz: float, target_fps: float) -> int:
    limit = int(clock_mhz * 1e6 / target_fps)
    best = _best_interval(menus)
    if limit < best:
        slowest = max(menus, key=lambda menu: min(c.interval_cycles for c in menu))
        raise MappingError(
            f"{target_fps:g} frames/s at {clock_mhz:g} MHz leaves {limit} cycles a frame, but "
            f"{slowest[0].nodes[0].name} needs {best} even fully unrolled; at most "
            f"{clock_mhz * 1e6 / best:.0f} frames/s can be reached: lower --target-fps or raise "
            f"--clock"
        )
    return limit


def _fits(chosen: list[Choice], board: Board) -> bool:
    used = sum((choice.resources for choice in chosen), Resources())
    return used.fits(board.resources * USABLE)


def _fastest(menus: list[list[Choice]], board: Board) -> list[Choice]:
    """Return the choices of the shortest interval whose cheapest design fits."""
    best = _best_interval(menus)
    limits = sorted({max(c.interval_cycles, best) for menu in menus for c in menu})
    low, high = 0, len(limits) - 1
    while low < high:
        middle = (low + high) // 2
        if _fits(_cheapest(menus, limits[middle]), board):
            high = middle
        else:
            low = middle + 1
    return _cheapest(menus, limits[low])


def _impossible_folding(layer: Layer, wanted: dict[str, int | str], menu: list[Choice]) -> str:
    valid = {
        key: sorted({c.folding[key] for c in menu}, key=lambda v: (isinstance(v, str), v))
        for key in menu[0].folding
    }
    choices = "; ".join(f"{key} one of {values}" for key, values in valid.items())
    return f"folding of {layer.name}: {wanted} is not possible; choose {choices}"


def _does_not_fit(
    graph: Graph,
    board: Board,
    chosen: list[Choice],
    problems: list[str],
    target_fps: float | None,
    clock_mhz: float,
) -> str:
    interval = max(choice.interval_cycles for choice in chosen)
    aim = (
        f"{target_fps:g} frames/s at {clock_mhz:g} MHz ({interval} cycles a frame)"
        if target_fps is not None
        else f"the smallest design ({interval} cycles a frame)"
    )
    layers = ", ".join(
        f"{c.nodes[0].name}: {c.resources.lut:.0f} LUT, {c.resources.dsp:.0f} DSP, "
        f"{c.resources.bram36:g} BRAM36"
        for c in chosen
    )
    return (
        f"{graph.name} does not fit {board.name} for {aim}: {'; '.join(problems)} ({layers}); "
        "lower --target-fps, choose narrower weights or take a larger board"
    )
