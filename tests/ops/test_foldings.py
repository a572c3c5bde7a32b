"""Every choice of beats that an operator offers fits, and its cycles are those of its schedule."""

from __future__ import annotations

import numpy as np
import pytest

from hwgen.errors import IRError
from hwgen.ir import TensorType
from hwgen.numeric import CodeType
from hwgen.ops.case import Case
from hwgen.ops.lane_choices import MOST_PIXELS
from hwgen.ops.matvec import MatVec
from hwgen.ops.max_pool import MaxPool
from hwgen.ops.sliding_window import SlidingWindow
from hwgen.ops.thresholds import Thresholds
from tests.ops.test_conformance import labelled


@pytest.mark.parametrize("case", labelled("CASES"))
def test_all_fit(case: Case) -> None:
    """Same result, whole beats, and the cycles without the steps."""
    (kind, *_), out = case.inputs, case.op.infer(*case.inputs)
    offered = case.op.foldings(*case.inputs)
    assert len({(*op.lanes, getattr(op, "simd", 0)) for op in offered}) == len(offered)
    for op in (case.op, *offered):
        schedule = op.schedule(*case.inputs)
        assert op.infer(*case.inputs) == out
        assert op.interval_cycles(*case.inputs) == schedule.interval_cycles
        assert schedule.takes.sum() * op.lanes[0] == kind.size
        assert schedule.gives.sum() * op.lanes[1] == out.size


def fields(ops: tuple, *names: str) -> list[tuple[int, ...]]:
    return [tuple(getattr(op, name) for name in names) for op in ops]


def test_what_is_offered() -> None:
    """As the operators' docstrings say."""
    image = TensorType((6, 12, 4), CodeType(0, 3))
    window = SlidingWindow((3, 3), padding=(1, 1, 1, 1)).foldings(image)
    assert fields(window, "pe", "taps", "pixels") == [
        (1, 1, 1),
        (2, 1, 1),
        (4, 1, 1),
        (4, 3, 1),
        (4, 9, 1),
        (4, 9, 2),
        (4, 9, 3),
        (4, 9, 4),
        (4, 9, 6),
    ]
    # Ten windows a row: three or four of them do not make up a row.
    valid = SlidingWindow((3, 3)).foldings(image)
    assert fields(valid, "pixels")[-2:] == [(1,), (2,)]
    product = MatVec(np.ones((2, 4), dtype=np.int64)).foldings(image)
    assert fields(product, "pe", "simd", "pixels")[5:] == [
        (2, 4, m) for m in (1, 2, 3, 4, 6) if m <= MOST_PIXELS
    ]
    functions = Thresholds(np.array([[1]]), np.array([0]), CodeType(0, 1)).foldings(image)
    assert fields(functions, "pe") == [(1,), (2,), (4,), (8,), (12,), (16,), (24,)]
    pool = MaxPool((2, 2), (2, 2)).foldings(image)
    assert fields(pool, "pe", "pixels") == [(1, 1), (2, 1), (4, 1), (4, 2), (4, 4), (4, 6)]


def test_several_pixels_need_rows() -> None:
    """A vector holds one pixel."""
    vector = TensorType((4,), CodeType(0, 3))
    op = Thresholds(np.array([[1]]), np.array([0]), CodeType(0, 1), pe=8)
    with pytest.raises(IRError, match=r"4 times one of \[1\] pixels"):
        op.infer(vector)
