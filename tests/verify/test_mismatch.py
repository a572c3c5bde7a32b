"""The mismatch finder on made-up recordings of a three-layer chain."""

from itertools import chain

import numpy as np
import pytest

from hwgen.mapping.layers import group_layers
from hwgen.verify.mismatch import Recording, beat_format, first_mismatch, producible
from hwgen.verify.vectors import golden_frames
from tests.verify.designs import folded_graph

GRAPH = folded_graph()
FRAMES = golden_frames(GRAPH, 4, 0)
LAYERS = group_layers(GRAPH)
NAMES = ["s_axis", *(layer.name for layer in LAYERS)]


def recordings():
    """What a faultless design would leave."""
    trace = GRAPH.trace(FRAMES)
    values = [GRAPH.inputs[0].name, *(layer.nodes[-1].name for layer in LAYERS)]
    lanes = [GRAPH.nodes[0].op.lanes[0], *(layer.nodes[-1].op.lanes[1] for layer in LAYERS)]
    beats = [
        list(chain(*beat_format(GRAPH.types[value].codes, count).pack(trace[value])))
        for value, count in zip(values, lanes, strict=True)
    ]
    return [Recording(b, [10 + 3 * k for k in range(len(b))], False, True) for b in beats]


def find(streams):
    return first_mismatch(GRAPH, FRAMES, streams, "frames")


def test_chain():
    assert NAMES == ["s_axis", "fc1", "act1_lanes6", "fc2"]


def test_no_mismatch():
    assert find(recordings()) is None


@pytest.mark.parametrize("layer", range(len(NAMES)))
def test_first_wrong_layer_is_named(layer):
    streams = recordings()
    for stream in streams[layer:]:
        stream.beats[1] ^= 1
    found = find(streams)
    assert found.layer == NAMES[layer]
    assert found.cycle == 13
    assert found.frame == 0
    assert NAMES[layer] in str(found)


def test_frame_and_channel():
    streams = recordings()
    # fc2 gives frames of two beats of two codes: the fourth beat's upper lane is channel 3.
    streams[3].beats[3] ^= 1 << 8
    found = find(streams)
    assert (found.frame, found.channel, found.source) == (1, 3, "/b")
    assert found.expected != found.got


def test_lost_beat_without_a_wrong_value():
    streams = recordings()
    del streams[2].beats[-1]
    del streams[3].beats[-2:]
    found = find(streams)
    assert (found.layer, found.got, found.cycle) == ("act1_lanes6", None, None)
    assert "never given" in str(found)


def test_layer_that_stopped():
    streams = [
        Recording(s.beats[: len(s.beats) // 2], s.cycles, True, False) for s in recordings()[:3]
    ]
    last = recordings()[3]
    streams.append(Recording(last.beats[: len(last.beats) // 2], last.cycles, False, True))
    assert find(streams).layer == "fc2"


def test_surplus_beat():
    streams = recordings()
    streams[3] = Recording([*streams[3].beats, 0], [*range(99)], False, True)
    found = find(streams)
    assert (found.layer, found.frame, found.expected) == ("fc2", len(FRAMES), None)


def test_producible():
    fc1 = LAYERS[0]
    # Four beats a frame in, then four passes of three rows: the first result needs all four.
    assert [producible(GRAPH, fc1, [beats]) for beats in (0, 3, 4, 7, 8)] == [0, 0, 4, 4, 8]


def test_frames_are_different():
    assert len(np.unique(FRAMES, axis=0)) == 4
