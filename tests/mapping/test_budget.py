"""The integer program finds what brute force finds; neighbours never make a design dearer."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from hwgen.board import load_board
from hwgen.cost import Resources
from hwgen.mapping.budget import cheapest_within, undominated
from hwgen.mapping.folding import cheapest, fold
from hwgen.mapping.layers import group_layers
from hwgen.mapping.menus import Choice, menu_of
from hwgen.mapping.neighbours import Neighbourhood
from hwgen.mapping.streams import connect_lanes
from hwgen.mapping.timing import interval_cycles
from hwgen.ops.convert_lanes import ConvertLanes
from tests.mapping.networks import residual_network

BOARD = load_board("ultra96")


def random_menus(seed: int, layers: int = 4, choices: int = 6) -> list[list[Choice]]:
    rng = np.random.default_rng(seed)
    return [
        [
            Choice((), 1, Resources(*(int(k) for k in rng.integers(0, 50, 4))), float(price))
            for price in rng.integers(1, 100, choices)
        ]
        for _ in range(layers)
    ]


@pytest.mark.parametrize("seed", range(20))
def test_integer_program_equals_brute_force(seed: int) -> None:
    menus = random_menus(seed)
    budget = Resources(*(int(k) for k in np.random.default_rng(seed + 100).integers(40, 130, 4)))
    fitting = [
        sum(choice.price for choice in combination)
        for combination in itertools.product(*menus)
        if sum((c.resources for c in combination), Resources()).fits(budget)
    ]
    found = cheapest_within(menus, budget)
    if not fitting:
        assert found is None
        return
    assert found is not None
    assert [choice in menu for choice, menu in zip(found, menus, strict=True)] == [True] * 4
    assert sum((c.resources for c in found), Resources()).fits(budget)
    assert sum(choice.price for choice in found) == min(fitting)


def test_dominated_choices_go() -> None:
    cheap = Choice((), 1, Resources(5, 5, 0, 0), 1.0)
    worse = Choice((), 1, Resources(6, 5, 0, 0), 2.0)
    other = Choice((), 1, Resources(0, 5, 9, 0), 3.0)
    assert undominated([other, worse, cheap]) == [cheap, other]


@pytest.mark.parametrize("limit", [600, 2000])
def test_neighbours_never_make_a_design_dearer(limit: int) -> None:
    graph = residual_network(2)
    layers = group_layers(graph)
    menus = [
        [c for c in menu_of(graph, layer, BOARD, None) if c.interval_cycles <= limit]
        for layer in layers
    ]
    chosen = cheapest(menus, limit, BOARD.resources)
    assert chosen is not None
    neighbourhood = Neighbourhood(graph, layers, menus, BOARD)
    settled = neighbourhood.settle(chosen, BOARD.resources)

    def total(choices: list[Choice]) -> float:
        nodes = {node.name: node for choice in choices for node in choice.nodes}
        folded = graph.with_nodes(tuple(nodes[node.name] for node in graph.nodes))
        connected = connect_lanes(folded)
        converters = [n for n in connected.nodes if isinstance(n.op, ConvertLanes)]
        used = sum((n.op.resources(*connected.input_types(n)) for n in converters), Resources())
        shares = used.utilization(BOARD.resources)
        return sum(c.price for c in choices) + sum(shares.values()) + max(shares.values())

    assert total(settled) <= total(chosen)
    assert max(choice.interval_cycles for choice in settled) <= limit


def test_branching_networks_are_folded_and_compute_the_same() -> None:
    graph = residual_network(1)
    folded = connect_lanes(fold(graph, BOARD, 100, 100e6 / 700))
    assert interval_cycles(folded) <= 700
    codes = np.random.default_rng(0).integers(0, 16, (5, 6, 6, 2))
    assert np.array_equal(graph.evaluate(codes), folded.evaluate(codes))
