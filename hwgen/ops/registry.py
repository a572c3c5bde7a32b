"""The vocabulary: every operator, one line each."""

from __future__ import annotations

from types import ModuleType

from hwgen.ir import Op
from hwgen.ops import (
    add,
    argmax,
    border_offset,
    concat,
    convert_lanes,
    depth_to_space,
    depthwise,
    elementwise,
    fifo,
    matvec,
    matvec_threshold,
    max_pool,
    pad,
    requantize,
    reshape,
    slice,
    sliding_window,
    sum_pool,
    table,
    thresholds,
    top_k,
    upsample,
    window_max,
)

OPERATOR_MODULES: tuple[ModuleType, ...] = (
    matvec,
    matvec_threshold,
    requantize,
    thresholds,
    table,
    convert_lanes,
    fifo,
    sliding_window,
    border_offset,
    depthwise,
    window_max,
    max_pool,
    sum_pool,
    pad,
    slice,
    upsample,
    depth_to_space,
    reshape,
    add,
    concat,
    argmax,
    top_k,
)

OPERATORS: dict[str, type[Op]] = {
    op.name: op
    for op in (
        matvec.MatVec,
        matvec_threshold.MatVecThreshold,
        requantize.Requantize,
        thresholds.Thresholds,
        table.Table,
        convert_lanes.ConvertLanes,
        fifo.Fifo,
        sliding_window.SlidingWindow,
        border_offset.BorderOffset,
        depthwise.Depthwise,
        window_max.WindowMax,
        max_pool.MaxPool,
        sum_pool.SumPool,
        pad.Pad,
        slice.Slice,
        upsample.Upsample,
        depth_to_space.DepthToSpace,
        reshape.Reshape,
        add.Add,
        concat.Concat,
        argmax.ArgMax,
        top_k.TopK,
    )
}

# With what a pass removes before there is hardware: all that the text of a dump may hold.
IR_OPERATORS: dict[str, type[Op]] = {
    **OPERATORS,
    elementwise.Elementwise.name: elementwise.Elementwise,
}
