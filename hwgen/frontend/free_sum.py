"""The quantized sum of two values whose scales have no small common measure: a residual of QDQ.

round((s0 * a + s1 * b) / s) on finitely many pairs of codes is found as
clip((m0 * a + m1 * b + offset) >> shift): an `add` and a `requantize`. The model's own float32
arithmetic is tried on every pair, and the smallest multipliers that reproduce it are taken. Where
float32 rounds a sum onto or over the boundary between two codes, no integers may do so on every
pair; then they do on all others, the graph is the reference, and a note says how many pairs differ.

Source: Jacob et al., Quantization and Training of Neural Networks for Efficient
Integer-Arithmetic-Only Inference, arXiv 1712.05877 (the form)
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt
from onnx import NodeProto

from hwgen.errors import FrontendError
from hwgen.frontend.flow import Flow
from hwgen.frontend.network import Network
from hwgen.frontend.site import Site
from hwgen.ir import Codes
from hwgen.numeric import CodeType, Rounding
from hwgen.numeric.signed_digits import count_digits, roundest
from hwgen.ops.add import Add
from hwgen.ops.float_steps import Quantize, Step
from hwgen.ops.float_ties import exact_chain
from hwgen.ops.requantize import Requantize

MAX_SHIFT = 30
LIMIT = 2.0**50  # products and sums stay far inside int64
HARDEST = 1024  # pairs that are tried before all are

Bools = npt.NDArray[np.bool_]


@dataclass(frozen=True)
class FreeSum:
    """clip((m0 * a + m1 * b + offset) >> shift), and on how many pairs float32 gives another code.

    Parameters
    ----------
    multipliers, offset, shift, codes : of the form
    differences, pairs : counts
    """

    multipliers: tuple[int, int]
    offset: int
    shift: int
    codes: CodeType
    differences: int
    pairs: int


@dataclass(frozen=True, eq=False)
class Pairs:
    """All pairs of codes and what the model's float32 arithmetic makes of them.

    Parameters
    ----------
    a, b : codes [A, 1] and [1, B]
    codes : int64 [A, B], the result
    near_tie : bool [A, B], whether the exact result lies so close to the boundary between two codes
        that the roundings of float32 can decide
    distance : float64 [A, B], from that boundary, in output codes
    ratios : real value of code 1 of each input, in output codes, with its sign
    """

    a: Codes
    b: Codes
    codes: Codes
    near_tie: Bools
    distance: npt.NDArray[np.float64]
    ratios: tuple[float, float]


def pairs_of(
    kinds: tuple[CodeType, CodeType],
    scales: tuple[float, float],
    signs: tuple[int, int],
    steps: tuple[Step, ...],
    quantizer: Quantize,
) -> Pairs:
    """Execute the sum, the steps behind it and the quantizer in float32 on every pair.

    Raises
    ------
    FrontendError : when the steps are more than factors, offsets and clips, equal for all channels
    """
    chain = exact_chain(steps, quantizer, 1)
    if chain is None:
        raise FrontendError(
            "expected only Add, Mul, Div, Relu and Clip between a sum of tensors with different "
            "scales and its quantizer, got another function; put a quantizer right after the sum"
        )
    a, b = kinds[0].codes()[:, None], kinds[1].codes()[None, :]
    zero = np.zeros(1, dtype=np.int64)
    with np.errstate(over="ignore", under="ignore", invalid="ignore"):
        left, right = (
            (codes * scale).astype(np.float32) for codes, scale in ((a, scales[0]), (b, scales[1]))
        )
        real = signs[0] * left + signs[1] * right
        for step in steps:
            real = step.apply(real, zero)
        if np.isnan(real).any():
            raise FrontendError("a reachable sum gives NaN, which no quantizer can map")
        results = np.broadcast_to(quantizer.quantize(real, zero), (a.size, b.size))
    near, distance = chain.near_ties([signs[0] * scales[0] * a, signs[1] * scales[1] * b])
    slope = float(chain.slope[0])
    ratios = (signs[0] * slope * scales[0], signs[1] * slope * scales[1])
    return Pairs(a, b, results, near, distance, ratios)


def fitted(pairs: Pairs) -> FreeSum | None:
    """Return the form with the fewest bits that equals all pairs, or else all but near ties."""
    every = np.ones(pairs.codes.shape, dtype=bool)
    for wanted in (every, ~pairs.near_tie):
        found = _smallest(pairs, wanted)
        if found is not None:
            return found
    return None


def _smallest(pairs: Pairs, wanted: Bools) -> FreeSum | None:
    order = np.argsort(np.where(wanted, pairs.distance, np.inf), axis=None)[:HARDEST]
    at = np.unravel_index(order, wanted.shape)
    hardest = _Bounds(pairs.a[at[0], 0], pairs.b[0, at[1]], pairs, pairs.codes[at], wanted[at])
    whole = _Bounds(pairs.a, pairs.b, pairs, pairs.codes, wanted)
    reach = sum(
        abs(ratio) * float(np.abs(codes).max())
        for ratio, codes in zip(pairs.ratios, (pairs.a, pairs.b), strict=True)
    )
    for shift in range(MAX_SHIFT + 1):
        if not reach * 2.0**shift < LIMIT:
            return None
        feasible = [
            (m0, m1)
            for m0 in _near(pairs.ratios[0], shift)
            for m1 in _near(pairs.ratios[1], shift)
            if hardest.offset(m0, m1, shift) is not None and whole.offset(m0, m1, shift) is not None
        ]
        if feasible:
            m0, m1 = min(feasible, key=lambda pair: int(count_digits(np.array(pair)).sum()))
            offset = whole.offset(m0, m1, shift)
            assert offset is not None
            return _form(pairs, (m0, m1), offset, shift)
    return None


def _near(ratio: float, shift: int) -> list[int]:
    """Return the integers other than 0 next to ratio * 2**shift."""
    middle = int(ratio * (1 << shift))
    return [m for m in range(middle - 2, middle + 3) if m and (m > 0) == (ratio > 0)]


@dataclass(frozen=True, eq=False)
class _Bounds:
    """What pairs ask of the offset."""

    a: Codes
    b: Codes
    pairs: Pairs
    codes: Codes
    wanted: Bools

    def offset(self, m0: int, m1: int, shift: int) -> int | None:
        """Return the roundest offset that gives every wanted pair its code, None without one."""
        product = m0 * self.a + m1 * self.b
        low, high = int(self.pairs.codes.min()), int(self.pairs.codes.max())
        from_below = self.wanted & (self.codes > low)
        from_above = self.wanted & (self.codes < high)
        far = 1 << 60
        lower = np.where(from_below, (self.codes << shift) - product, -far).max()
        upper = np.where(from_above, (self.codes + 1 << shift) - 1 - product, far).min()
        return roundest(int(lower), int(upper)) if lower <= upper else None


def _form(pairs: Pairs, multipliers: tuple[int, int], offset: int, shift: int) -> FreeSum:
    codes = CodeType.of(pairs.codes)
    scaled = multipliers[0] * pairs.a + multipliers[1] * pairs.b + offset
    given = np.clip(scaled >> shift, codes.lo, codes.hi)
    differences = given != pairs.codes
    if (differences & ~pairs.near_tie).any():
        raise FrontendError("an integer sum differs from float32 where nothing is near a tie")
    return FreeSum(multipliers, offset, shift, codes, int(differences.sum()), int(pairs.codes.size))


def quantized_sum(site: Site, network: Network, flow: Flow, quantizer: Quantize) -> str:
    """Return the value with the codes of a sum behind `quantizer`; emits add and requantize."""
    assert flow.summands is not None
    first, second = flow.summands.values
    if quantizer.codes.bipolar or quantizer.scale.size > 1 or quantizer.zero_point:
        raise FrontendError(
            "expected one scale and no zero point in the quantizer of a sum of tensors with "
            "different scales; quantize the sum per tensor"
        )
    pairs = pairs_of(
        (network.types[first].codes, network.types[second].codes),
        (network.scales[first][0], network.scales[second][0]),
        flow.summands.signs,
        flow.steps,
        quantizer,
    )
    found = fitted(pairs)
    if found is None:
        raise FrontendError(
            f"expected scales that {MAX_SHIFT} bits can tell apart in a sum, got "
            f"{network.scales[first][0]:g} and {network.scales[second][0]:g}; give both one scale"
        )
    scale = float(quantizer.scale[0])
    sources = (*flow.pending, site.node.name)
    op = Add(np.array(found.multipliers, dtype=np.int64))
    join = replace(site, node=NodeProto(name=flow.source, op_type="Add"))
    total = network.emit(join, op, [first, second], (scale / 2.0**found.shift,))
    one = np.ones(1, dtype=np.int64)
    final = Requantize(one, np.array([found.offset]), found.shift, Rounding.TRN, found.codes)
    name = network.emit(site, final, [total], (scale,), sources=sources)
    network.notes[name] = _note(found)
    return name


def _note(found: FreeSum) -> str:
    if not found.differences:
        return f"equal to float32 on all {found.pairs} pairs of codes"
    return (
        f"{found.differences} of {found.pairs} pairs of codes differ from float32, each at a "
        "rounding tie"
    )
