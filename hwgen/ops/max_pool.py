"""Max pooling: the largest code of each window, channel by channel."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from amaranth import Mux, Value

from hwgen.ir import Codes, TensorType
from hwgen.numeric import CodeType
from hwgen.ops.case import Case, Reject
from hwgen.ops.pooling import Pool
from hwgen.rtl.spatial.pooling import Combine


@dataclass(frozen=True, eq=False)
class MaxPool(Pool):
    """Keep the largest; taps in the padding do not take part (they count as minus infinity)."""

    # what
    name: ClassVar[str] = "max_pool"

    def infer(self, *inputs: TensorType) -> TensorType:
        """Codes stay what they are."""
        (x,) = inputs
        return TensorType(self.pooled(x, self.geometry(x)), x.codes, x.channel_codes)

    # meaning
    def evaluate(self, *codes: Codes) -> Codes:
        """Return the maximum over the taps."""
        (x,) = codes
        return np.asarray(self.taps(x, np.iinfo(np.int64).min).max(axis=3), dtype=np.int64)

    # hardware
    def combine(self, inputs: CodeType, outputs: CodeType) -> Combine:
        """Keep the larger."""
        return larger_of(inputs)


def larger_of(codes: CodeType) -> Combine:
    """Return the larger of two `codes`; of bits that mean -1 and +1, or 0 and 1, it is the OR."""

    def larger(code: Value, so_far: Value | None) -> Value:
        if so_far is None:
            return code
        if codes.width == 1 and not codes.signed:
            return code | so_far
        a, b = (code.as_signed(), so_far.as_signed()) if codes.signed else (code, so_far)
        return Mux(a > b, code, so_far)

    return larger


def _cases() -> tuple[Case, ...]:
    image = TensorType((4, 6, 4), CodeType(-4, 3))
    each = TensorType((4, 4, 2), CodeType(-3, 9), (CodeType(3, 9), CodeType(-3, 2)))
    bits = TensorType((4, 4, 2), CodeType.binary())
    return (
        *(Case(MaxPool((2, 2), (2, 2), pe=pe), (image,)) for pe in (1, 2, 4)),
        Case(MaxPool((2, 2), (2, 2)), (TensorType((5, 7, 2), CodeType(0, 9)),)),
        Case(MaxPool((2, 2), (2, 2), (1, 0, 1, 1), pe=2), (image,)),
        Case(MaxPool((3, 2), (3, 4), (2, 1, 0, 1)), (TensorType((7, 6, 1), CodeType(-9, -2)),)),
        Case(MaxPool((1, 4), (1, 4)), (TensorType((1, 8, 3), CodeType(0, 200)),)),
        Case(MaxPool((4, 4), (4, 4), pe=2), (each,)),
        Case(MaxPool((2, 2), (2, 2), pe=2), (bits,)),
        Case(MaxPool((1, 1), (2, 2), pe=2), (bits,)),
        Case(MaxPool((2, 2), (2, 2), pe=2, pixels=2), (bits,)),
        *(
            Case(MaxPool((2, 2), (2, 2), pe=2, pixels=m), (TensorType((5, 8, 2), CodeType(-4, 3)),))
            for m in (2, 4, 8)
        ),
        Case(MaxPool((3, 4), (3, 6), pe=1, pixels=2), (TensorType((4, 10, 1), CodeType(-9, 9)),)),
        Case(MaxPool((2, 2), (2, 2)), (TensorType((2, 4, 1), CodeType(-1, 0)),)),
    )


CASES = _cases()
REJECTS = (
    Reject(
        MaxPool((3, 3), (2, 2)),
        (TensorType((6, 6, 2), CodeType(0, 3)),),
        "windows overlap, stride (2, 2) is below kernel (3, 3); put sliding_window in front and "
        "reduce its windows",
    ),
    Reject(
        MaxPool((2, 2), (2, 2), pe=3),
        (TensorType((6, 6, 2), CodeType(0, 3)),),
        "pe is 3, expected a divisor of 2 channels",
    ),
    Reject(
        MaxPool((2, 2), (2, 2), pe=2, pixels=3),
        (TensorType((6, 6, 2), CodeType(0, 3)),),
        "pixels is 3, expected one of [1, 2, 6]",
    ),
    Reject(
        MaxPool((2, 2), (2, 2), pixels=2),
        (TensorType((6, 6, 2), CodeType(0, 3)),),
        "pixels is 2 with pe 1, expected pe 2: all channels",
    ),
    Reject(
        MaxPool((2, 2), (2, 2), (2, 0, 0, 0)),
        (TensorType((6, 6, 2), CodeType(0, 3)),),
        "rows: padding 2, 0 makes a window of padding alone; expected less than 2",
    ),
)
