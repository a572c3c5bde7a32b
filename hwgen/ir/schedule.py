"""`Schedule`: which cycles of a frame take an input beat and which give an output beat.

Operators promise a schedule; `mapping` predicts the network's cycles from it and the conformance
tests measure it in simulation.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt


@dataclass(frozen=True, eq=False)
class Schedule:
    """One frame of an operator that is never stalled.

    Parameters
    ----------
    takes : bool per step; true where the step needs an input beat
    gives : bool per step; true where the step leads to an output beat
    depth : pipeline registers between a step and its output transfer, in cycles
    """

    takes: npt.NDArray[np.bool_]
    gives: npt.NDArray[np.bool_]
    depth: int

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

    def steps(self, arrivals: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
        """Return the cycle of each step of consecutive frames, given that of each beat's offer.

        Steps happen in order, at most one a cycle, a taking step not before its beat is there.

        Parameters
        ----------
        arrivals : cycles, ascending; a whole number of frames
        """
        frames = len(arrivals) // int(self.takes.sum())
        order = np.arange(frames * len(self.takes), dtype=np.int64)
        earliest = np.full(len(order), np.iinfo(np.int64).min // 2, dtype=np.int64)
        earliest[np.tile(self.takes, frames)] = arrivals
        return order + np.maximum.accumulate(earliest - order)

    def taken(self, steps: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
        """Return the cycle of each input transfer among `steps`."""
        return steps[np.tile(self.takes, len(steps) // len(self.takes))]

    def given(self, steps: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
        """Return the cycle of each output transfer that `steps` lead to."""
        return steps[np.tile(self.gives, len(steps) // len(self.gives))] + self.depth
