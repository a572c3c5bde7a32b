"""Unrolled convolutional networks in simulation: one, two and four pixels a cycle."""

import numpy as np
import pytest

from hwgen.ir import Graph, Input, Node, TensorType
from hwgen.mapping.timing import latency_cycles
from hwgen.numeric import CodeType, Rounding
from hwgen.ops.matvec import MatVec
from hwgen.ops.max_pool import MaxPool
from hwgen.ops.requantize import Requantize
from hwgen.ops.sliding_window import SlidingWindow
from tests.mapping.network import Network
from tests.ops.simulation import from_beats, simulate, to_beats

SAME = (1, 1, 1, 1)
FRAMES = 3
IMAGE = TensorType((6, 8, 2), CodeType(0, 7))


def unrolled(pixels):
    """Convolution, activation, pooling; then a convolution of stride 2, `pixels` a beat."""
    rng = np.random.default_rng(7)
    first, second = rng.integers(-4, 4, (3, 18)), rng.integers(-4, 4, (2, 27))
    pooled = max(pixels // 2, 1)
    ops = (
        SlidingWindow((3, 3), padding=SAME, pe=2, taps=9, pixels=pixels),
        MatVec(first, 3, 18, pixels=pixels),
        Requantize(np.array([1]), np.array([0]), 3, Rounding.TRN, CodeType(0, 7), 3 * pixels),
        MaxPool((2, 2), (2, 2), pe=3, pixels=pixels),
        SlidingWindow((3, 3), (1, 2), padding=SAME, pe=3, taps=9, pixels=pooled),
        MatVec(second, 2, 27),
    )
    names = ["x", *(f"n{k}" for k in range(len(ops)))]
    nodes = tuple(Node(names[k + 1], op, (names[k],)) for k, op in enumerate(ops))
    return Graph("g", (Input("x", IMAGE),), nodes, (names[-1],))


@pytest.mark.parametrize("pixels", [1, 2, 4])
def test_codes_and_cycles(pixels, rng):
    """No FIFO and no converter between them; a frame costs its beats and the window's head."""
    graph = unrolled(pixels)
    frames = rng.integers(0, 8, (FRAMES, *IMAGE.shape))
    out = graph.types[graph.outputs[0]]
    network = Network(graph)
    per_frame = out.size // network.o_lanes
    beats = to_beats(frames, IMAGE.codes, network.i_lanes)
    run = simulate(network, beats, FRAMES * per_frame)
    assert run.violations == []
    codes = from_beats(run.beats, out.codes, network.o_lanes)
    assert np.array_equal(codes.reshape(FRAMES, *out.shape), graph.evaluate(frames))
    ends = np.array(run.given_at)[per_frame - 1 :: per_frame] - run.taken_at[0]
    assert ends[0] == latency_cycles(graph)
    # 48 pixels; the last window waits for nine more, or for the beats that they would be in.
    assert np.diff(ends).tolist() == [{1: 57, 2: 29, 4: 15}[pixels]] * (FRAMES - 1)
