"""`eliminate`: replace two-term patterns that occur more than once by a shared sum.

A pattern is (node a, node b, shift of b against a, sign of b against a), found at any shift and
sign in any expression. The one that saves most bits of adders is taken first. Replacing a pattern
only lowers the counts of others, except of those with the new node, which are all known at
once; so a heap with lazy updates and a table of the patterns that occur twice or more suffice.

Source: Hartley, Subexpression sharing in filters using canonic signed digit multipliers, IEEE
Trans. CAS-II 43(10), 1996; Potkonjak et al., Multiple constant multiplications, IEEE TCAD 15(2),
1996.
"""

from __future__ import annotations

import heapq
from typing import NamedTuple

import numpy as np

from hwgen.adders.compiled import compiled
from hwgen.adders.expressions import (
    EXPRESSIONS,
    INPUTS,
    OPERANDS,
    SHARES,
    TERMS,
    Array,
    Expressions,
    adder_bits,
    depth_limits,
    describe,
)
from hwgen.adders.pattern_table import (
    PatternTable,
    count_of,
    decrease,
    insert,
    new_table,
    with_room,
)


@compiled
def pattern_key(
    node_a: int, shift_a: int, negative_a: int, node_b: int, shift_b: int, negative_b: int
) -> int:
    """Return one number for the pattern; the operand with the lower shift comes first."""
    if shift_a > shift_b or (shift_a == shift_b and node_a > node_b):
        node_a, node_b = node_b, node_a
        shift_a, shift_b = shift_b, shift_a
    nodes = (node_a << 20) | node_b
    return (nodes << 7) | ((shift_b - shift_a) << 1) | (negative_a ^ negative_b)


@compiled
def _score(
    pool: Expressions, key: int, count: int, weight: Array, noise: float, seed: int
) -> float:
    a = key >> 27
    b = (key >> 7) & 0xFFFFF
    shift = (key >> 1) & 63
    if key & 1:
        lo = pool.lo[a] - (pool.hi[b] << shift)
        hi = pool.hi[a] - (pool.lo[b] << shift)
    else:
        lo = pool.lo[a] + (pool.lo[b] << shift)
        hi = pool.hi[a] + (pool.hi[b] << shift)
    bits = adder_bits(
        pool.lo[a], pool.hi[a], pool.lo[b], pool.hi[b], shift, key & 1, 0, 0, 0, 0, lo, hi
    )
    mixed = (key ^ seed) & 0x7FFFFFFF
    mixed = (mixed * 1103515245 + (key >> 31) + 12345) & 0x7FFFFFFF
    mixed = ((mixed ^ (mixed >> 15)) * 48271) & 0x7FFFFFFF
    score: float = (count - 1) * weight[bits] * (1.0 + noise * (mixed / 2147483648.0))
    return score


@compiled
def _find(
    pool: Expressions, e: int, key: int, budget: Array, kraft: Array, taken: Array, mark: int
) -> int:
    """Return positions (first << 32 | second) of an occurrence with no term marked, or -1."""
    a, b, shift = key >> 27, (key >> 7) & 0xFFFFF, (key >> 1) & 63
    level_a, level_b = pool.level[a], pool.level[b]
    shares = SHARES[pool.size[OPERANDS]]
    gain = shares[max(level_a, level_b) + 1] - shares[level_a] - shares[level_b]
    if kraft[e] + gain > budget[e]:
        return -1
    begin, end = pool.start[e], pool.start[e] + pool.length[e]
    for k in range(begin, end):
        if pool.node[k] != a or taken[k] == mark:
            continue
        for j in range(begin, end):
            if (
                pool.node[j] == b
                and j != k
                and pool.shift[j] - pool.shift[k] == shift
                and pool.negative[j] ^ pool.negative[k] == key & 1
                and taken[j] != mark
            ):
                return (k << 32) | j
    return -1


@compiled
def _replace(
    pool: Expressions, e: int, first: int, second: int, new: int, table: PatternTable
) -> None:
    """Put `new` where `first` was and drop `second`; other patterns of both lose a count."""
    begin, last = pool.start[e], pool.start[e] + pool.length[e] - 1
    for k in range(begin, last + 1):
        if k in (first, second):
            continue
        for gone in (first, second):
            key = pattern_key(
                pool.node[k], pool.shift[k], pool.negative[k],
                pool.node[gone], pool.shift[gone], pool.negative[gone],
            )  # fmt: skip
            decrease(table, key)
    pool.node[first] = new
    pool.node[second] = pool.node[last]
    pool.shift[second] = pool.shift[last]
    pool.negative[second] = pool.negative[last]
    pool.length[e] -= 1


@compiled
def _append(pool: Expressions, key: int) -> int:
    """Append the expression a + b * 2**shift of a pattern; return its node."""
    e, at = pool.size[EXPRESSIONS], pool.size[TERMS]
    pool.start[e], pool.length[e] = at, 2
    pool.node[at], pool.shift[at], pool.negative[at] = key >> 27, 0, 0
    pool.node[at + 1] = (key >> 7) & 0xFFFFF
    pool.shift[at + 1] = (key >> 1) & 63
    pool.negative[at + 1] = key & 1
    pool.size[EXPRESSIONS] = e + 1
    pool.size[TERMS] = at + 2
    describe(pool, e)
    new: int = pool.size[INPUTS] + e
    return new


@compiled
def _new_patterns(pool: Expressions, touched: Array, new: int) -> Array:
    """Return the patterns that contain `new`, sorted, each as often as it occurs."""
    room = 0
    for e in touched:
        room += pool.length[e] * pool.length[e]
    keys = np.empty(room, dtype=np.int64)
    count = 0
    for e in touched:
        begin, end = pool.start[e], pool.start[e] + pool.length[e]
        for k in range(begin, end):
            if pool.node[k] != new:
                continue
            for j in range(begin, end):
                if j == k or (pool.node[j] == new and j < k):
                    continue
                keys[count] = pattern_key(
                    pool.node[k], pool.shift[k], pool.negative[k],
                    pool.node[j], pool.shift[j], pool.negative[j],
                )  # fmt: skip
                count += 1
    found = keys[:count]
    found.sort()
    return found


class Index(NamedTuple):
    """For each node, the expressions it was in: `length` entries of `items` from `start` on."""

    start: Array
    length: Array
    items: Array
    used: Array


@compiled
def index_of(pool: Expressions, room: int) -> Index:
    """Return the index of all nodes, with room for so many new ones; entries may repeat."""
    nodes = pool.size[INPUTS] + pool.size[EXPRESSIONS] + room
    start, length = np.zeros(nodes, dtype=np.int64), np.zeros(nodes, dtype=np.int64)
    items = np.empty(pool.size[TERMS] + 3 * room + 1, dtype=np.int64)
    for k in range(pool.size[TERMS]):
        length[pool.node[k]] += 1
    at = 0
    for node in range(start.size):
        start[node] = at
        at += length[node]
        length[node] = 0
    for e in range(pool.size[EXPRESSIONS]):
        for k in range(pool.start[e], pool.start[e] + pool.length[e]):
            node = pool.node[k]
            last = start[node] + length[node] - 1
            if length[node] and items[last] == e:
                continue
            items[last + 1] = e
            length[node] += 1
    return Index(start, length, items, np.array([at]))


@compiled
def _candidates(index: Index, key: int) -> Array:
    """Return expressions among which are all that have both operands of the pattern."""
    a, b = key >> 27, (key >> 7) & 0xFFFFF
    node = a if index.length[a] <= index.length[b] else b
    return index.items[index.start[node] : index.start[node] + index.length[node]]


@compiled
def _note(index: Index, node: int, touched: Array) -> None:
    """Enter a new node."""
    begin = index.used[0]
    index.start[node], index.length[node] = begin, touched.size
    index.items[begin : begin + touched.size] = touched
    index.used[0] = begin + touched.size


@compiled
def _occurrences(
    pool: Expressions, index: Index, key: int, budget: Array, kraft: Array, taken: Array, mark: int
) -> int:
    count = 0
    for e in _candidates(index, key):
        while True:
            place = _find(pool, e, key, budget, kraft, taken, mark)
            if place < 0:
                break
            taken[place >> 32] = mark
            taken[place & 0xFFFFFFFF] = mark
            count += 1
    return count


@compiled
def _enter(
    pool: Expressions,
    keys: Array,
    table: PatternTable,
    heap: list[tuple[float, int]],
    weight: Array,
    noise: float,
    seed: int,
) -> PatternTable:
    """Put the patterns that occur twice or more into table and heap."""
    table = with_room(table, keys.size // 2)
    begin = 0
    while begin < keys.size:
        end = begin + 1
        while end < keys.size and keys[end] == keys[begin]:
            end += 1
        if end - begin > 1:
            insert(table, keys[begin], end - begin)
            score = _score(pool, keys[begin], end - begin, weight, noise, seed)
            heapq.heappush(heap, (-score, keys[begin]))
        begin = end
    return table


@compiled
def _apply(
    pool: Expressions,
    index: Index,
    key: int,
    budget: Array,
    kraft: Array,
    taken: Array,
    table: PatternTable,
) -> Array:
    """Replace the pattern everywhere; return the expressions in which it was."""
    count = pool.size[EXPRESSIONS]
    candidates = _candidates(index, key)
    touched = np.empty(candidates.size, dtype=np.int64)
    hits = 0
    new = _append(pool, key)
    shares = SHARES[pool.size[OPERANDS]]
    kraft[count] = budget[count] = shares[pool.level[new]]
    gain = shares[pool.level[new]] - shares[pool.level[key >> 27]]
    gain -= shares[pool.level[(key >> 7) & 0xFFFFF]]
    for e in candidates:
        place = _find(pool, e, key, budget, kraft, taken, -1)
        if place >= 0:
            touched[hits] = e
            hits += 1
        while place >= 0:
            _replace(pool, e, place >> 32, place & 0xFFFFFFFF, new, table)
            kraft[e] += gain
            place = _find(pool, e, key, budget, kraft, taken, -1)
    _note(index, new, touched[:hits])
    return touched[:hits]


@compiled
def _all_patterns(pool: Expressions) -> Array:
    """Return every pattern, sorted, each as often as it occurs."""
    room = 0
    for e in range(pool.size[EXPRESSIONS]):
        room += pool.length[e] * (pool.length[e] - 1) // 2
    keys = np.empty(room, dtype=np.int64)
    count = 0
    for e in range(pool.size[EXPRESSIONS]):
        begin, end = pool.start[e], pool.start[e] + pool.length[e]
        for k in range(begin, end):
            for j in range(k + 1, end):
                keys[count] = pattern_key(
                    pool.node[k], pool.shift[k], pool.negative[k],
                    pool.node[j], pool.shift[j], pool.negative[j],
                )  # fmt: skip
                count += 1
    keys.sort()
    return keys


@compiled
def _room_for_depth(pool: Expressions, bounds: Array) -> tuple[Array, Array]:
    """Return the share that each expression takes and the share that its depth allows."""
    count = pool.size[EXPRESSIONS]
    limits = depth_limits(pool, bounds)
    most = count + pool.size[TERMS]  # each new expression saves an addition
    budget = np.empty(most, dtype=np.int64)
    kraft = np.zeros(most, dtype=np.int64)
    shares = SHARES[pool.size[OPERANDS]]
    for e in range(count):
        for k in range(pool.start[e], pool.start[e] + pool.length[e]):
            kraft[e] += shares[pool.level[pool.node[k]]]
        budget[e] = shares[limits[e]]
    return kraft, budget


@compiled
def eliminate(
    pool: Expressions, bounds: Array, weight: Array, least: int, noise: float, seed: int
) -> int:
    """Share patterns in place until none is left; return the work done, in looks at terms.

    Parameters
    ----------
    pool : with room for the new expressions
    bounds : adders on the longest path to each output
    weight : what an adder of so many bits counts for
    least : how often a pattern must occur to be shared; 2 or more
    noise, seed : random preference between patterns, 0.0 for none
    """
    kraft, budget = _room_for_depth(pool, bounds)
    taken = np.zeros(3 * pool.size[TERMS], dtype=np.int64)
    index = index_of(pool, pool.size[TERMS])
    keys = _all_patterns(pool)
    work = keys.size
    heap = [(0.0, 0)]
    heap.pop()
    table = _enter(pool, keys, new_table(keys.size // 8), heap, weight, noise, seed)
    step = 0
    while heap:
        stored, key = heapq.heappop(heap)
        times = count_of(table, key)
        if times < least:
            continue
        current = -_score(pool, key, times, weight, noise, seed)
        if current > stored:
            heapq.heappush(heap, (current, key))
            continue
        step += 1
        work += 40 * _candidates(index, key).size
        times = _occurrences(pool, index, key, budget, kraft, taken, step)
        if times < least:
            continue
        current = -_score(pool, key, times, weight, noise, seed)
        if heap and current > heap[0][0] and current > stored:
            heapq.heappush(heap, (current, key))
            continue
        touched = _apply(pool, index, key, budget, kraft, taken, table)
        keys = _new_patterns(pool, touched, pool.size[INPUTS] + pool.size[EXPRESSIONS] - 1)
        work += 4 * keys.size
        table = _enter(pool, keys, table, heap, weight, noise, seed)
    return work
