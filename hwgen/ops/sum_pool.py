"""Sum pooling: average pooling without its division, which belongs to the function that follows.

A kernel as large as the image is global average pooling.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from amaranth import Value

from hwgen.ir import Codes, TensorType, expect, union
from hwgen.numeric import CodeType
from hwgen.ops.case import Case, Reject
from hwgen.ops.pooling import Pool
from hwgen.rtl.adder_tree import extend
from hwgen.rtl.dot.operand import number
from hwgen.rtl.spatial.geometry import Geometry
from hwgen.rtl.spatial.pooling import Combine


@dataclass(frozen=True, eq=False)
class SumPool(Pool):
    """Add the codes of each window; taps in the padding add nothing."""

    # what
    name: ClassVar[str] = "sum_pool"

    def infer(self, *inputs: TensorType) -> TensorType:
        """Sums of as many codes as a window has, fewer at the border."""
        (x,) = inputs
        geometry = self.geometry(x)
        most, least = _counts(geometry)
        each = tuple(_sums(codes, least, most) for codes in x.per_channel())
        whole = union(each)
        expect(whole.width <= 48, f"sums need {whole.width} bits, expected at most 48")
        return TensorType(self.pooled(x, geometry), whole, each)

    # meaning
    def evaluate(self, *codes: Codes) -> Codes:
        """Return the sum over the taps."""
        (x,) = codes
        return np.asarray(self.taps(x, 0).sum(axis=3), dtype=np.int64)

    # hardware
    def combine(self, inputs: CodeType, outputs: CodeType) -> Combine:
        """Add in the width of the result: a partial sum is never further from zero."""
        signed = inputs.lo < 0
        width = outputs.width

        def total(code: Value, so_far: Value | None) -> Value:
            wide = extend(number(code, inputs), signed, width)
            return wide if so_far is None else (wide + so_far)[:width]

        return total


def _counts(geometry: Geometry) -> tuple[int, int]:
    """Return the most and the fewest taps on the image that a window has."""
    counts = np.multiply.outer(
        geometry.rows.inside().sum(axis=1), geometry.columns.inside().sum(axis=1)
    )
    return int(counts.max()), int(counts.min())


def _sums(codes: CodeType, least: int, most: int) -> CodeType:
    low, high = codes.lo, codes.hi
    return CodeType(low * (most if low < 0 else least), high * (least if high < 0 else most))


def _cases() -> tuple[Case, ...]:
    image = TensorType((4, 6, 4), CodeType(-4, 3))
    each = TensorType((4, 4, 2), CodeType(-3, 9), (CodeType(3, 9), CodeType(-3, 2)))
    return (
        *(Case(SumPool((2, 2), (2, 2), pe=pe), (image,)) for pe in (1, 2, 4)),
        Case(SumPool((2, 2), (2, 2)), (TensorType((5, 7, 2), CodeType(0, 9)),)),
        Case(SumPool((2, 2), (2, 2), (1, 0, 1, 1), pe=2), (image,)),
        Case(SumPool((3, 2), (3, 4), (2, 1, 0, 1)), (TensorType((7, 6, 1), CodeType(-9, -2)),)),
        Case(SumPool((4, 6), (4, 6), pe=2), (image,)),
        Case(SumPool((4, 4), (4, 4)), (each,)),
        Case(SumPool((1, 3), (1, 3), pe=2), (TensorType((1, 9, 2), CodeType.binary()),)),
        Case(SumPool((2, 2), (2, 2)), (TensorType((2, 2, 1), CodeType(4, 9)),)),
        Case(SumPool((2, 4), (2, 4), pe=2, pixels=2), (TensorType((4, 8, 2), CodeType(-4, 3)),)),
        Case(SumPool((2, 1), (2, 2), pe=2, pixels=4), (TensorType((4, 8, 2), CodeType(-4, 3)),)),
        Case(SumPool((1, 1), (3, 2)), (TensorType((4, 4, 2), CodeType.binary()),)),
    )


CASES = _cases()
REJECTS = (
    Reject(
        SumPool((2, 2), (1, 2)),
        (TensorType((6, 6, 2), CodeType(0, 3)),),
        "windows overlap, stride (1, 2) is below kernel (2, 2); put sliding_window in front and "
        "reduce its windows",
    ),
    Reject(
        SumPool((7, 7), (7, 7)),
        (TensorType((6, 6, 2), CodeType(0, 3)),),
        "rows: the kernel reaches over 7, the padded image has 6",
    ),
)
