"""An unrolled layer shares adders over the whole matrix where that pays, and is as long as ever."""

import numpy as np
import pytest

from hwgen.adders import FABRICS, AdderTarget
from hwgen.ir import TensorType
from hwgen.numeric import CodeType
from hwgen.rtl.adder_graph import delay_lines
from hwgen.rtl.constant_matvec import DEFAULT_TARGET, ConstantMatVec
from hwgen.rtl.dot import KERNELS

X = CodeType(-8, 7)


def unit(kernel, weights, inputs=X, target=DEFAULT_TARGET):
    return ConstantMatVec.graph_of(KERNELS[kernel](weights, inputs), weights, target)


@pytest.mark.parametrize(
    ("kernel", "low", "high"), [("mac", -32, 31), ("shift_add", -6, 6), ("signed_add", -1, 1)]
)
def test_graph_fits_the_latency_of_the_trees(kernel, low, high):
    weights = np.random.default_rng(0).integers(low, high + 1, (12, 12))
    depths = []
    for target in (DEFAULT_TARGET, AdderTarget(three_operands=True)):
        graph = unit(kernel, weights, target=target)
        graph.verify(weights)
        depths.append(ConstantMatVec.depth_of(KERNELS[kernel](weights, X), weights, target))
        assert graph.depth() <= depths[-1] - 2
    assert depths == sorted(depths, reverse=True)


def test_popcounts_stay_trees():
    weights = 2 * np.random.default_rng(0).integers(0, 2, (4, 6)) - 1
    assert unit("xnor", weights, CodeType.binary()) is None


def test_a_matrix_too_large_to_solve_stays_trees():
    assert unit("mac", np.full((1, 4000), 3)) is None


@pytest.mark.parametrize("three_operands", [False, True])
def test_prediction_is_the_cost_of_the_graph(three_operands):
    weights = np.random.default_rng(1).integers(-32, 32, (8, 8))
    kernel = KERNELS["mac"](weights, X)
    sums = TensorType((8,), CodeType(-4096, 4095))
    target = AdderTarget(three_operands=three_operands)
    predicted = ConstantMatVec.resources_of(kernel, weights, sums, target)
    graph = unit("mac", weights, target=target)
    assert any(len(adder.operands) == 3 for adder in graph.adders) is three_operands
    stages = ConstantMatVec.stages_of(weights, graph, target)
    lines = delay_lines(graph, stages, FABRICS["xcup"])
    assert predicted.lut == graph.cost_bits() + lines.lut
    assert predicted.ff == 8 * X.width + lines.ff + 8 * sums.codes.width


@pytest.mark.parametrize("kernel", ["mac", "xnor"])
def test_a_slower_clock_takes_fewer_registers(kernel):
    signs = kernel == "xnor"
    weights = np.random.default_rng(1).integers(0 if signs else -32, 2 if signs else 32, (8, 16))
    weights = 2 * weights - 1 if signs else weights
    inputs = CodeType.binary() if signs else X
    dot, sums = KERNELS[kernel](weights, inputs), TensorType((8,), CodeType(-8192, 8191))
    found = []
    for mhz in (500, 200, 100, 10):
        target = AdderTarget(family="ecp5", period_ps=1_000_000 // mhz)
        depth = ConstantMatVec.depth_of(dot, weights, target)
        found.append((depth, ConstantMatVec.resources_of(dot, weights, sums, target).ff))
    assert found == sorted(found, reverse=True)
    assert found[0] > found[-1]
    # The input and the output register, and with a graph nothing else.
    assert found[-1][0] == (3 if signs else 2)
