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


def stimulus(case: Case, frames: int, seed: int) -> tuple[list[Codes], list[list[int]]]:
    """Codes for each input of `case`, and the same as beats."""
    lanes = case.op.lanes[0]
    codes = [frames_of(kind, frames, seed + k) for k, kind in enumerate(case.inputs)]
    kinds = [kind.codes for kind in case.inputs]
    return codes, [to_beats(c, k, lanes) for c, k in zip(codes, kinds, strict=True)]


@pytest.mark.parametrize("case", labelled("CASES"))
def test_meaning(case: Case) -> None:
    """Evaluate equals loops over Python integers, and stays in the inferred intervals."""
    codes = [frames_of(kind, 40, seed=1 + k) for k, kind in enumerate(case.inputs)]
    result = case.op.evaluate(*codes)
    assert np.array_equal(result, naive(case.op, *codes))
    out = case.op.infer(*case.inputs)
    assert result.shape[1:] == out.shape
    for channel, interval in enumerate(out.per_channel()):
        assert interval.contains(result[..., channel])
    assert out.codes.contains(result)


@pytest.mark.parametrize("case", labelled("CASES"))
@pytest.mark.parametrize(("idle", "stall"), [(0.0, 0.0), (0.5, 0.0), (0.0, 0.5), (0.4, 0.4)])
def test_amaranth_simulation(case: Case, idle: float, stall: float) -> None:
    """The component gives the same codes and keeps the stream rules."""
    out, o_lanes = case.op.infer(*case.inputs), case.op.lanes[1]
    codes, beats = stimulus(case, FRAMES, seed=2)
    outputs, seed = FRAMES * out.size // o_lanes, len(beats[0])
    run = simulate(case.op.hardware(*case.inputs), beats, outputs, idle, stall, seed)
    assert run.violations == []
    expected = case.op.evaluate(*codes).ravel()
    assert from_beats(run.beats, out.codes, o_lanes).tolist() == expected.tolist()


@pytest.mark.parametrize("case", labelled("CASES"))
def test_cycles_are_as_promised(case: Case) -> None:
    """Measured latency of a lone frame and interval of many equal `cost()`."""
    out, cost = case.op.infer(*case.inputs), case.op.cost(*case.inputs)
    per_frame = out.size // case.op.lanes[1]
    _, beats = stimulus(case, FRAMES, seed=3)
    one = [feed[: len(feed) // FRAMES] for feed in beats]
    alone = simulate(case.op.hardware(*case.inputs), one, per_frame)
    assert alone.given_at[-1] - alone.taken_at[0] == cost.latency_cycles
    many = simulate(case.op.hardware(*case.inputs), beats, FRAMES * per_frame)
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
    for value in resources.as_dict().values():
        assert np.isfinite(value)
        assert value >= 0


def test_registry_is_complete() -> None:
    """Each operator module is in both lists, once."""
    assert len(OPERATOR_MODULES) == len(OPERATORS)
    for module in OPERATOR_MODULES:
        assert module.CASES
        assert module.REJECTS
        assert {type(case.op).name for case in module.CASES} <= set(OPERATORS)
