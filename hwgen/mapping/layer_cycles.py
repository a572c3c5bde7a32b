"""`layer_cycles`: when each layer ends its frames while frames come at the network's own interval.

A layer can be no earlier than the earliest schedule, and is no later than the relaxed one: a
self-timed run is never behind a valid schedule of its graph, and the FIFOs have room for that one.
In the steady state every layer ends a frame each interval. `hwgen verify` measures all of it.

Source: Lee & Messerschmitt, Synchronous data flow, Proc. IEEE 75(9), 1987.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from hwgen.ir import Cycles, Graph
from hwgen.mapping.timing import Edge, Timeline, Traffic, steady_timeline


@dataclass(frozen=True)
class LayerCycles:
    """Ends of a layer's frames, in cycles from the first input transfer of the first frame.

    Parameters
    ----------
    beats : a frame, at the layer's output
    earliest, latest : of each frame, the first and the last cycle in which its last beat may leave
    """

    beats: int
    earliest: tuple[int, ...]
    latest: tuple[int, ...]


def layer_cycles(graph: Graph) -> dict[str, LayerCycles]:
    """Return the cycles of every layer, by its name, up to the first two frames that are alike."""
    timeline = steady_timeline(graph)
    traffic = timeline.relaxed().traffic
    return {
        layer.name: _cycles(timeline, timeline.given[layer.gives], layer.gives, traffic)
        for layer in timeline.layers
    }


def _cycles(
    timeline: Timeline, given: Cycles, value: str, traffic: Mapping[Edge, Traffic]
) -> LayerCycles:
    beats = len(given) // timeline.frames
    latest = given[beats - 1 :: beats]
    for edge, both in traffic.items():
        if edge[0] == value:  # a fork waits for its slowest reader
            latest = latest.clip(both.taken[beats - 1 :: beats])
    earliest = given[beats - 1 :: beats].tolist()
    return LayerCycles(beats, tuple(earliest), tuple(latest.tolist()))
