"""`Expressions`: sums of shifted, signed terms that share other sums; what the search works on.

Node n is an input for n < inputs, and otherwise the sum that expression n - inputs lists. The
first `outputs` expressions are the rows of the matrix, the others are sums that several
expressions use. Terms are flat arrays; an expression owns `length` of them from `start`. The
arrays are oversized and the kernels, compiled by numba where it is there, work in place.

Depth: a sum of terms at levels l1, l2, ... can be built within d levels of adders of r operands
exactly when sum(r**l) <= r**d (Kraft), so `level` and the depth bound need no tree.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from hwgen.adders.compiled import compiled

Array = npt.NDArray[np.int64]

# Places in `Expressions.size`.
EXPRESSIONS, TERMS, INPUTS, OUTPUTS, RESULTS, OPERANDS = 0, 1, 2, 3, 4, 5
MAX_DEPTH = 34  # 3**level stays far inside an int64

# SHARES[r, l] = r**l: what a node at level l takes of a sum of adders of r operands.
SHARES = np.zeros((4, MAX_DEPTH + 4), dtype=np.int64)
for _operands in (2, 3):
    SHARES[_operands] = [_operands**_level for _level in range(MAX_DEPTH + 4)]


class Expressions(NamedTuple):
    """All sums of one matrix.

    Parameters
    ----------
    size : counts of expressions, used terms, inputs, outputs and of those among them, the first,
        that must not come out negative; operands an adder may have
    start, length : first term and number of terms of each expression
    node, shift, negative : the terms
    level, lo, hi : of each node; depth in adders and exact interval
    form : [nodes, columns], each node as an integer combination of the columns of the matrix
    low, high : interval of each column; the inputs are the columns, or sums of them in a part
    bits : of the adders of each expression, as `build_sums` has found last
    """

    size: Array
    start: Array
    length: Array
    node: Array
    shift: Array
    negative: Array
    level: Array
    lo: Array
    hi: Array
    form: Array
    low: Array
    high: Array
    bits: Array


def allocate(columns: int, outputs: int, nodes: int, terms: int, operands: int = 2) -> Expressions:
    """Return empty expressions with room for `nodes` nodes and `terms` terms."""

    def room(count: int) -> Array:
        return np.zeros(count, dtype=np.int64)

    size = np.array([0, 0, columns, outputs, outputs, operands], dtype=np.int64)
    form = np.zeros((nodes, columns), dtype=np.int64)
    per_term = (room(terms), room(terms), room(terms))
    per_node = (room(nodes), room(nodes), room(nodes))
    ends = (room(columns), room(columns))
    return Expressions(
        size, room(nodes), room(nodes), *per_term, *per_node, form, *ends, room(nodes)
    )


@compiled
def interval_width(lo: int, hi: int) -> int:
    """Bits of the interval lo..hi; 0 for the interval 0..0."""
    magnitude = max(hi, -lo - 1)
    bits = 0
    # By halves: the search spends most of its time here.
    for half in (32, 16, 8, 4, 2, 1):
        if magnitude >> half:
            magnitude >>= half
            bits += half
    bits += magnitude
    return bits + 1 if lo < 0 else bits


@compiled
def _reaches(lo: int, hi: int, place: int) -> bool:
    """Whether an operand has a bit at `place` or above; below its own place none counts."""
    return lo < 0 or hi >> max(place, 0) > 0


@compiled
def adder_bits(
    lo_a: int, hi_a: int, lo_b: int, hi_b: int, shift_b: int, negative_b: int,
    lo_c: int, hi_c: int, shift_c: int, negative_c: int, lo: int, hi: int,
) -> int:  # fmt: skip
    """Bits of the adder that makes lo..hi of a, b and c; see `graph.Adder.bits`.

    A missing operand has the interval 0..0. The shifts are 0 <= shift_b <= shift_c, and a is not
    negative.
    """
    total = interval_width(lo, hi)
    start = total
    if (lo_b != 0 or hi_b != 0) and (negative_b or _reaches(lo_a, hi_a, shift_b)):
        start = shift_b
    elif lo_c != 0 or hi_c != 0:
        above_b = _reaches(lo_b, hi_b, shift_c - shift_b)
        if negative_c or above_b or _reaches(lo_a, hi_a, shift_c):
            start = shift_c
    return max(total - start, 0)


@compiled
def level_for(share: int, operands: int) -> int:
    """Smallest level at which adders of so many operands can sum up terms with this share."""
    level = 0
    while SHARES[operands, level] < share:
        level += 1
    return level


@compiled
def describe(pool: Expressions, expression: int) -> None:
    """Compute form, interval and level of an expression from its terms and the inputs."""
    inputs = pool.size[INPUTS]
    target = inputs + expression
    form = pool.form[target]
    form[:] = 0
    shares = SHARES[pool.size[OPERANDS]]
    total = 0
    begin = pool.start[expression]
    for k in range(begin, begin + pool.length[expression]):
        source = pool.node[k]
        factor = 1 << pool.shift[k]
        if pool.negative[k]:
            factor = -factor
        total += shares[pool.level[source]]
        for i in range(form.size):
            form[i] += factor * pool.form[source, i]
    pool.level[target] = level_for(total, pool.size[OPERANDS])
    pool.lo[target], pool.hi[target] = interval_of(form, pool.low, pool.high)


@compiled
def interval_of(form: Array, low: Array, high: Array) -> tuple[int, int]:
    """Return the exact interval of a combination of columns with these intervals."""
    lo, hi = 0, 0
    for i in range(form.size):
        factor = form[i]
        if factor > 0:
            lo += factor * low[i]
            hi += factor * high[i]
        elif factor < 0:
            lo += factor * high[i]
            hi += factor * low[i]
    return lo, hi


@compiled
def topological_order(pool: Expressions) -> Array:
    """Return the expressions that outputs need, operands first."""
    inputs = pool.size[INPUTS]
    count = pool.size[EXPRESSIONS]
    position = np.full(count, -1, dtype=np.int64)  # next term to look at; -1 not yet seen
    stack = np.empty(count + 1, dtype=np.int64)
    order = np.empty(count, dtype=np.int64)
    found = 0
    for root in range(pool.size[OUTPUTS]):
        if position[root] >= 0:
            continue
        stack[0] = root
        position[root] = 0
        height = 1
        while height > 0:
            expression = stack[height - 1]
            k = position[expression]
            if k == pool.length[expression]:
                order[found] = expression
                found += 1
                height -= 1
                continue
            position[expression] = k + 1
            below = pool.node[pool.start[expression] + k] - inputs
            if below >= 0 and position[below] < 0:
                position[below] = 0
                stack[height] = below
                height += 1
    return order[:found].copy()


@compiled
def depth_limits(pool: Expressions, bounds: Array) -> Array:
    """Return how deep each expression may become: its level where others count on it.

    Parameters
    ----------
    bounds : of each output
    """
    count = pool.size[EXPRESSIONS]
    limits = pool.level[pool.size[INPUTS] : pool.size[INPUTS] + count].copy()
    limits[: pool.size[OUTPUTS]] = bounds[: pool.size[OUTPUTS]]
    for e in range(count):
        for k in range(pool.start[e], pool.start[e] + pool.length[e]):
            below = pool.node[k] - pool.size[INPUTS]
            if below >= 0:
                limits[below] = pool.level[pool.node[k]]
    return limits
