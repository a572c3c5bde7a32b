"""The folding search: as cheap or as fast as brute force, exact limits, messages with numbers."""

from __future__ import annotations

import itertools
from dataclasses import replace

import numpy as np
import pytest

from hwgen.board import load_board
from hwgen.cost import Resources
from hwgen.errors import MappingError
from hwgen.mapping.folding import cheapest, fold
from hwgen.mapping.layers import group_layers
from hwgen.mapping.menus import menu_of
from hwgen.mapping.timing import interval_cycles
from hwgen.ops.matvec import Kernel, MatVec
from tests.mapping.networks import random_network

BOARD = load_board("ultra96")


def test_meets_the_target_exactly() -> None:
    graph = random_network(1, (12, 8, 6, 4), fold=False)
    for limit in (96, 48, 17, 4, 1):
        folded = fold(graph, BOARD, 100, target_fps=100e6 / limit)
        assert interval_cycles(folded) <= limit


@pytest.mark.parametrize("seed", range(5))
def test_cheapest_equals_brute_force(seed: int) -> None:
    graph = random_network(seed, (6, 4, 3), fold=False)
    menus = [menu_of(graph, layer, BOARD, None) for layer in group_layers(graph)]
    for limit in (2, 6, 24):
        best = min(
            sum(choice.price for choice in combination)
            for combination in itertools.product(*menus)
            if max(choice.interval_cycles for choice in combination) <= limit
        )
        chosen = cheapest(menus, limit, BOARD.resources)
        assert chosen is not None
        assert sum(choice.price for choice in chosen) == best


def test_without_a_target_the_board_is_filled() -> None:
    graph = random_network(2, (64, 64, 10), fold=False)
    fastest = fold(graph, BOARD, 100)
    tight = replace(BOARD, resources=Resources(3000, 6000, 12, 4))
    slower = fold(graph, tight, 100)
    assert interval_cycles(fastest) < interval_cycles(slower)
    with pytest.raises(MappingError, match="does not fit ultra96 for the smallest design"):
        fold(graph, replace(BOARD, resources=Resources(30, 60, 0, 0)), 100)


def test_target_out_of_reach_names_layer_and_best() -> None:
    graph = random_network(1, (12, 8, 6, 4), fold=False)
    with pytest.raises(MappingError, match=r"at most 100000000 frames/s can be reached"):
        fold(graph, BOARD, 100, target_fps=200e6)


def test_folding_by_hand() -> None:
    graph = random_network(1, (12, 8, 6, 4), fold=False)
    folded = fold(graph, BOARD, 100, 1e6, {"fc0": {"pe": 4, "simd": 3, "kernel": "mac"}})
    op = folded.node("fc0").op
    assert isinstance(op, MatVec)
    assert (op.pe, op.simd, op.kernel) == (4, 3, Kernel.MAC)
    with pytest.raises(MappingError, match=r"folding of fc0: .* choose pe one of \[1, 2, 4, 8\]"):
        fold(graph, BOARD, 100, None, {"fc0": {"pe": 5}})
    with pytest.raises(MappingError, match="no layer fc9; there are fc0, fc1, fc2"):
        fold(graph, BOARD, 100, None, {"fc9": {"pe": 1}})


def test_codes_do_not_depend_on_the_folding() -> None:
    graph = random_network(4, (12, 8, 6, 4), fold=False)
    frames = np.random.default_rng(0).integers(0, 8, (50, 12))
    for limit in (1, 7, 96):
        folded = fold(graph, BOARD, 100, 100e6 / limit)
        assert np.array_equal(folded.evaluate(frames), graph.evaluate(frames))
