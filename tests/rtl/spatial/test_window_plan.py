"""The line buffer's program on random geometries: complete, in time, nothing overwritten."""

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from hwgen.errors import IRError
from hwgen.ir import TensorType
from hwgen.numeric import CodeType
from hwgen.ops.sliding_window import SlidingWindow
from hwgen.rtl.spatial.geometry import Axis, Geometry
from hwgen.rtl.spatial.window_plan import WindowPlan
from tests.ops.simulation import from_beats, simulate, to_beats


@st.composite
def axes(draw):
    axis = Axis(
        size=draw(st.integers(1, 9)),
        kernel=draw(st.integers(1, 4)),
        stride=draw(st.integers(1, 4)),
        dilation=draw(st.integers(1, 3)),
        before=draw(st.integers(0, 4)),
        after=draw(st.integers(0, 4)),
    )
    try:
        axis.check("axis")
    except IRError:
        assume(False)
    return axis


def taps_in_order(geometry):
    """Pixel of each tap in the order in which windows give them, -1 in the padding."""
    pixels = []
    for rows in geometry.rows.taps().tolist():
        for columns in geometry.columns.taps().tolist():
            for row in rows:
                for column in columns:
                    inside = 0 <= row < geometry.rows.size and 0 <= column < geometry.columns.size
                    pixels.append(row * geometry.columns.size + column if inside else -1)
    return pixels


@given(axes(), axes(), st.integers(1, 3))
def test_program(rows, columns, groups):
    """Every beat is in the buffer before its taps are given, and stays until the last of them."""
    geometry = Geometry(rows, columns)
    plan = WindowPlan(geometry, groups)
    takes, gives = plan.program
    assert takes.sum() == geometry.pixels * groups
    assert gives.sum() == geometry.windows * geometry.taps * groups
    assert takes[0]
    taken_at, given_at = np.flatnonzero(takes), np.flatnonzero(gives)
    depth = plan.depth_pixels * groups
    for k, pixel in enumerate(taps_in_order(geometry)):
        if pixel < 0:
            continue
        for group in range(groups):
            beat, now = pixel * groups + group, given_at[k * groups + group]
            assert taken_at[beat] < now
            if beat + depth < len(taken_at):
                assert now < taken_at[beat + depth]


@given(st.integers(8, 64), st.integers(8, 64), st.sampled_from([(3, 1), (5, 1), (3, 2), (5, 2)]))
def test_only_the_head_costs_cycles(height, width, shape):
    """Same-padded kernels lose the first row of windows' head, and nothing per row of windows."""
    kernel, stride = shape
    half = kernel // 2
    geometry = Geometry(
        Axis(height, kernel, stride, 1, half, half), Axis(width, kernel, stride, 1, half, half)
    )
    plan = WindowPlan(geometry, 2)
    steps = len(plan.program[0])
    assert steps == 2 * (plan.head_pixels + geometry.windows * geometry.taps)
    if stride == 1:
        assert plan.depth_pixels <= kernel * max(width, 2 * kernel)


@pytest.mark.parametrize("trial", range(12))
def test_hardware_on_random_geometries(rng, trial):
    """What the conformance cases do not reach: odd strides, dilations and borders together."""
    while True:
        draw = [int(v) for v in rng.integers(1, 4, 6)]
        padding = tuple(int(v) for v in rng.integers(0, 3, 4))
        op = SlidingWindow((draw[0], draw[1]), (draw[2], draw[3]), (draw[4], draw[5]), padding)
        size = (int(rng.integers(1, 8)), int(rng.integers(1, 8)), 2)
        kind = TensorType(size, CodeType(1, 6))
        try:
            out = op.infer(kind)
        except IRError:
            continue
        break
    frames = rng.integers(1, 7, (3, *size))
    beats = to_beats(frames, kind.codes, 1)
    run = simulate(op.hardware(kind), beats, 3 * out.size, 0.2, 0.2, seed=trial)
    assert run.violations == []
    assert from_beats(run.beats, out.codes, 1).tolist() == op.evaluate(frames).ravel().tolist()
