"""`Schedule`: which cycles of a frame take an input beat and which give an output beat.

Operators promise a schedule; `mapping` predicts the network's cycles from it and the conformance
tests measure it in simulation.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Cycles = npt.NDArray[np.int64]

FAR = np.iinfo(np.int64).max // 4  # a cycle beyond all others


@dataclass(frozen=True, eq=False)
class Schedule:
    """One frame of an operator that is never stalled.

    Parameters
    ----------
    takes : bool per step; true where the step needs an input beat
    gives : bool per step; true where the step leads to an output beat
    depth : pipeline registers between a step and its output transfer, in cycles
    joins : of an operator with several inputs, what `takes` is for each further input
    """

    takes: npt.NDArray[np.bool_]
    gives: npt.NDArray[np.bool_]
    depth: int
    joins: tuple[npt.NDArray[np.bool_], ...] = ()

    @classmethod
    def lockstep(cls, beats: int, depth: int) -> Schedule:
        """Every beat in leads to a beat out, `depth` cycles later."""
        every = np.ones(beats, dtype=bool)
        return cls(every, every, depth)

    @property
    def interval_cycles(self) -> int:
        """Cycles between two frames at full rate."""
        return len(self.takes)

    @property
    def latency_cycles(self) -> int:
        """Cycles from the first input transfer to the last output transfer of a lone frame."""
        return int(np.flatnonzero(self.gives)[-1]) + self.depth

    @property
    def inputs(self) -> tuple[npt.NDArray[np.bool_], ...]:
        """Which steps take a beat, for each input."""
        return (self.takes, *self.joins)

    def earliest(self, arrivals: Sequence[Cycles], room: Cycles | None = None) -> Cycles:
        """Return the earliest cycle of each step of consecutive frames.

        Steps happen in order, at most one a cycle, a taking step not before its beats are there.

        Parameters
        ----------
        arrivals : of each input the cycles of its beats, ascending; a whole number of frames
        room : of each output transfer the first cycle in which there is room for it
        """
        frames = len(arrivals[0]) // int(self.takes.sum())
        order = np.arange(frames * len(self.takes), dtype=np.int64)
        bound = np.full(len(order), -FAR, dtype=np.int64)
        for takes, at in zip(self.inputs, arrivals, strict=True):
            taking = np.tile(takes, frames)
            bound[taking] = np.maximum(bound[taking], at)
        if room is not None:
            giving = np.tile(self.gives, frames)
            bound[giving] = np.maximum(bound[giving], room - self.depth)
        return order + np.maximum.accumulate(bound - order)

    def latest(self, deadlines: Cycles, earliest: Cycles) -> Cycles:
        """Return the latest cycle of each step.

        Parameters
        ----------
        deadlines : of each output transfer, ascending
        earliest : of each step; those behind the last output have no deadline and stay there
        """
        frames = len(deadlines) // int(self.gives.sum())
        order = np.arange(frames * len(self.gives), dtype=np.int64)
        bound = np.full(len(order), FAR, dtype=np.int64)
        bound[np.tile(self.gives, frames)] = deadlines - self.depth
        behind = np.flatnonzero(bound < FAR)[-1] + 1
        bound[behind:] = np.maximum(
            earliest[behind:], bound[behind - 1] + order[: len(order) - behind] + 1
        )
        return order + np.minimum.accumulate((bound - order)[::-1])[::-1]

    def taken(self, steps: Cycles) -> tuple[Cycles, ...]:
        """Return the cycle of each input transfer among `steps`, for each input."""
        frames = len(steps) // len(self.takes)
        return tuple(steps[np.tile(takes, frames)] for takes in self.inputs)

    def given(self, steps: Cycles) -> Cycles:
        """Return the cycle of each output transfer that `steps` lead to."""
        return steps[np.tile(self.gives, len(steps) // len(self.gives))] + self.depth
