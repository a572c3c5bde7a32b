"""When each beat moves: a token-level simulation of the whole chain, exact and vectorised.

Every operator's schedule says which steps take and give beats; here the output times of one become
the arrival times of the next. FIFO depths and the predicted latency follow from it.

Source: Lee & Messerschmitt, Synchronous data flow, Proc. IEEE 75(9), 1987 (a self-timed run is at
least as fast as any valid periodic schedule of the same graph).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from hwgen.ir import Graph

Cycles = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Traffic:
    """Cycles of the beats between a value's producer and its consumer, never held back.

    Parameters
    ----------
    given : when the producer transfers each beat
    taken : when the consumer takes it, were there room for all in between
    """

    given: Cycles
    taken: Cycles


def interval_cycles(graph: Graph) -> int:
    """Return the cycles between frames: those of the slowest operator, or of the host's beats."""
    return max(
        (node.op.schedule(*graph.input_types(node)).interval_cycles for node in graph.nodes),
        default=1,
    )


def latency_cycles(graph: Graph) -> int:
    """Return the cycles from the first input transfer of a lone frame to its last output."""
    traffic = run(graph, frames=1)
    return int(traffic[graph.outputs[0]].given[-1])


def run(graph: Graph, frames: int) -> dict[str, Traffic]:
    """Return the traffic behind every value, frames arriving at the network's own interval.

    The host offers the beats of a frame in consecutive cycles.
    """
    source = graph.inputs[0]
    beats = source.type.size // first_lanes(graph)
    starts = np.arange(frames, dtype=np.int64) * interval_cycles(graph)
    at = (starts[:, None] + np.arange(beats, dtype=np.int64)).ravel()
    traffic: dict[str, Traffic] = {}
    name = source.name
    for node in graph.nodes:
        schedule = node.op.schedule(*graph.input_types(node))
        steps = schedule.steps(at)
        traffic[name] = Traffic(at, schedule.taken(steps))
        name, at = node.name, schedule.given(steps)
    traffic[name] = Traffic(at, at)
    return traffic


def first_lanes(graph: Graph) -> int:
    """Codes in a beat at the network's input."""
    return graph.nodes[0].op.lanes[0] if graph.nodes else 1


def waiting_beats(traffic: Traffic) -> int:
    """Return the most beats that wait between producer and consumer at any cycle.

    A beat that is taken in the cycle in which it is given does not wait.
    """
    arrived = np.searchsorted(traffic.given, traffic.taken, side="left")
    return int((arrived - np.arange(len(traffic.taken))).max(initial=0))
