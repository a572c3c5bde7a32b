"""Where the roundings of float32 can decide between two codes.

A chain of factors and offsets with free scales meets the boundary between two codes almost nowhere
exactly. Closer to it than all roundings of float32 together, float32 may give either code; at such
a *near tie* an integer form may differ from the model's float execution, and nowhere else.

Source: N. Higham, Accuracy and Stability of Numerical Algorithms, 2nd ed., section 3.1
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from hwgen.numeric import Rounding
from hwgen.ops.float_steps import Add, Clip, Divide, Multiply, Quantize, Step, affine_lines

UNIT_ROUNDOFF = 2.0**-24  # of float32
NEAREST = frozenset(
    {Rounding.RND, Rounding.RND_CONV, Rounding.RND_ZERO, Rounding.RND_INF, Rounding.RND_MIN_INF}
)

Floats = npt.NDArray[np.float64]
Bools = npt.NDArray[np.bool_]


@dataclass(frozen=True, eq=False)
class ExactChain:
    """A chain as if nothing rounded: slope * real + offset, in output codes.

    Parameters
    ----------
    slope, offset : float64 [C or 1]
    reach : float64 [C or 1], the most that offsets contribute to intermediate results
    roundings : of float32 from real numbers to codes
    """

    slope: Floats
    offset: Floats
    reach: Floats
    roundings: int

    def channel(self, index: int) -> ExactChain:
        """Return the chain of one channel."""
        slope, offset, reach = (
            values[index : index + 1] if values.size > 1 else values
            for values in (self.slope, self.offset, self.reach)
        )
        return ExactChain(slope, offset, reach, self.roundings)

    def near_ties(self, terms: Sequence[npt.NDArray[np.floating]]) -> tuple[Bools, Floats]:
        """Return where the sum of `terms`, which broadcast, lies near a tie, and how near in codes.

        Parameters
        ----------
        terms : exact real numbers that the chain's input is the float32 sum of
        """
        with np.errstate(over="ignore", invalid="ignore"):  # infinity is near no tie
            exact: Floats = self.slope * sum(terms) + self.offset
            size = np.abs(self.slope) * sum(np.abs(term) for term in terms) + self.reach
            distance: Floats = np.abs(exact - np.floor(exact) - 0.5)
        return distance <= (self.roundings + len(terms)) * UNIT_ROUNDOFF * size, distance


def exact_chain(steps: Sequence[Step], quantizer: Quantize, channels: int) -> ExactChain | None:
    """Return the exact meaning of `steps` and `quantizer`; None where a step is another function.

    Clips are taken for wires, which they are between their bounds.
    """
    lines = affine_lines((1.0,), steps, channels, through_clips=True)
    if lines is None or quantizer.codes.bipolar or quantizer.rounding not in NEAREST:
        return None
    reach = np.zeros(channels)
    for step in steps:
        if isinstance(step, Add):
            reach = reach + np.abs(step.constant.astype(np.float64))
        elif isinstance(step, Multiply):
            reach = reach * np.abs(step.constant.astype(np.float64))
        elif isinstance(step, Divide):
            reach = reach / np.abs(step.constant.astype(np.float64))
    unit = quantizer.scale.astype(np.float64)
    try:
        with np.errstate(over="ignore", under="ignore"):
            slope, offset = (np.array([float(line[k]) for line in lines]) / unit for k in (0, 1))
    except OverflowError:
        return None  # float32 is infinite there
    # One rounding each of the product with the scale, the quotient, and the zero point's sum.
    roundings = 3 + sum(not isinstance(step, Clip) for step in steps)
    return ExactChain(slope, offset, reach / unit + abs(quantizer.zero_point), roundings)
