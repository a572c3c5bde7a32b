"""Convolutional networks in simulation: cycles as predicted, codes as evaluated."""

from dataclasses import replace

import numpy as np
import pytest

from hwgen.ir import Graph, Input, Node, TensorType
from hwgen.mapping.streams import connect_lanes, insert_fifos
from hwgen.mapping.timing import interval_cycles, latency_cycles
from hwgen.numeric import CodeType, Rounding
from hwgen.ops.argmax import ArgMax
from hwgen.ops.depthwise import Depthwise
from hwgen.ops.fifo import Fifo
from hwgen.ops.matvec import MatVec
from hwgen.ops.max_pool import MaxPool
from hwgen.ops.requantize import Requantize
from hwgen.ops.reshape import Reshape
from hwgen.ops.sliding_window import SlidingWindow
from hwgen.ops.sum_pool import SumPool
from tests.mapping.network import Network
from tests.ops.simulation import from_beats, simulate, to_beats

SAME = (1, 1, 1, 1)
FRAMES = 4


def weights(*shape):
    return np.random.default_rng(sum(shape)).integers(-4, 4, shape)


def requantize(pe):
    return Requantize(np.array([1]), np.array([0]), 3, Rounding.TRN, CodeType(0, 7), pe)


def network(kind, *ops):
    nodes, before = [], "x"
    for k, op in enumerate(ops):
        nodes.append(Node(f"n{k}", op, (before,)))
        before = f"n{k}"
    graph = Graph("g", (Input("x", kind),), tuple(nodes), (before,))
    return insert_fifos(connect_lanes(graph))


def image(*shape):
    return TensorType(shape, CodeType(0, 7))


NETWORKS = {
    "convolution": network(
        image(6, 7, 2), SlidingWindow((3, 3), padding=SAME, pe=2), MatVec(weights(4, 18), 2, 2)
    ),
    "classifier": network(
        image(8, 8, 2),
        SlidingWindow((3, 3), padding=SAME, pe=2),
        MatVec(weights(4, 18), 2, 2),
        requantize(2),
        MaxPool((2, 2), (2, 2), pe=2),
        SlidingWindow((3, 3), pe=2),
        MatVec(weights(4, 36), 1, 2),
        requantize(1),
        SumPool((2, 2), (2, 2)),
        Reshape((4,)),
        MatVec(weights(3, 4)),
        ArgMax(),
    ),
    "separable": network(
        image(7, 6, 2),
        SlidingWindow((3, 3), (2, 2), padding=SAME, pe=2),
        MatVec(weights(4, 18), 4, 2),
        requantize(2),
        SlidingWindow((3, 3), padding=SAME, pe=2),
        Depthwise(weights(4, 9), 2),
    ),
    "one_dimensional": network(
        image(1, 30, 2),
        SlidingWindow((1, 5), (1, 2), padding=(0, 2, 0, 2), pe=2),
        MatVec(weights(4, 10), 4, 2),
        requantize(4),
        SlidingWindow((1, 1), (1, 3), pe=4),
    ),
}


def simulated(graph, frames):
    """Return the codes and the cycle in which each frame's last beat leaves."""
    chain, out = Network(graph), graph.types[graph.outputs[0]]
    per_frame = out.size // chain.o_lanes
    beats = to_beats(frames, chain.i_codes, chain.i_lanes)
    run = simulate(chain, beats, len(frames) * per_frame)
    assert run.violations == []
    codes = from_beats(run.beats, out.codes, chain.o_lanes)
    ends = np.array(run.given_at)[per_frame - 1 :: per_frame] - run.taken_at[0]
    return codes.reshape(len(frames), *out.shape), ends


@pytest.mark.parametrize("name", NETWORKS)
def test_prediction_equals_simulation(name, rng):
    graph = NETWORKS[name]
    frames = rng.integers(0, 8, (FRAMES, *graph.inputs[0].type.shape))
    codes, ends = simulated(graph, frames)
    assert np.array_equal(codes, graph.evaluate(frames))
    assert ends[0] == latency_cycles(graph)
    assert np.diff(ends)[1:].tolist() == [interval_cycles(graph)] * (FRAMES - 2)


@pytest.mark.parametrize("depth", [3, 20])
def test_multipliers_never_wait(depth, rng):
    """A folded product hides the line buffer's head behind its own passes, with a short FIFO."""
    graph = NETWORKS["convolution"]
    shorter = tuple(
        replace(node, op=Fifo(depth, node.op.width)) if isinstance(node.op, Fifo) else node
        for node in graph.nodes
    )
    frames = rng.integers(0, 8, (FRAMES, 6, 7, 2))
    _, ends = simulated(graph.with_nodes(shorter), frames)
    product_cycles = 6 * 7 * (4 // 2) * (18 // 2)
    assert np.diff(ends).tolist() == [product_cycles] * (FRAMES - 1)
