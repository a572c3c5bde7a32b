"""Predicted interval and latency of whole networks equal what the simulated hardware does."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from hwgen.ir import Graph, Input, Node, TensorType, verify
from hwgen.mapping.layers import group_layers
from hwgen.mapping.streams import connect_lanes, insert_fifos
from hwgen.mapping.timing import Timeline, interval_cycles, latency_cycles, steady_timeline
from hwgen.numeric import CodeType
from hwgen.ops.fifo import Fifo
from hwgen.ops.pad import Pad
from tests.mapping.cycle_probe import measure
from tests.mapping.networks import random_network, residual_network

FRAMES = 6


def mapped(graph: Graph) -> Graph:
    graph = insert_fifos(connect_lanes(graph))
    verify(graph)
    return graph


def frames_for(graph: Graph, count: int) -> np.ndarray:
    codes = graph.inputs[0].type.codes
    shape = (count, *graph.inputs[0].type.shape)
    return np.random.default_rng(0).integers(codes.lo, codes.hi + 1, shape)


NETWORKS = {
    **{f"chain{seed}": random_network(seed) for seed in range(8)},
    **{f"residual{seed}": residual_network(seed) for seed in range(4)},
}


@pytest.mark.sim
def test_prediction_equals_simulation(tmp_path_factory: pytest.TempPathFactory) -> None:
    """Codes, latency of a lone frame, interval at full rate; codes again under random stalls.

    After stalls, with every FIFO as full as they left it, the rate is the full one again.
    """
    graphs = [mapped(graph) for graph in NETWORKS.values()]
    frames = [frames_for(graph, FRAMES) for graph in graphs]
    folder = tmp_path_factory.mktemp("networks")
    patience = 2 * max(map(latency_cycles, graphs))
    disturbed = [2 * interval_cycles(graph) for graph in graphs]
    measured = measure(graphs, frames, patience, folder, disturbed)
    found = dict(zip(NETWORKS, measured, strict=True))
    assert [name for name, m in found.items() if not m.equal] == []
    assert [name for name, m in found.items() if not m.equal_under_stalls] == []
    predicted = {n: latency_cycles(g) for n, g in zip(NETWORKS, graphs, strict=True)}
    assert {name: m.latency for name, m in found.items()} == predicted
    # The first frames fill the FIFOs.
    steady = {n: [interval_cycles(g)] * (FRAMES - 3) for n, g in zip(NETWORKS, graphs, strict=True)}
    assert {name: m.intervals[2:] for name, m in found.items()} == steady
    last = {name: each[-2:] for name, each in steady.items()}
    assert {name: m.intervals_after_stalls[-2:] for name, m in found.items()} == last


@pytest.mark.parametrize("name", NETWORKS)
def test_steady_after_as_many_frames_as_layers(name: str) -> None:
    """As `steady_timeline` proves; one frame more shows that two are alike."""
    graph = mapped(NETWORKS[name])
    assert Timeline(graph, len(group_layers(graph)) + 2).is_steady
    assert steady_timeline(graph).is_steady


def test_steady_behind_a_hundred_layers() -> None:
    """Each layer slower than the one before: every one of them adds to the transient."""
    nodes, name = [], "x"
    for k in range(100):
        nodes.append(Node(f"pad{k}", Pad((0, 0, 0, 1)), (name,)))
        name = nodes[-1].name
    image = Input("x", TensorType((1, 3, 1), CodeType(0, 1)))
    graph = Graph("pads", (image,), tuple(nodes), (name,))
    assert interval_cycles(graph) == 103
    assert steady_timeline(graph).is_steady


def test_fifos_appear_where_rhythms_differ() -> None:
    found = [n for g in NETWORKS.values() for n in mapped(g).nodes if isinstance(n.op, Fifo)]
    assert found


def test_lane_conversion_keeps_codes() -> None:
    graph = residual_network(3)
    connected = connect_lanes(graph)
    codes = frames_for(graph, 20)
    assert np.array_equal(graph.evaluate(codes), connected.evaluate(codes))


def test_inserted_nodes_never_take_a_name_of_the_model() -> None:
    graph = residual_network(1)
    inserted = {n.name for n in mapped(graph).nodes} - {n.name for n in graph.nodes}
    for name in sorted(inserted):
        old = graph.nodes[-1].name
        last = replace(graph.nodes[-1], name=name)
        renamed = replace(graph, nodes=(*graph.nodes[:-1], last), outputs=(name,))
        assert old != name
        assert len(mapped(renamed).nodes) == len(mapped(graph).nodes)
