"""`restructure`: inline sums into the expressions that use them and tidy up what comes out.

Sums used once are inlined: they cost the same wherever the addition happens, and a longer list of
terms gives `eliminate` more patterns. Inlining shared sums as well undoes part of a solution.
"""

from __future__ import annotations

import numpy as np

from hwgen.adders.compiled import compiled
from hwgen.adders.expressions import (
    EXPRESSIONS,
    INPUTS,
    OUTPUTS,
    TERMS,
    Array,
    Expressions,
    describe,
    topological_order,
)


@compiled
def _merge_equal(node: Array, shift: Array, negative: Array, begin: int, end: int) -> int:
    """Make all (node, shift) of terms begin..end distinct; return the new end."""
    k = begin + 1
    while k < end:
        j = begin
        while j < k and not (node[j] == node[k] and shift[j] == shift[k]):
            j += 1
        if j == k:
            k += 1
            continue
        cancel = negative[j] != negative[k]
        shift[k] += 1  # t + t = 2t, looked at again
        # Closing the gap at j keeps the order of the others.
        for m in range(j, end - 1):
            node[m], shift[m], negative[m] = node[m + 1], shift[m + 1], negative[m + 1]
        end -= 1
        k -= 1
        if cancel:
            for m in range(k, end - 1):
                node[m], shift[m], negative[m] = (node[m + 1], shift[m + 1], negative[m + 1])
            end -= 1
        k = max(k, begin + 1)
    return end


@compiled
def _use_counts(pool: Expressions, order: Array) -> Array:
    uses = np.zeros(pool.size[EXPRESSIONS], dtype=np.int64)
    for e in order:
        for k in range(pool.start[e], pool.start[e] + pool.length[e]):
            below = pool.node[k] - pool.size[INPUTS]
            if below >= 0:
                uses[below] += 1
    return uses


@compiled
def _renumber(pool: Expressions, order: Array, kept: Array) -> Array:
    """Return the new place of each kept expression: outputs first, then operands first."""
    place = np.full(pool.size[EXPRESSIONS], -1, dtype=np.int64)
    outputs = pool.size[OUTPUTS]
    count = outputs
    for e in order:
        if e < outputs:
            place[e] = e
        elif kept[e]:
            place[e] = count
            count += 1
    return place


@compiled
def restructure(pool: Expressions, inline: Array, target: Expressions) -> bool:
    """Write `pool` into `target`, with the flagged and the once used sums inlined.

    Returns False when `target` has not enough room.
    """
    order = topological_order(pool)
    uses = _use_counts(pool, order)
    inputs, outputs = pool.size[INPUTS], pool.size[OUTPUTS]
    room = target.node.size
    node, shift, negative = target.node, target.shift, target.negative
    start, length = np.zeros_like(uses), np.zeros_like(uses)
    kept = np.zeros_like(uses)
    at = 0
    for e in order:
        start[e] = at
        for k in range(pool.start[e], pool.start[e] + pool.length[e]):
            below = pool.node[k] - inputs
            if below < 0 or (kept[below] and length[below] > 1):
                if at >= room:
                    return False
                node[at], shift[at], negative[at] = (pool.node[k], pool.shift[k], pool.negative[k])
                at += 1
                continue
            if at + length[below] > room:
                return False
            for j in range(start[below], start[below] + length[below]):
                node[at] = node[j]
                shift[at] = shift[j] + pool.shift[k]
                negative[at] = negative[j] ^ pool.negative[k]
                at += 1
        at = _merge_equal(node, shift, negative, start[e], at)
        length[e] = at - start[e]
        kept[e] = not inline[e] and (e < outputs or uses[e] > 1) and length[e] > 1
    _compact(pool, order, kept, start, length, target)
    return True


@compiled
def _compact(
    pool: Expressions, order: Array, kept: Array, start: Array, length: Array, target: Expressions
) -> None:
    """Close the gaps that inlined expressions leave and renumber."""
    inputs, outputs = pool.size[INPUTS], pool.size[OUTPUTS]
    place = _renumber(pool, order, kept)
    at = 0
    expressions = outputs
    for e in order:
        if place[e] < 0:
            continue
        new = place[e]
        expressions = max(expressions, new + 1)
        begin = at
        for k in range(start[e], start[e] + length[e]):
            source = target.node[k]
            target.node[at] = source if source < inputs else inputs + place[source - inputs]
            target.shift[at], target.negative[at] = target.shift[k], target.negative[k]
            at += 1
        target.start[new], target.length[new] = begin, length[e]
    target.size[:] = pool.size
    target.size[EXPRESSIONS], target.size[TERMS] = expressions, at
    target.level[:inputs], target.lo[:inputs], target.hi[:inputs] = (
        pool.level[:inputs], pool.lo[:inputs], pool.hi[:inputs],
    )  # fmt: skip
    target.form[:inputs] = pool.form[:inputs]
    target.low[:], target.high[:] = pool.low, pool.high
    for e in order:
        if place[e] >= 0:
            describe(target, place[e])
