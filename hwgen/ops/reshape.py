"""Reshape: the same codes in the same order under another shape; flatten is the common one.

Images stream channels innermost, so flattening gives (row, column, channel) order; weights behind
it must be permuted at compile time where a model flattens in another order.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import ClassVar

from hwgen.cost import Resources
from hwgen.ir import Codes, Op, Schedule, TensorType, expect
from hwgen.numeric import CodeType
from hwgen.ops.case import Case, Reject, vector
from hwgen.ops.lane_choices import lane_choices
from hwgen.ops.lane_parallel import lockstep
from hwgen.rtl.stream.component import StreamComponent
from hwgen.rtl.stream.wire import Wire


@dataclass(frozen=True, eq=False)
class Reshape(Op):
    """Rename the axes of a frame.

    Parameters
    ----------
    shape : of the result
    pe : codes a beat, a divisor of the codes in a frame
    """

    # what
    name: ClassVar[str] = "reshape"
    shape: tuple[int, ...]
    pe: int = 1

    def infer(self, *inputs: TensorType) -> TensorType:
        """Codes stay; intervals of channels stay where pixels become one vector."""
        (x,) = inputs
        expect(
            math.prod(self.shape) == x.size,
            f"shape {list(self.shape)} does not hold the {x.size} codes of {list(x.shape)}",
        )
        out = TensorType(self.shape, x.codes)
        expect(
            self.pe > 0 and x.size % self.pe == 0,
            f"pe is {self.pe}, expected a divisor of the {x.size} codes of a frame",
        )
        if x.channel_codes is None or out.channels % x.channels:
            return out
        return TensorType(self.shape, x.codes, x.channel_codes * (out.channels // x.channels))

    # meaning
    def evaluate(self, *codes: Codes) -> Codes:
        """Return the codes."""
        (x,) = codes
        return x.reshape(len(x), *self.shape)

    # promise
    @property
    def lanes(self) -> tuple[int, int]:
        """Codes in an input beat and in an output beat."""
        return self.pe, self.pe

    def schedule(self, *inputs: TensorType) -> Schedule:
        """A beat a cycle, in the cycle it comes."""
        return lockstep(inputs[0], self.pe, 0)

    def interval_cycles(self, *inputs: TensorType) -> int:
        """A beat a cycle."""
        return inputs[0].size // self.pe

    def foldings(self, *inputs: TensorType) -> tuple[Reshape, ...]:
        """Beats that fit what stands before or what stands behind."""
        (x,) = inputs
        fitting = {*lane_choices(x), *lane_choices(self.infer(x))}
        return tuple(replace(self, pe=pe) for pe in sorted(fitting) if x.size % pe == 0)

    def resources(self, *inputs: TensorType) -> Resources:
        """Nothing: it is a wire."""
        return Resources()

    # hardware
    def hardware(self, *inputs: TensorType) -> StreamComponent:
        """Return a wire."""
        return Wire(inputs[0].codes, self.pe)


def _cases() -> tuple[Case, ...]:
    each = TensorType((2, 2, 2), CodeType(-3, 9), (CodeType(3, 9), CodeType(-3, 2)))
    return (
        Case(Reshape((24,), 4), (TensorType((2, 3, 4), CodeType(-4, 3)),)),
        Case(Reshape((1, 12, 1)), (vector(12, 0, 9),)),
        Case(Reshape((2, 3, 2), 2), (TensorType((3, 4), CodeType.binary()),)),
        Case(Reshape((8,)), (each,)),
        Case(Reshape((24,), 12), (TensorType((2, 3, 4), CodeType(-4, 3)),)),
    )


CASES = _cases()
REJECTS = (
    Reject(Reshape((5,)), (vector(6, 0, 9),), "shape [5] does not hold the 6 codes of [6]"),
    Reject(
        Reshape((3, 2), 4),
        (vector(6, 0, 9),),
        "pe is 4, expected a divisor of the 6 codes of a frame",
    ),
)
