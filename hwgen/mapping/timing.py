"""When each beat moves: a token-level schedule of the whole network, exact and vectorised.

Every layer's schedule says which steps take and give beats. Forwards, the times at which one layer
gives become the times at which the next may take: the earliest schedule, which gives latency and
interval. Backwards, a layer whose beats would have to wait is held back as far as its readers
allow: the relaxed schedule, with the same output times, in which little waits. FIFOs with room for
what does wait are enough, since a self-timed run is never behind a valid schedule of its graph.

Source: Lee & Messerschmitt, Synchronous data flow, Proc. IEEE 75(9), 1987.
"""

from __future__ import annotations

from collections.abc import Mapping, Set
from dataclasses import dataclass

import numpy as np

from hwgen.ir import FAR, Cycles, Graph, Schedule
from hwgen.mapping.layers import Layer, group_layers
from hwgen.ops.convert_lanes import ConvertLanes

Edge = tuple[str, str, int]  # value, reading layer, which of its inputs


@dataclass(frozen=True)
class Traffic:
    """Cycles of the beats on the way from a value's producer to one of its readers.

    Parameters
    ----------
    given : when the producer transfers each beat
    taken : when the reader takes it
    """

    given: Cycles
    taken: Cycles


@dataclass(frozen=True)
class Relaxed:
    """A valid schedule with the earliest output times and little waiting.

    Parameters
    ----------
    traffic : of every edge
    held : values whose producers are held back: in hardware, backpressure does that
    """

    traffic: Mapping[Edge, Traffic]
    held: Set[str]


def interval_cycles(graph: Graph) -> int:
    """Return the cycles between frames: those of the slowest operator, or of the host's beats."""
    return max(
        (node.op.schedule(*graph.input_types(node)).interval_cycles for node in graph.nodes),
        default=1,
    )


def latency_cycles(graph: Graph) -> int:
    """Return the cycles from the first input transfer of a lone frame to its last output."""
    return int(Timeline(graph, frames=1).given[graph.outputs[0]][-1])


class Timeline:
    """The earliest schedule of `frames` frames that arrive at the network's own interval.

    The host offers the beats of a frame in consecutive cycles and is always ready.
    """

    def __init__(self, graph: Graph, frames: int) -> None:
        self.graph, self.frames = graph, frames
        self.layers = group_layers(graph)
        self.schedules: dict[str, Schedule] = {la.name: la.schedule(graph) for la in self.layers}
        self.interval = interval_cycles(graph)
        source = graph.inputs[0]
        beats = source.type.size // first_lanes(graph)
        starts = np.arange(frames, dtype=np.int64) * self.interval
        at = (starts[:, None] + np.arange(beats, dtype=np.int64)).ravel()
        self.given: dict[str, Cycles] = {source.name: at}
        self.steps: dict[str, Cycles] = {}
        for layer in self.layers:
            schedule = self.schedules[layer.name]
            steps = schedule.earliest([self.given[name] for name in layer.reads])
            self.steps[layer.name] = steps
            self.given[layer.gives] = schedule.given(steps)

    @property
    def paced(self) -> set[str]:
        """Values that cannot come earlier than here, since something before them never rests.

        All others may in hardware run ahead of this schedule until they are held back.
        """
        source = self.graph.inputs[0]
        beats = source.type.size // first_lanes(self.graph)
        found = {source.name} if beats == self.interval else set()
        for layer in self.layers:
            busy = self.schedules[layer.name].interval_cycles == self.interval
            if busy or found.intersection(layer.reads):
                found.add(layer.gives)
        return found

    @property
    def is_steady(self) -> bool:
        """Whether the last frame runs through every layer exactly as the one before it."""
        if self.frames < 2:
            return False
        for layer in self.layers:
            *_, before, last = np.split(self.steps[layer.name], self.frames)
            if not np.array_equal(before + self.interval, last):
                return False
        return True

    def relaxed(self) -> Relaxed:
        """Return the schedule in which every layer that would run ahead is held back."""
        output = self.graph.outputs[0]
        given = {output: self.given[output]}
        taken: dict[Edge, Cycles] = {}
        held: set[str] = set()
        for layer in reversed(self.layers):
            steps = self.steps[layer.name]
            schedule = self.schedules[layer.name]
            readers = [at for edge, at in taken.items() if edge[0] == layer.gives]
            at = self.given[layer.gives]
            if not all(self.passes(layer.gives, Traffic(at, reader)) for reader in readers):
                steps = self._held_back(layer, readers)
                held.add(layer.gives)
            given[layer.gives] = schedule.given(steps)
            for k, (name, at) in enumerate(zip(layer.reads, schedule.taken(steps), strict=True)):
                taken[name, layer.name, k] = at
        source = self.graph.inputs[0].name
        wanted = [at for edge, at in taken.items() if edge[0] == source]
        given[source] = np.minimum.reduce(wanted)  # the host holds a beat until it is wanted
        return Relaxed({edge: Traffic(given[edge[0]], at) for edge, at in taken.items()}, held)

    def _held_back(self, layer: Layer, readers: list[Cycles]) -> Cycles:
        """Return the earliest steps of a layer behind which no more beats wait than must."""
        schedule, steps = self.schedules[layer.name], self.steps[layer.name]
        latest = schedule.given(schedule.latest(np.minimum.reduce(readers), steps))
        room = np.full(len(latest), -FAR, dtype=np.int64)
        for taken in readers:
            allowed = waiting_beats(Traffic(latest, taken))
            # A beat is given when the one so many places before it is taken.
            room[allowed:] = np.maximum(room[allowed:], taken[: len(taken) - allowed])
        return schedule.earliest([self.given[name] for name in layer.reads], room)

    def passes(self, value: str, traffic: Traffic, more: int = 0) -> bool:
        """Whether a stream without a FIFO carries `traffic`, and `more` beats that wait besides.

        A layer ends in a register slice: one beat may wait there, and the next comes at the
        earliest in the cycle after it has left. A converter and the host have no such place, and a
        fork waits for its slowest reader.
        """
        producer = next((la for la in self.layers if la.gives == value), None)
        forked = sum(layer.reads.count(value) for layer in self.layers) > 1
        if producer is None or forked or isinstance(producer.nodes[0].op, ConvertLanes):
            return waiting_beats(traffic) + more == 0
        return room_needed(traffic) + more <= 1


def steady_timeline(graph: Graph) -> Timeline:
    """Return a timeline long enough to end in the steady state.

    There always is one, after at most as many frames as the longest path has layers. Let times of
    frame f be counted from f intervals on, b_f[i] be when what step i takes has come, M_f the
    largest b_f[i] - i, and a layer have L steps, which are no more than the interval T. The frame
    before leaves the layer at r_f, where r_f+1 = max(r_f, M_f) + L - T, and step j happens at
    j + max(r_f, b_f[i] - i over i <= j). The first frame finds the layer free, so by induction no
    time falls from one frame to the next, and r_f <= M_f + L - T. Where the layer's inputs repeat
    from frame F on, M_f = M does, and r_f = M + L - T from frame F + 1 on: the layer repeats one
    frame later. Two frames that are alike in every layer are followed by a third.
    """
    frames = 3
    timeline = Timeline(graph, frames)
    while not timeline.is_steady:
        frames *= 2
        timeline = Timeline(graph, frames)
    return timeline


def first_lanes(graph: Graph) -> int:
    """Codes in a beat at the network's input."""
    return graph.nodes[0].op.lanes[0] if graph.nodes else 1


def waiting_beats(traffic: Traffic) -> int:
    """Return the most beats that wait between producer and reader at any cycle.

    A beat that is taken in the cycle in which it is given does not wait.
    """
    arrived = np.searchsorted(traffic.given, traffic.taken, side="left")
    return int((arrived - np.arange(len(traffic.taken))).max(initial=0))


def room_needed(traffic: Traffic) -> int:
    """Return how many beats a buffer must hold so that it accepts each when it is given."""
    left = np.searchsorted(traffic.taken, traffic.given, side="left")
    return int((np.arange(1, len(left) + 1) - left).max(initial=0))


def takes_within(traffic: Traffic, cycles: int) -> int:
    """Return the most beats that the reader takes in any `cycles` consecutive cycles."""
    before = np.searchsorted(traffic.taken, traffic.taken - cycles, side="right")
    return int((np.arange(1, len(before) + 1) - before).max(initial=0))
