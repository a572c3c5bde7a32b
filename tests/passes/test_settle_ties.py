"""Expensive chains of free scales become a line that differs at float32's rounding ties only."""

from dataclasses import replace
from fractions import Fraction

import numpy as np
import pytest

from hwgen.errors import PassError
from hwgen.ir import Graph, Input, Node, TensorType
from hwgen.numeric import CodeType, Rounding
from hwgen.ops.elementwise import Elementwise
from hwgen.ops.float_steps import Add, Apply, Clip, Curve, Quantize, reals
from hwgen.ops.requantize import Requantize
from hwgen.passes import PASSES, SettleTies, run_passes
from hwgen.passes.float_differences import differences
from hwgen.passes.settle_ties import settled_line

WIDE = CodeType(-900_000, 900_000)
RELU = Clip(reals(0.0), reals(np.inf))
BYTE = Quantize(reals(0.0393935), 0, CodeType(0, 255), Rounding.RND_CONV)


def chain(rng, channels=8, steps=(RELU,), quantizer=BYTE):
    """A bias and what follows it, as behind a convolution with a scale a channel."""
    scale = rng.uniform(1e-5, 2e-5, channels).astype(np.float32).astype(np.float64)
    return Elementwise(scale, (Add(reals(rng.normal(size=channels))), *steps), quantizer)


def network(op, codes=WIDE):
    x = Input("x", TensorType((8,), codes))
    return Graph("net", (x,), (Node("act", op, ("x",), (0.0393935,)),), ("act",))


def test_it_is_cheaper_and_differs_at_ties_only(rng):
    """Checked with Python's fractions: every difference lies within 1e-4 of a boundary."""
    op = chain(rng)
    before = network(op)
    after = run_passes(before, [SettleTies()])
    done = after.nodes[0].op
    assert isinstance(done, Requantize)
    codes = np.arange(WIDE.lo, WIDE.hi + 1, dtype=np.int64)[:, None]
    count = 0
    for channel in range(8):
        frames = np.broadcast_to(codes, (len(codes), 8))
        wrong = codes[
            op.at(codes[:, 0], np.full(len(codes), channel)) != done.evaluate(frames)[:, channel], 0
        ]
        count += len(wrong)
        bias, scale = Fraction(float(op.steps[0].constant[channel])), Fraction(op.scale[channel])
        for code in wrong.tolist():
            exact = (scale * code + bias) / Fraction(float(BYTE.scale[0]))
            assert abs(exact - (exact.__floor__() + Fraction(1, 2))) < Fraction(1, 10_000)
    assert differences(op, done, before.inputs[0].type) == (count, 8 * len(codes))
    assert count > 0  # else the exact form would have been found


def test_all_passes_keep_the_line(rng):
    after = run_passes(network(chain(rng)), PASSES)
    assert [node.op.name for node in after.nodes] == ["requantize"]
    assert "codes differ from float32, each at a rounding tie" in after.nodes[0].why


@pytest.mark.parametrize(
    "op",
    [
        lambda rng: replace(chain(rng), steps=(Apply(Curve.SIGMOID),)),
        lambda rng: chain(rng, quantizer=replace(BYTE, codes=CodeType(0, 1))),
        lambda rng: chain(rng, quantizer=replace(BYTE, rounding=Rounding.TRN)),
        lambda rng: Elementwise(np.array([2.0**-16]), (RELU,), replace(BYTE, scale=reals(0.25))),
    ],
    ids=["a curve", "two codes", "floor", "powers of two"],
)
def test_left_alone(rng, op):
    assert settled_line(op(rng), TensorType((8,), CodeType(-5000, 5000))) is None


def test_a_line_that_is_wrong_elsewhere_is_noticed(rng):
    op, x = chain(rng), TensorType((8,), WIDE)
    done, _, _ = settled_line(op, x)
    with pytest.raises(PassError, match=r"^requantize differs from the chain at -?\d+, which is"):
        differences(op, replace(done, offset=done.offset + (1 << done.shift - 2)), x)
