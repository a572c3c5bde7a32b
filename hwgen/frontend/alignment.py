"""Bring values with different scales to a common one, exactly: by integer factors.

Used by `joins.py` and `concatenation.py`.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction

import numpy as np

from hwgen.errors import FrontendError
from hwgen.frontend.network import Network
from hwgen.frontend.settle import JOIN_BITS
from hwgen.frontend.site import Site
from hwgen.numeric import CodeType, Rounding
from hwgen.ops.requantize import Requantize

MAX_MULTIPLIER = 1 << 16


@dataclass(frozen=True)
class Term:
    """One flow of a join: a value, and its scales as exact numbers."""

    value: str
    scales: tuple[Fraction, ...]


def term_of(network: Network, value: str) -> Term:
    """Return `value` with its scales."""
    return Term(value, tuple(map(Fraction, network.scales[value])))


def even(site: Site, network: Network, value: str) -> str:
    """Return a value with the same numbers as `value` and one scale for all channels."""
    return evened(site, network, term_of(network, value)).value


def evened(site: Site, network: Network, term: Term) -> Term:
    """Return `term` with one scale for all its channels."""
    if len(set(term.scales)) == 1:
        return Term(term.value, term.scales[:1])
    common = common_measure(term.scales)
    multipliers = [int(s / common) for s in term.scales]
    expect_small(multipliers, term.scales)
    return Term(scaled(site, network, term.value, multipliers, (common,)), (common,))


def common_measure(numbers: Sequence[Fraction]) -> Fraction:
    """Return the largest number of which all of `numbers` are multiples."""
    denominator = math.lcm(*(n.denominator for n in numbers))
    return Fraction(math.gcd(*(int(n * denominator) for n in numbers)), denominator)


def expect_small(multipliers: Sequence[int], scales: Sequence[Fraction]) -> None:
    """Refuse multipliers that no small integers are."""
    if max(multipliers) > MAX_MULTIPLIER:
        shown = ", ".join(f"{float(scale):g}" for scale in list(dict.fromkeys(scales))[:4])
        raise FrontendError(
            f"expected scales in the proportion of integers up to {MAX_MULTIPLIER}, got {shown}; "
            "give both the same scale, or scales that are powers of two"
        )


def scaled(
    site: Site, network: Network, value: str, multipliers: Sequence[int], scale: Sequence[Fraction]
) -> str:
    """Multiply codes, so that they count in `scale`, one or one a channel."""
    x = network.types[value]
    factors = np.array(multipliers, dtype=np.int64)
    ends = [codes * m for m in multipliers for codes in (x.codes.lo, x.codes.hi)]
    interval = CodeType(min(ends), max(ends))
    if interval.width > JOIN_BITS:
        raise FrontendError(
            f"type too wide: expected codes of {JOIN_BITS} bits on a common scale, got "
            f"{interval.width}; put a Quant before the node"
        )
    op = Requantize(factors, np.zeros(1, dtype=np.int64), 0, Rounding.TRN, interval)
    return network.emit(site, op, [value], tuple(map(float, scale)), "aligned")
