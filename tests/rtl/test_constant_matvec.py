"""An unrolled layer shares adders over the whole matrix where that pays, and is as long as ever."""

import numpy as np
import pytest

from hwgen.ir import TensorType
from hwgen.numeric import CodeType
from hwgen.rtl.constant_matvec import ConstantMatVec
from hwgen.rtl.dot import KERNELS

X = CodeType(-8, 7)


def unit(kernel, weights, inputs=X):
    return ConstantMatVec.graph_of(KERNELS[kernel](weights, inputs), weights)


@pytest.mark.parametrize(
    ("kernel", "low", "high"), [("mac", -32, 31), ("shift_add", -6, 6), ("signed_add", -1, 1)]
)
def test_graph_fits_the_latency_of_the_trees(kernel, low, high):
    weights = np.random.default_rng(0).integers(low, high + 1, (12, 12))
    graph = unit(kernel, weights)
    graph.verify(weights)
    depth = ConstantMatVec.depth_of(KERNELS[kernel](weights, X), weights)
    assert graph.depth() <= depth - 2


def test_popcounts_stay_trees():
    weights = 2 * np.random.default_rng(0).integers(0, 2, (4, 6)) - 1
    assert unit("xnor", weights, CodeType.binary()) is None


def test_a_matrix_too_large_to_solve_stays_trees():
    assert unit("mac", np.full((1, 4000), 3)) is None


def test_prediction_is_the_cost_of_the_graph():
    weights = np.random.default_rng(1).integers(-32, 32, (8, 8))
    kernel = KERNELS["mac"](weights, X)
    sums = TensorType((8,), CodeType(-4096, 4095))
    predicted = ConstantMatVec.resources_of(kernel, weights, sums)
    assert predicted.lut == unit("mac", weights).cost_bits()
