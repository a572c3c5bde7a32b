"""Choose kernel and folding of every layer: the cheapest that is fast enough, or the fastest.

Layers share nothing but the budget. For a given interval each layer's cheapest choice is the
network's where that fits the board; where it does not, an integer program trades one resource for
another. The fastest interval that fits is found by bisection over the intervals that exist: what
fits at one fits at every longer one. Last, all choices that are fast enough are weighed again
together with the converters that they need between them (`neighbours.py`), which is exact, too.
"""

from __future__ import annotations

from collections.abc import Mapping

from hwgen.board import Board
from hwgen.cost import Resources
from hwgen.errors import MappingError
from hwgen.ir import Graph
from hwgen.mapping.budget import cheapest_within
from hwgen.mapping.layers import Layer, group_layers
from hwgen.mapping.menus import Choice, Folding, menu_of
from hwgen.mapping.neighbours import Neighbourhood

# A device filled beyond that rarely meets timing; AXI, DMA and the host's part are in the rest.
USABLE = 0.7

Menus = list[list[Choice]]


def fold(
    graph: Graph,
    board: Board,
    clock_mhz: float,
    target_fps: float | None = None,
    fixed: Mapping[str, Folding] | None = None,
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
        chosen = _fastest(graph, menus, board)
    else:
        chosen = _reaching(graph, menus, board, clock_mhz, target_fps)
    chosen = _settled(graph, layers, menus, chosen, board)
    done = {node.name: node for choice in chosen for node in choice.nodes}
    return graph.with_nodes(tuple(done[node.name] for node in graph.nodes))


def _menus(
    graph: Graph, layers: tuple[Layer, ...], board: Board, fixed: Mapping[str, Folding]
) -> Menus:
    unknown = set(fixed) - {layer.name for layer in layers}
    if unknown:
        names = ", ".join(layer.name for layer in layers)
        raise MappingError(f"folding: no layer {', '.join(sorted(unknown))}; there are {names}")
    problems, menus = [], []
    for layer in layers:
        try:
            menus.append(menu_of(graph, layer, board, fixed.get(layer.name)))
        except MappingError as error:
            problems.append(str(error))
    if problems:
        raise MappingError("; ".join(problems))
    return menus


def cheapest(menus: Menus, limit: int, budget: Resources) -> list[Choice] | None:
    """Return the cheapest choices of at most `limit` cycles that fit `budget`; None: none do."""
    fast = [[c for c in menu if c.interval_cycles <= limit] for menu in menus]
    if not all(fast):
        return None
    best = [min(menu, key=lambda c: (c.price, c.interval_cycles)) for menu in fast]
    if _used(best).fits(budget):
        return best
    return cheapest_within(fast, budget)


def _settled(
    graph: Graph, layers: tuple[Layer, ...], menus: Menus, chosen: list[Choice], board: Board
) -> list[Choice]:
    """Return the choices after neighbours have come to terms, none slower than the slowest."""
    limit = max(choice.interval_cycles for choice in chosen)
    fast = [[c for c in menu if c.interval_cycles <= limit] for menu in menus]
    # What is over the usable part already may not grow further.
    budget = board.resources * USABLE
    if not _used(chosen).fits(budget):
        budget = board.resources
    return Neighbourhood(graph, layers, fast, board).settle(chosen, budget)


def _used(chosen: list[Choice]) -> Resources:
    return sum((choice.resources for choice in chosen), Resources())


def _best_interval(menus: Menus) -> int:
    return max(min(c.interval_cycles for c in menu) for menu in menus)


def _search(menus: Menus, budget: Resources) -> list[Choice] | None:
    """Return the choices of the shortest interval whose design fits `budget`; None: none fits."""
    best = _best_interval(menus)
    limits = sorted({max(c.interval_cycles, best) for menu in menus for c in menu})
    low, high = 0, len(limits) - 1
    found = None
    while low <= high:
        middle = (low + high) // 2
        chosen = cheapest(menus, limits[middle], budget)
        if chosen is None:
            low = middle + 1
        else:
            found, high = chosen, middle - 1
    return found


def _fastest(graph: Graph, menus: Menus, board: Board) -> list[Choice]:
    """Return the fastest design on the usable part of the board, else the smallest on all of it."""
    found = _search(menus, board.resources * USABLE)
    if found is None:
        longest = max(choice.interval_cycles for menu in menus for choice in menu)
        found = cheapest(menus, longest, board.resources)
    if found is None:
        smallest = [min(menu, key=lambda c: (c.price, c.interval_cycles)) for menu in menus]
        interval = max(choice.interval_cycles for choice in smallest)
        aim = f"the smallest design ({interval} cycles a frame)"
        raise MappingError(_does_not_fit(graph, board, smallest, aim))
    return found


def _reaching(
    graph: Graph, menus: Menus, board: Board, clock_mhz: float, target_fps: float
) -> list[Choice]:
    """Return the cheapest design that reaches the target."""
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
    found = cheapest(menus, limit, board.resources)
    if found is None:
        fast = [[c for c in menu if c.interval_cycles <= limit] for menu in menus]
        smallest = [min(menu, key=lambda c: (c.price, c.interval_cycles)) for menu in fast]
        interval = max(choice.interval_cycles for choice in smallest)
        aim = f"{target_fps:g} frames/s at {clock_mhz:g} MHz ({interval} cycles a frame)"
        reachable = _search(menus, board.resources)
        raise MappingError(
            _does_not_fit(graph, board, smallest, aim) + _reachable(reachable, clock_mhz)
        )
    return found


def _reachable(found: list[Choice] | None, clock_mhz: float) -> str:
    if found is None:
        return "; no folding fits at any frame rate"
    slowest = max(found, key=lambda c: c.interval_cycles)
    fps = clock_mhz * 1e6 / slowest.interval_cycles
    return (
        f"; at most {fps:.0f} frames/s fit, limited by {slowest.nodes[0].name} "
        f"({slowest.interval_cycles} cycles a frame)"
    )


def _does_not_fit(graph: Graph, board: Board, chosen: list[Choice], aim: str) -> str:
    problems = "; ".join(_used(chosen).exceeds(board.resources)) or "no mix of resources fits"
    layers = ", ".join(
        f"{c.nodes[0].name}: {c.resources.lut:.0f} LUT, {c.resources.dsp:.0f} DSP, "
        f"{c.resources.bram36:g} BRAM36"
        for c in chosen
    )
    return (
        f"{graph.name} does not fit {board.name} for {aim}: {problems} ({layers}); "
        "lower --target-fps, choose narrower weights or take a larger board"
    )
