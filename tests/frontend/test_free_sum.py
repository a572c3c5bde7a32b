"""Sums of two tensors whose scales have no common measure, held to float32 on every pair."""

import numpy as np
import onnx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hwgen.errors import FrontendError
from hwgen.frontend import load_model
from hwgen.frontend.explain import explain
from hwgen.frontend.free_sum import fitted, pairs_of
from hwgen.numeric import CodeType, Rounding
from hwgen.ops.float_steps import Clip, Quantize, reals
from tests.frontend.equality import integer_outputs, kinds
from tests.frontend.models import grid_frames
from tests.frontend.qdq_models import Linear, QdqBuilder, onnxruntime_outputs

BYTE = CodeType(-128, 127)
RELU = Clip(reals(0.0), reals(np.inf))


def quantizer(scale, zero=0):
    return Quantize(reals(scale), 0, CodeType(-128 - zero, 127 - zero), Rounding.RND_CONV)


def naive(a, b, scales, signs, scale, zero, relu):
    """NumPy float32, one pair of codes after the other."""
    total = np.float32(np.float32(a) * np.float32(scales[0])) * np.float32(signs[0])
    total = np.float32(total + np.float32(signs[1]) * np.float32(b * np.float32(scales[1])))
    total = max(total, np.float32(0)) if relu else total
    code = int(np.rint(np.float32(total / np.float32(scale)))) + zero
    return min(max(code, -128), 127) - zero


@settings(max_examples=10)
@given(
    seed=st.integers(0, 2**32 - 1),
    logs=st.tuples(*[st.floats(-5, 1)] * 3),
    zero=st.integers(-128, 127),
    sign=st.sampled_from([1, -1]),
    relu=st.booleans(),
)
def test_every_pair_of_codes(seed, logs, zero, sign, relu):
    scales = tuple(float(np.float32(2.0**e)) for e in logs[:2])
    scale, steps = float(np.float32(2.0 ** logs[2])), (RELU,) if relu else ()
    pairs = pairs_of((BYTE, BYTE), scales, (1, sign), steps, quantizer(scale, zero))
    found = fitted(pairs)
    assert found is not None
    a, b = np.arange(-128, 128)[:, None], np.arange(-128, 128)[None, :]
    total = found.multipliers[0] * a + found.multipliers[1] * b + found.offset
    given = np.clip(total >> found.shift, found.codes.lo, found.codes.hi)
    rng = np.random.default_rng(seed)
    for i, j in rng.integers(0, 256, (40, 2)):
        wanted = naive(a[i, 0], b[0, j], scales, (1, sign), scale, zero, relu)
        assert pairs.codes[i, j] == wanted
    wrong = given != pairs.codes
    assert wrong.sum() == found.differences
    assert pairs.near_tie[wrong].all()
    assert found.differences <= pairs.near_tie.sum()


def test_differences_are_counted_and_lie_at_ties():
    """0.1 a + 0.3 b in steps of 0.2 meets ties that float32 breaks either way."""
    scales = (float(np.float32(0.1)), float(np.float32(0.3)))
    pairs = pairs_of((BYTE, BYTE), scales, (1, 1), (), quantizer(0.2))
    found = fitted(pairs)
    assert found is not None
    assert 0 < found.differences < found.pairs
    assert (pairs.distance[pairs.near_tie] < 1e-4).all()
    # Where the exact value is not near a tie, exact arithmetic in Python's fractions agrees.
    a, b = np.arange(-128, 128)[:, None], np.arange(-128, 128)[None, :]
    exact = np.rint((scales[0] * a + scales[1] * b) / float(np.float32(0.2)))
    clipped = np.clip(exact, -128, 127)
    assert (clipped == pairs.codes)[~pairs.near_tie].all()


def test_the_smallest_shift_is_taken():
    """Scales in the proportion 3 : 5 : 8 need three bits, not more."""
    pairs = pairs_of((CodeType(0, 3), CodeType(0, 3)), (3.0, 5.0), (1, 1), (), quantizer(8.0))
    found = fitted(pairs)
    assert found is not None
    assert (found.differences, found.shift <= 3) == (0, True)


def residual(rng, scales, activation="Relu"):
    b = QdqBuilder(("N", 6))
    x = b.pair("x", Linear(0.25, 3))
    left, right = (
        b.pair(b.node("MatMul", x, b.integers(rng.integers(-99, 99, (6, 5)), 2.0**-6)), linear)
        for linear in (Linear(scales[0], 4), Linear(scales[1], -11))
    )
    y = b.node("Add", left, right, name="sum1")
    y = b.node(activation, y, name="act") if activation else y
    return b, y


def test_residual_of_free_scales(rng, tmp_path):
    b, y = residual(rng, (0.0391127, 0.0713541))
    model = b.model(b.pair(y, Linear(0.0562398, -128), name="act2"))
    frames = grid_frames(rng, (6,), 60)
    outputs = integer_outputs(model, frames).astype(np.float32)
    assert np.array_equal(outputs, onnxruntime_outputs(model, frames))
    assert kinds(load_model(model))[-2:] == ["add", "requantize"]
    onnx.save(model, tmp_path / "net.onnx")
    row = next(row for row in explain(tmp_path / "net.onnx").rows if row.node == "act2")
    assert row.becomes == (
        "add sum1, requantize act2, equal to float32 on all 65536 pairs of codes"
    )


def test_a_curve_behind_a_free_sum_is_refused(rng):
    b, y = residual(rng, (0.0391, 0.0713), "Sigmoid")
    with pytest.raises(FrontendError) as caught:
        load_model(b.model(b.pair(y, Linear(0.0562, -128))))
    assert "got another function; put a quantizer right after the sum" in str(caught.value)


def test_a_free_sum_needs_a_quantizer(rng):
    b, y = residual(rng, (0.0391, 0.0713), "")
    w = b.integers(rng.integers(-7, 8, (5, 2)))
    with pytest.raises(FrontendError) as caught:
        load_model(b.model(b.node("MatMul", y, w, name="fc")))
    assert (
        "node 'fc' (MatMul): expected a quantizer after the sum of tensors with different scales"
    ) in str(caught.value)
