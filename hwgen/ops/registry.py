"""The vocabulary: every operator, one line each."""

from __future__ import annotations

from types import ModuleType

from hwgen.ir import Op
from hwgen.ops import (
    convert_lanes,
    elementwise,
    fifo,
    matvec,
    requantize,
    sliding_window,
    table,
    thresholds,
)

OPERATOR_MODULES: tuple[ModuleType, ...] = (
    matvec,
    requantize,
    thresholds,
    table,
    convert_lanes,
    fifo,
    sliding_window,
)

OPERATORS: dict[str, type[Op]] = {
    op.name: op
    for op in (
        matvec.MatVec,
        requantize.Requantize,
        thresholds.Thresholds,
        table.Table,
        convert_lanes.ConvertLanes,
        fifo.Fifo,
        sliding_window.SlidingWindow,
    )
}

# With what a pass removes before there is hardware: all that the text of a dump may hold.
IR_OPERATORS: dict[str, type[Op]] = {
    **OPERATORS,
    elementwise.Elementwise.name: elementwise.Elementwise,
}
