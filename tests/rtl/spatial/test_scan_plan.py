"""Windows in registers on random geometries: complete when they go out, no cycle lost."""

import math

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from hwgen.errors import IRError
from hwgen.ir import TensorType
from hwgen.numeric import CodeType
from hwgen.ops.sliding_window import SlidingWindow
from hwgen.rtl.spatial.geometry import Axis, Geometry
from hwgen.rtl.spatial.scan_plan import ScanPlan
from tests.ops.simulation import from_beats, simulate, to_beats
from tests.rtl.spatial.test_window_plan import axes, taps_in_order


def shifted_in(plan):
    """Pixel at each place of the sequence that is shifted in, -1 where there is none."""
    rows, columns = plan.geometry.rows, plan.geometry.columns
    line = plan.line_beats * plan.pixels
    places = np.full((plan.shifts + 1) * plan.pixels, -1)
    for row in range(rows.size):
        begin = row * line
        places[begin : begin + columns.size] = np.arange(columns.size) + row * columns.size
    return places


@given(axes(), axes(), st.integers(1, 4), st.integers(1, 3))
def test_taps_lie_at_fixed_distances(rows, columns, pixels, beats):
    """Every tap on the image is where the registers look for it when its window goes out."""
    geometry = Geometry(rows, columns)
    windows = pixels // math.gcd(pixels, columns.stride)
    assume(columns.size % pixels == 0 and columns.windows % windows == 0)
    assume(beats == 1 or pixels == 1)
    plan = ScanPlan(geometry, beats, pixels)
    takes, gives = plan.program
    assert len(takes) == plan.steps
    assert takes[0]
    assert takes.sum() * pixels == geometry.pixels
    assert gives.sum() * windows == geometry.windows * beats
    shift_of_step = np.cumsum(first_parts(gives, beats)) - 1
    given_at = shift_of_step[np.flatnonzero(gives)[::beats]]
    places, line = shifted_in(plan), plan.line_beats * pixels
    for k, pixel in enumerate(taps_in_order(geometry)):
        window, tap = divmod(k, geometry.taps)
        row, column = divmod(tap, columns.kernel)
        member = window % windows
        behind = (
            (rows.kernel - 1 - row) * rows.dilation * line
            + plan.lag
            + (windows - 1 - member) * columns.stride
            + (columns.kernel - 1 - column) * columns.dilation
        )
        newest = int(given_at[window // windows]) * pixels + pixels - 1
        if pixel >= 0:
            assert places[newest - behind] == pixel


def first_parts(gives, beats):
    """Which steps begin a shift: all that give nothing, and the first part of each window."""
    first = ~gives
    first[np.flatnonzero(gives)[::beats]] = True
    return first


@given(st.integers(8, 64), st.sampled_from([8, 16, 32]), st.sampled_from([3, 5]), st.booleans())
def test_a_cycle_a_beat(height, width, kernel, same):
    """All taps: the image's beats, and behind them what the last windows still wait for."""
    half = kernel // 2 if same else 0
    rows, columns = (Axis(n, kernel, 1, 1, half, half) for n in (height, width))
    for pixels in (1, 2, 4):
        plan = ScanPlan(Geometry(rows, columns), 1, pixels)
        last = height * width - 1 + half * width + half
        assert plan.steps == last // pixels + 1


@pytest.mark.parametrize("trial", range(16))
def test_hardware_on_random_geometries(rng, trial):
    """What the conformance cases do not reach: odd strides, dilations and borders together."""
    while True:
        draw = [int(v) for v in rng.integers(1, 4, 6)]
        padding = tuple(int(v) for v in rng.integers(0, 3, 4))
        size = (int(rng.integers(1, 8)), int(rng.integers(2, 9)), 2)
        kind = TensorType(size, CodeType(1, 6))
        op = SlidingWindow((draw[0], draw[1]), (draw[2], draw[3]), (draw[4], draw[5]), padding)
        try:
            op.infer(kind)
        except IRError:
            continue
        wide = [f for f in op.foldings(kind) if f.taps * f.pixels > 1]
        if wide:
            break
    op = wide[trial % len(wide)]
    out = op.infer(kind)
    frames = rng.integers(1, 7, (3, *size))
    beats = to_beats(frames, kind.codes, op.lanes[0])
    run = simulate(op.hardware(kind), beats, 3 * out.size // op.lanes[1], 0.2, 0.2, seed=trial)
    assert run.violations == []
    codes = from_beats(run.beats, out.codes, op.lanes[1])
    assert codes.tolist() == op.evaluate(frames).ravel().tolist()
