"""The board's clock decides how many registers an unrolled product has."""

from dataclasses import replace

import numpy as np

from hwgen.adders import FABRICS, MULTIPLIERS, TERNARY_FAMILIES
from hwgen.board import FAMILIES, load_board
from hwgen.ir import Graph, Input, Node, TensorType
from hwgen.mapping.targets import target_of, with_target
from hwgen.numeric import CodeType
from hwgen.ops.matvec import MatVec

X = TensorType((12,), CodeType(-128, 127))


def unrolled(board, clock_mhz):
    """Return a product of the whole matrix for this clock, of adders that can share a stage.

    Sums of three numbers have a register each in any case.
    """
    weights = np.random.default_rng(0).integers(-32, 32, (6, 12))
    node = Node("fc", MatVec(weights, 6, 12), ("x",))
    graph = Graph("tiny", (Input("x", X),), (node,), ("fc",))
    target = replace(target_of(load_board(board), clock_mhz, effort=0.0), three_operands=False)
    return with_target(graph, target).node("fc").op


def test_target_of_a_board():
    target = target_of(load_board("pynq-z2"), 100, effort=2.0)
    assert (target.family, target.period_ps, target.effort) == ("xc7", 7000, 2.0)
    assert target.multiplier.name == "DSP48E1"


def test_a_faster_clock_takes_more_stages():
    for board in ("ultra96", "pynq-z2"):
        products = [unrolled(board, clock_mhz) for clock_mhz in (50, 150, 300)]
        depths = [op.schedule(X).depth for op in products]
        registers = [op.resources(X).ff for op in products]
        assert depths == sorted(set(depths))
        assert registers == sorted(set(registers))


def test_a_slower_device_takes_more_stages():
    assert unrolled("pynq-z2", 150).schedule(X).depth > unrolled("ultra96", 150).schedule(X).depth


def test_every_family_has_adders_and_a_multiplier():
    assert FABRICS.keys() == MULTIPLIERS.keys()
    assert FABRICS.keys() >= {*FAMILIES, "ecp5", "ice40"}
    assert {name for name, fabric in FABRICS.items() if fabric.third_operand_ps} == TERNARY_FAMILIES
