"""Golden frames: in range, repeatable, at the corners and at the edges of activations."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hwgen.errors import VerificationError
from hwgen.ir import Graph, Input, Node, TensorType
from hwgen.numeric import CodeType
from hwgen.ops.case import integers
from hwgen.ops.fifo import Fifo
from hwgen.ops.thresholds import Thresholds
from hwgen.verify.boundaries import boundary_frames, candidate_frames, edges_met
from hwgen.verify.vectors import golden_frames
from tests.verify.designs import binary_graph, folded_graph


def passing(codes, size=6, lanes=2):
    kind = TensorType((size,), codes)
    return Graph("wire", (Input("x", kind),), (Node("f", Fifo(4, lanes), ("x",)),), ("f",))


@given(
    st.one_of(st.just(CodeType.binary()), st.just(CodeType(3, 9)), st.just(CodeType(-5, 2))),
    st.integers(2, 40),
    st.integers(0, 2**32 - 1),
)
def test_frames_are_of_the_input_type(codes, frames, seed):
    graph = passing(codes)
    found = golden_frames(graph, frames, seed)
    assert found.shape == (frames, 6)
    assert codes.contains(found)
    np.testing.assert_array_equal(found, golden_frames(graph, frames, seed))


def test_corners_come_first_and_seeds_matter():
    graph = passing(CodeType(-4, 3))
    frames = golden_frames(graph, 64, 1)
    assert frames[0].tolist() == [-4] * 6
    assert frames[1].tolist() == [3] * 6
    assert frames[2].tolist() == [0] * 6
    assert frames[3].tolist() == [-4, 3] * 3
    assert not np.array_equal(frames, golden_frames(graph, 64, 2))
    assert len(np.unique(frames, axis=0)) > 50


@pytest.mark.parametrize(("codes", "fill"), [(CodeType(-4, 3), 0), (CodeType(2, 3), 2)])
def test_last_frame_is_the_first_one_cut_short(codes, fill):
    frames = golden_frames(passing(codes), 8, 0)
    assert frames[-1].tolist() == [*frames[0][:2], *[fill] * 4]


def test_samples_are_used():
    graph = passing(CodeType(0, 7))
    samples = integers((5, 6), 0, 7)
    frames = golden_frames(graph, 32, 0, samples)
    np.testing.assert_array_equal(frames[:5], samples)
    assert [7] * 6 in frames.tolist()


@pytest.mark.parametrize(
    ("samples", "message"),
    [(np.zeros((2, 5)), "samples are shaped"), (np.full((2, 6), 8), "leave the input's codes")],
)
def test_samples_that_do_not_fit(samples, message):
    with pytest.raises(VerificationError, match=message):
        golden_frames(passing(CodeType(0, 7)), 8, 0, samples.astype(np.int64))


def test_chosen_frames_meet_more_edges_than_random_ones():
    graph = folded_graph()
    candidates = candidate_frames(graph, np.random.default_rng(0))
    reachable = edges_met(graph, candidates).shape[1]
    met = edges_met(graph, np.concatenate([boundary_frames(graph, candidates, 40), candidates]))
    assert met.shape[1] == reachable
    by_chosen, by_random = met[:40].any(axis=0).sum(), met[40:80].any(axis=0).sum()
    assert by_chosen > 2 * by_random
    assert by_chosen > 0.6 * reachable


def test_all_edges_are_met_where_there_are_few():
    graph = binary_graph()
    candidates = candidate_frames(graph, np.random.default_rng(0))
    met = edges_met(graph, np.concatenate([boundary_frames(graph, candidates, 8), candidates]))
    assert met[:8].any(axis=0).all()


def test_edges_of_a_threshold():
    kind = TensorType((1,), CodeType(0, 9))
    step = Thresholds(np.array([[4]]), np.array([0]), CodeType(0, 1))
    graph = Graph("step", (Input("x", kind),), (Node("s", step, ("x",)),), ("s",))
    frames = np.arange(10).reshape(10, 1)
    # Code 3 is the last below, code 4 the first above; no other code is at an edge.
    assert np.flatnonzero(edges_met(graph, frames).any(axis=1)).tolist() == [3, 4]
    assert sorted(boundary_frames(graph, frames, 2)[:, 0].tolist()) == [3, 4]
