"""Neighbours settle on beats as cheaply as brute force over all choices, converters included."""

import itertools

import pytest

from hwgen.board import load_board
from hwgen.cost import Resources
from hwgen.ir import Graph
from hwgen.mapping.folding import cheapest
from hwgen.mapping.layers import group_layers
from hwgen.mapping.menus import Choice, menu_of
from hwgen.mapping.neighbours import Neighbourhood
from tests.mapping.networks import random_network, residual_network

BOARD = load_board("ultra96")


MOST_COMBINATIONS = 2000


def problem(graph: Graph, slack: int) -> tuple[Neighbourhood, list[Choice]]:
    """Return the neighbourhood of a graph, few choices a layer, and the cheapest by layer.

    `slack` says how many times longer than the shortest possible an interval may be.
    """
    layers = group_layers(graph)
    menus = [menu_of(graph, layer, BOARD, None) for layer in layers]
    limit = slack * max(min(c.interval_cycles for c in menu) for menu in menus)
    each = int(MOST_COMBINATIONS ** (1 / len(menus)))
    fast = [[c for c in menu if c.interval_cycles <= limit] for menu in menus]
    for menu in fast:
        menu.sort(key=lambda choice: choice.price)
        del menu[max(each, 2) :]
    chosen = cheapest(fast, limit, BOARD.resources)
    assert chosen is not None
    return Neighbourhood(graph, layers, fast, BOARD), chosen


def needed(neighbourhood: Neighbourhood, chosen: list[Choice]) -> Resources:
    """Return what choices take, with the converters between them and at the host."""
    used = sum((c.resources for c in chosen), Resources())
    for k, choice in enumerate(chosen):
        used = used + neighbourhood.at_host(k, choice)[1]
    for link in neighbourhood.links:
        for takes in {chosen[reader].lanes[0] for reader in link.readers}:
            gives = chosen[link.producer].lanes[1]
            used = used + neighbourhood.converter(link.value, gives, takes)[1]
    return used


GRAPHS = [random_network(seed, (12, 8, 6, 4), fold=False) for seed in range(4)]
GRAPHS += [residual_network(seed) for seed in range(2)]


@pytest.mark.parametrize("index", range(len(GRAPHS)))
@pytest.mark.parametrize("slack", [4, 20])
def test_as_cheap_as_brute_force(index, slack):
    neighbourhood, chosen = problem(GRAPHS[index], slack)
    every = list(itertools.product(*neighbourhood.menus))
    best = min(map(neighbourhood.price, every))
    settled = neighbourhood.settle(chosen, BOARD.resources)
    assert neighbourhood.price(settled) == pytest.approx(best, abs=1e-9)
    # A budget a little below what the best takes: the best of what fits, or what there was.
    need = needed(neighbourhood, settled)
    tight = Resources(need.lut - 0.5, *list(BOARD.resources.as_dict().values())[1:])
    fitting = [c for c in every if needed(neighbourhood, c).fits(tight)]
    again = neighbourhood.settle(chosen, tight)
    found = min(map(neighbourhood.price, fitting), default=float("inf"))
    assert neighbourhood.price(again) == pytest.approx(
        min(found, neighbourhood.price(chosen)), abs=1e-9
    )
