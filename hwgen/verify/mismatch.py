"""The mismatch finder: which layer is the first to differ from the graph, where and when.

A recording of every transfer between layers is held against `graph.trace`. Wrong values lead
to the first layer that gives one; missing beats to the layer that took its input and gave nothing.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from hwgen.ir import Codes, Graph, Schedule
from hwgen.mapping.layers import Layer, group_layers
from hwgen.numeric import CodeType
from hwgen.rtl.axi.axi_stream import tdata_bits
from hwgen.verify.packing import BeatFormat

INPUT_LAYER, OUTPUT_LAYER = "s_axis", "m_axis"


@dataclass(frozen=True)
class Mismatch:
    """The first code that is not what the graph says.

    Parameters
    ----------
    test : of the bench
    layer : name of the layer's module; `s_axis` and `m_axis` are the design's own ports
    source : what the layer stands for in the model
    frame : counted from the reset, first is 0
    channel : of the layer's output
    cycle : clock cycles since reset at which the beat was transferred; None: it never was
    expected, got : codes; `got` is None for a beat that never came, `expected` for one too many
    """

    test: str
    layer: str
    source: str
    frame: int
    channel: int
    cycle: int | None
    expected: int | None
    got: int | None

    def __str__(self) -> str:
        origin = f" (from {self.source})" if self.source else ""
        when = f"cycle {self.cycle}" if self.cycle is not None else "never given"
        return (
            f"{self.layer}{origin}: first wrong code in test {self.test}, frame {self.frame}, "
            f"channel {self.channel}, {when}: expected {self.expected}, got {self.got}"
        )


@dataclass(frozen=True)
class Recording:
    """What passed through one stream.

    Parameters
    ----------
    beats, cycles : each transfer
    valid, ready : the handshake when the recording ended
    """

    beats: Sequence[int]
    cycles: Sequence[int]
    valid: bool
    ready: bool


def beat_format(codes: CodeType, lanes: int) -> BeatFormat:
    """Return how `lanes` codes lie in TDATA."""
    bits = tdata_bits(lanes * codes.width)
    return BeatFormat(lanes, codes.width, codes.signed, codes.bipolar, bits)


def first_mismatch(
    graph: Graph, frames: Codes, recordings: Sequence[Recording], test: str
) -> Mismatch | None:
    """Return the first layer's first wrong code, None when all layers are right.

    Parameters
    ----------
    frames : codes that went in, in order
    recordings : of the input stream, then of each layer's output
    """
    expected = graph.trace(frames)
    layers = group_layers(graph)
    streams = [_Stream(INPUT_LAYER, graph.inputs[0].source, graph.inputs[0].name, None)]
    streams += [_Stream(la.name, _source(la), la.gives, la) for la in layers]
    for stream, recording in zip(streams, recordings, strict=True):
        lanes = _lanes(graph, stream)
        codes = beat_format(graph.types[stream.value].codes, lanes).unpack(recording.beats)
        want = expected[stream.value].reshape(-1)
        common = min(len(want), len(codes))
        wrong = np.flatnonzero(want[:common] != codes[:common])
        if len(wrong) or len(codes) > len(want):
            at = int(wrong[0]) if len(wrong) else common
            return stream.mismatch(graph, test, at, recording, want, int(codes[at]))
    stuck = _stuck(graph, layers, recordings)
    if stuck is None:
        return None
    stream, recording = streams[stuck], recordings[stuck]
    at = len(recording.beats) * _lanes(graph, stream)
    want = expected[stream.value].reshape(-1)
    return stream.mismatch(graph, test, at, recording, want, None) if at < len(want) else None


@dataclass(frozen=True)
class _Stream:
    name: str
    source: str
    value: str
    layer: Layer | None

    def mismatch(
        self,
        graph: Graph,
        test: str,
        at: int,
        recording: Recording,
        want: Codes,
        got: int | None,
    ) -> Mismatch:
        kind = graph.types[self.value]
        cycle = None if got is None else recording.cycles[at // _lanes(graph, self)]
        return Mismatch(
            test,
            self.name,
            self.source,
            at // kind.size,
            at % kind.channels,
            cycle,
            int(want[at]) if at < len(want) else None,
            got,
        )


def _source(layer: Layer) -> str:
    return ", ".join(node.source for node in layer.nodes if node.source)


def _lanes(graph: Graph, stream: _Stream) -> int:
    if stream.layer is None:
        return graph.nodes[0].op.lanes[0]
    return stream.layer.lanes[1]


def _stuck(graph: Graph, layers: Sequence[Layer], recordings: Sequence[Recording]) -> int | None:
    """Return the index of the recording of the layer that lost beats or stopped."""
    beats = {graph.inputs[0].name: len(recordings[0].beats)}
    for layer, after in zip(layers, recordings[1:], strict=True):
        beats[layer.gives] = len(after.beats)
    for index, layer in enumerate(layers):
        after = recordings[index + 1]
        waits = after.valid and not after.ready
        before = [beats[name] for name in layer.reads]
        if not waits and len(after.beats) < producible(graph, layer, before):
            return index + 1
    # Nobody lost anything: the first stream that waits for ever has a consumer that stopped.
    for index in reversed(range(len(layers))):
        if recordings[index].valid and not recordings[index].ready:
            return index + 1
    return None


def producible(graph: Graph, layer: Layer, beats: Sequence[int]) -> int:
    """Return how many beats `layer` gives once it has taken `beats` of each of its inputs."""
    schedule = layer.schedule(graph)
    return min(
        _given_after(schedule, takes, taken)
        for takes, taken in zip(schedule.inputs, beats, strict=True)
    )


def _given_after(schedule: Schedule, takes: npt.NDArray[np.bool_], beats: int) -> int:
    taking = np.flatnonzero(takes)
    frames, rest = divmod(beats, len(taking))
    begun = int(schedule.gives[: taking[rest]].sum()) if rest else 0
    return frames * int(schedule.gives.sum()) + begun
