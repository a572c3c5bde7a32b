"""`build_sums`: turn expressions into two-operand adders, the narrowest first, and count bits.

Wide terms are added late, as in a Huffman tree, because an adder is as wide as its result; terms
whose low bits do not overlap are cheap to add. So the cheapest pair among the few lowest terms is
taken, and how few is tried out for each expression. The depth bound is kept by looking only at
pairs after which the rest still fits, see `expressions`.
"""

from __future__ import annotations

import numpy as np

from hwgen.adders.compiled import compiled
from hwgen.adders.expressions import (
    INPUTS,
    OUTPUTS,
    TERMS,
    Array,
    Expressions,
    adder_bits,
    depth_limits,
    interval_of,
    interval_width,
    topological_order,
)

# Columns of the adder list: t = a + b * 2**shift, b subtracted, or a subtracted from b * 2**shift.
A, B, SHIFT, NEGATIVE_A, NEGATIVE_B = 0, 1, 2, 3, 4


# Among how many of the lowest terms a pair is sought.
_WINDOWS = (2, 3, 4, 6)


@compiled
def _cheapest_pair(
    terms: Array, count: int, lo: Array, hi: Array, level: Array, kraft: int, budget: int,
    window: int,
) -> int:  # fmt: skip
    """Return first << 32 | second of the cheapest pair of the first `window` terms, or -1."""
    best, best_cost = -1, 1 << 40
    for k in range(min(window, count)):
        for j in range(k + 1, min(window, count)):
            first, second = k, j
            if terms[k, 1] > terms[j, 1]:
                first, second = j, k
            a, b = terms[first, 0], terms[second, 0]
            gain = (2 << max(level[a], level[b])) - (1 << level[a]) - (1 << level[b])
            if kraft + gain > budget:
                continue
            shift = terms[second, 1] - terms[first, 1]
            if terms[first, 2] != terms[second, 2]:
                low, high = lo[a] - (hi[b] << shift), hi[a] - (lo[b] << shift)
            else:
                low, high = lo[a] + (lo[b] << shift), hi[a] + (hi[b] << shift)
            cost = adder_bits(lo[a], hi[a], lo[b], hi[b], shift, low, high, False)
            # First the bits, then the lower result, then the shallower one.
            top = interval_width(low, high) + terms[first, 1]
            cost = (cost << 16) + (top << 8) + max(level[a], level[b])
            if cost < best_cost:
                best, best_cost = (first << 32) | second, cost
    return best


@compiled
def _two_shallowest(terms: Array, count: int, level: Array) -> int:
    first, second = -1, -1
    for k in range(count):
        if first < 0 or level[terms[k, 0]] < level[terms[first, 0]]:
            first, second = k, first
        elif second < 0 or level[terms[k, 0]] < level[terms[second, 0]]:
            second = k
    if terms[first, 1] > terms[second, 1]:
        first, second = second, first
    return (first << 32) | second


@compiled
def _top(terms: Array, k: int, lo: Array, hi: Array) -> int:
    width: int = interval_width(lo[terms[k, 0]], hi[terms[k, 0]])
    return width + int(terms[k, 1])


@compiled
def _insert_sorted(terms: Array, count: int, lo: Array, hi: Array) -> None:
    """Move the last of `count` terms to its place by top bit."""
    node, shift, negative = (terms[count - 1, 0], terms[count - 1, 1], terms[count - 1, 2])
    top = _top(terms, count - 1, lo, hi)
    k = count - 1
    while k > 0 and _top(terms, k - 1, lo, hi) > top:
        terms[k, 0], terms[k, 1], terms[k, 2] = (
            terms[k - 1, 0], terms[k - 1, 1], terms[k - 1, 2],
        )  # fmt: skip
        k -= 1
    terms[k, 0], terms[k, 1], terms[k, 2] = node, shift, negative


@compiled
def _add(
    pool: Expressions, a: int, b: int, shift: int, opposite: int, node: int, adders: Array,
    form: Array, lo: Array, hi: Array, level: Array,
) -> int:  # fmt: skip
    """Write adder `node` = a +/- b * 2**shift; return its bits."""
    factor = -(1 << shift) if opposite else 1 << shift
    for i in range(form.shape[1]):
        form[node, i] = form[a, i] + factor * form[b, i]
    lo[node], hi[node] = interval_of(form[node], pool.low, pool.high)
    level[node] = max(level[a], level[b]) + 1
    row = adders[node]
    row[A], row[B], row[SHIFT], row[NEGATIVE_A], row[NEGATIVE_B] = (a, b, shift, 0, opposite)
    return adder_bits(lo[a], hi[a], lo[b], hi[b], shift, lo[node], hi[node], False)


@compiled
def _gather(pool: Expressions, e: int, refs: Array, terms: Array, lo: Array, hi: Array) -> int:
    """Write the terms of an expression, resolved to adder graph nodes, by top bit."""
    count = 0
    for k in range(pool.start[e], pool.start[e] + pool.length[e]):
        node, shift, negative = pool.node[k], pool.shift[k], pool.negative[k]
        if node >= pool.size[INPUTS]:
            ref = refs[node - pool.size[INPUTS]]
            if ref[0] < 0:
                continue
            node, shift, negative = ref[0], shift + ref[1], negative ^ ref[2]
        terms[count, 0], terms[count, 1], terms[count, 2] = node, shift, negative
        count += 1
        _insert_sorted(terms, count, lo, hi)
    return count


@compiled
def _sum_up(
    pool: Expressions, terms: Array, count: int, limit: int, window: int, node: int,
    adders: Array, form: Array, lo: Array, hi: Array, level: Array,
) -> int:  # fmt: skip
    """Add `terms` up, from adder `node` on, until the first is their sum; return the bits."""
    bits = 0
    kraft = 0
    for k in range(count):
        kraft += 1 << level[terms[k, 0]]
    while count > 1:
        pair = _cheapest_pair(terms, count, lo, hi, level, kraft, 1 << limit, window)
        if pair < 0:
            pair = _two_shallowest(terms, count, level)
        first, second = pair >> 32, pair & 0xFFFFFFFF
        a, b = terms[first, 0], terms[second, 0]
        shift, opposite = (terms[second, 1] - terms[first, 1], terms[first, 2] ^ terms[second, 2])
        bits += _add(pool, a, b, shift, opposite, node, adders, form, lo, hi, level)
        kraft += (1 << level[node]) - (1 << level[a]) - (1 << level[b])
        sum_shift, sum_negative = terms[first, 1], terms[first, 2]
        at = 0
        for k in range(count):
            if k not in (first, second):
                terms[at, 0], terms[at, 1], terms[at, 2] = (terms[k, 0], terms[k, 1], terms[k, 2])
                at += 1
        terms[at, 0], terms[at, 1], terms[at, 2] = node, sum_shift, sum_negative
        count -= 1
        node += 1
        _insert_sorted(terms, count, lo, hi)
    return bits


@compiled
def build_sums(
    pool: Expressions, bounds: Array, adders: Array, refs: Array, form: Array,
    lo: Array, hi: Array, level: Array,
) -> int:  # fmt: skip
    """Write the adders of all expressions; return their bits, negations of outputs included.

    Parameters
    ----------
    pool : what to build
    bounds : depth of each output
    adders : [nodes, 5], filled from the number of inputs on; row 0 of it holds the node count
    refs : [expressions, 3] node, shift and sign of each expression; node -1 for zero
    form, lo, hi, level : of each node of the adder graph, filled
    """
    inputs, outputs = pool.size[INPUTS], pool.size[OUTPUTS]
    limits = depth_limits(pool, bounds)
    for i in range(inputs):
        form[i, :] = pool.form[i]
        lo[i], hi[i], level[i] = pool.lo[i], pool.hi[i], pool.level[i]
    node = inputs
    bits = 0
    terms = np.empty((pool.size[TERMS] + 1, 3), dtype=np.int64)
    for e in topological_order(pool):
        count = _gather(pool, e, refs, terms, lo, hi)
        if count == 0:
            refs[e, 0], refs[e, 1], refs[e, 2] = -1, 0, 0
            continue
        positive = count > terms[:count, 2].sum()
        best, best_bits = 0, 1 << 40
        given = terms[:count].copy()
        for window in _WINDOWS:
            if window > count + 1:
                continue  # no other pairs than before
            terms[:count] = given
            cost = _sum_up(pool, terms, count, limits[e], window, node, adders, form, lo, hi, level)
            if cost < best_bits:
                best, best_bits = window, cost
        terms[:count] = given
        bits += _sum_up(pool, terms, count, limits[e], best, node, adders, form, lo, hi, level)
        node += count - 1
        refs[e] = terms[0]
        if e < outputs and terms[0, 2] and not positive:
            # With a positive term, a subtraction can be turned round; here it takes a negation.
            bits += interval_width(lo[terms[0, 0]], hi[terms[0, 0]])
    adders[0, 0] = node
    return bits
