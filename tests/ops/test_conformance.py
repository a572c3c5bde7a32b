"""Every case of every operator: meaning, ranges, hardware, cycles, text form, refusals."""

from __future__ import annotations

import numpy as np
import pytest

from hwgen.errors import IRError
from hwgen.ir import Codes, TensorType
from hwgen.ops.case import Case, Reject
from hwgen.ops.registry import OPERATOR_MODULES, OPERATORS
from tests.ops.naive import naive
from tests.ops.simulation import from_beats, simulate, to_beats

FRAMES = 4


def labelled(attribute: str) -> list:
    return [
        pytest.param(entry, id=f"{module.__name__.rsplit('.', 1)[1]}-{k}")
        for module in OPERATOR_MODULES
        for k, entry in enumerate(getattr(module, attribute))
    ]


def frames_of(kind: TensorType, frames: int, seed: int) -> Codes:
    """Random codes, with a frame of all-lowest and one of all-highest in front."""
    rng = np.random.default_rng(seed)
    low = np.array([c.lo for c in kind.per_channel()])
    high = np.array([c.hi for c in kind.per_channel()])
    codes = rng.integers(low, high + 1, (frames, *kind.shape))
    codes[0], codes[1] = low, high
    return np.where(codes == 0, 1, codes) if kind.codes.bipolar else codes


@pytest.mark.parametrize("case", labelled("CASES"))
def test_meaning(case: Case) -> None:
    """Evaluate equals loops over Python integers, and stays in the inferred intervals."""
    (kind,) = case.inputs
    codes = frames_of(kind, 40, seed=1)
    result = case.op.evaluate(codes)
    assert np.array_equal(result, naive(case.op, codes))
    out = case.op.infer(kind)
    assert result.shape[1:] == out.shape
    for channel, interval in enumerate(out.per_channel()):
        assert interval.contains(result[..., channel])
    assert out.codes.contains(result)


@pytest.mark.parametrize("case", labelled("CASES"))
@pytest.mark.parametrize(("idle", "stall"), [(0.0, 0.0), (0.5, 0.0), (0.0, 0.5), (0.4, 0.4)])
def test_amaranth_simulation(case: Case, idle: float, stall: float) -> None:
    """The component gives the same codes and keeps the stream rules."""
    (kind,) = case.inputs
    out = case.op.infer(kind)
    codes = frames_of(kind, FRAMES, seed=2)
    i_lanes, o_lanes = case.op.lanes
    beats = to_beats(codes, kind.codes, i_lanes)
    run = simulate(
        case.op.hardware(kind), beats, FRAMES * out.size // o_lanes, idle, stall, seed=len(beats)
    )
    assert run.violations == []
    expected = case.op.evaluate(codes).ravel()
    assert from_beats(run.beats, out.codes, o_lanes).tolist() == expected.tolist()


@pytest.mark.parametrize("case", labelled("CASES"))
def test_cycles_are_as_promised(case: Case) -> None:
    """Measured latency of a lone frame and interval of many equal `cost()`."""
    (kind,) = case.inputs
    out, cost = case.op.infer(kind), case.op.cost(kind)
    i_lanes, o_lanes = case.op.lanes
    beats = to_beats(frames_of(kind, FRAMES, seed=3), kind.codes, i_lanes)
    per_frame = out.size // o_lanes
    alone = simulate(case.op.hardware(kind), beats[: kind.size // i_lanes], per_frame)
    assert alone.given_at[-1] - alone.taken_at[0] == cost.latency_cycles
    many = simulate(case.op.hardware(kind), beats, FRAMES * per_frame)
    assert many.given_at[-1] - many.given_at[-1 - per_frame] == cost.interval_cycles
    assert many.given_at[-1] - many.given_at[-1 - 2 * per_frame] == 2 * cost.interval_cycles


@pytest.mark.parametrize("reject", labelled("REJECTS"))
def test_refusals(reject: Reject) -> None:
    """Bad parameters are refused with the text the operator's file states."""
    with pytest.raises(IRError) as caught:
        reject.op.infer(*reject.inputs)
    assert str(caught.value) == reject.error


@pytest.mark.parametrize("case", labelled("CASES"))
def test_cost_is_sane(case: Case) -> None:
    """Predictions exist, are finite and not negative."""
    resources = case.op.cost(*case.inputs).resources
    for value in (resources.lut, resources.ff, resources.dsp, resources.bram36):
        assert np.isfinite(value)
        assert value >= 0


def test_registry_is_complete() -> None:
    """Each operator module is in both lists, once."""
    assert len(OPERATOR_MODULES) == len(OPERATORS)
    for module in OPERATOR_MODULES:
        assert module.CASES
        assert module.REJECTS
        assert {type(case.op).name for case in module.CASES} <= set(OPERATORS)
