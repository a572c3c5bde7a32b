"""`build_sums`: turn expressions into adders, the narrowest first, and count bits.

Wide terms are added late, as in a Huffman tree, because an adder is as wide as its result; terms
whose low bits do not overlap are cheap to add. So the cheapest pair, or triple where an adder takes
three operands, among the few lowest terms is taken, and how few is tried out for each expression.
The depth bound is kept by looking only at choices after which the rest still fits, see
`expressions`.
"""

from __future__ import annotations

import numpy as np

from hwgen.adders.compiled import compiled
from hwgen.adders.expressions import (
    INPUTS,
    OPERANDS,
    RESULTS,
    SHARES,
    TERMS,
    Array,
    Expressions,
    adder_bits,
    depth_limits,
    interval_of,
    interval_width,
    topological_order,
)
from hwgen.adders.sorted_terms import TERM_COLUMNS, TOP, insert_sorted, replace_by_sum

# Columns of the adder list: t = +-a +- b * 2**shift_b +- c * 2**shift_c, c is -1 where there is
# none. Behind them, the bits of t, and how many more it takes to make -t of the same operands.
A, B, C, SHIFT_B, SHIFT_C, NEGATIVE_A, NEGATIVE_B, NEGATIVE_C, BITS, TURN = range(10)
COLUMNS = 10

# Among how many of the lowest terms a choice is sought.
_WINDOWS = (2, 3, 4, 6)
_NEVER = 1 << 40


@compiled
def _by_shift(terms: Array, k: int, j: int, i: int) -> tuple[int, int, int]:
    """Return the terms in the order of their shifts; i may be -1 and stays last."""
    if terms[k, 1] > terms[j, 1]:
        k, j = j, k
    if i >= 0 and terms[j, 1] > terms[i, 1]:
        j, i = i, j
        if terms[k, 1] > terms[j, 1]:
            k, j = j, k
    return k, j, i


@compiled
def _bits_and_ends(
    terms: Array, k: int, j: int, i: int, lo: Array, hi: Array
) -> tuple[int, int, int]:
    """Return bits, lower and upper end of the sum of terms in the order of their shifts."""
    a, b, shift_b = terms[k, 0], terms[j, 0], terms[j, 1] - terms[k, 1]
    low, high = lo[a], hi[a]
    negative_b = terms[k, 2] ^ terms[j, 2]
    if negative_b:
        low, high = low - (hi[b] << shift_b), high - (lo[b] << shift_b)
    else:
        low, high = low + (lo[b] << shift_b), high + (hi[b] << shift_b)
    lo_c, hi_c, shift_c, negative_c = 0, 0, 0, 0
    if i >= 0:
        c, shift_c, negative_c = terms[i, 0], terms[i, 1] - terms[k, 1], terms[k, 2] ^ terms[i, 2]
        lo_c, hi_c = lo[c], hi[c]
        if negative_c:
            low, high = low - (hi_c << shift_c), high - (lo_c << shift_c)
        else:
            low, high = low + (lo_c << shift_c), high + (hi_c << shift_c)
    bits = adder_bits(
        lo[a], hi[a], lo[b], hi[b], shift_b, negative_b,
        lo_c, hi_c, shift_c, negative_c, low, high,
    )  # fmt: skip
    return bits, low, high


@compiled
def _rank(
    terms: Array, k: int, j: int, i: int, lo: Array, hi: Array, level: Array, room: int,
    shares: Array,
) -> int:  # fmt: skip
    """Return what orders the choices: first the bits, then the lower result, then the level."""
    k, j, i = _by_shift(terms, k, j, i)
    level_k, level_j = level[terms[k, 0]], level[terms[j, 0]]
    top = max(level_k, level_j)
    freed = shares[level_k] + shares[level_j]
    if i >= 0:
        level_i = level[terms[i, 0]]
        top = max(top, level_i)
        freed += shares[level_i]
    if shares[top + 1] - freed > room:
        return _NEVER
    bits, low, high = _bits_and_ends(terms, k, j, i, lo, hi)
    rank: int = (bits << 16) + ((interval_width(low, high) + terms[k, 1]) << 8) + top
    return rank


@compiled
def _cheapest(
    terms: Array, count: int, lo: Array, hi: Array, level: Array, room: int, wanted: int,
    shares: Array,
) -> tuple[int, int, int, int]:  # fmt: skip
    """Return the cheapest `wanted` of the first `count` terms and their rank; -1 for none."""
    best, found = _NEVER, (-1, -1, -1)
    for k in range(count):
        for j in range(k + 1, count):
            if wanted == 2:
                rank = _rank(terms, k, j, -1, lo, hi, level, room, shares)
                if rank < best:
                    best, found = rank, (k, j, -1)
                continue
            for i in range(j + 1, count):
                rank = _rank(terms, k, j, i, lo, hi, level, room, shares)
                if rank < best:
                    best, found = rank, (k, j, i)
    return found[0], found[1], found[2], best


@compiled
def _shallowest(terms: Array, count: int, level: Array, wanted: int) -> tuple[int, int, int]:
    """Return terms of the lowest levels: adding these first always fits the depth."""
    first, second, third = -1, -1, -1
    for k in range(count):
        own = level[terms[k, 0]]
        if first < 0 or own < level[terms[first, 0]]:
            first, second, third = k, first, second
        elif second < 0 or own < level[terms[second, 0]]:
            second, third = k, second
        elif third < 0 or own < level[terms[third, 0]]:
            third = k
    return first, second, third if wanted == 3 else -1


@compiled
def _choose(
    terms: Array, count: int, lo: Array, hi: Array, level: Array, room: int, window: int,
    operands: int, shares: Array,
) -> tuple[int, int, int]:  # fmt: skip
    """Return the next terms to add, in the order of their shifts; the third is -1 for a pair.

    Of an even number of terms a pair comes first, where it is narrowest: then all that follow
    are triples. Terms that lie side by side cost nothing and are always joined.
    """
    wanted = 2 if operands == 2 or count % 2 == 0 else 3
    seen = min(max(window, wanted), count)
    if wanted == 3:
        beside = False
        for k in range(seen):
            beside = beside or lo[terms[k, 0]] >= 0
        if beside:
            k, j, i, rank = _cheapest(terms, seen, lo, hi, level, room, 2, shares)
            if rank >> 16 == 0:
                return _by_shift(terms, k, j, i)
    k, j, i, _ = _cheapest(terms, seen, lo, hi, level, room, wanted, shares)
    if k < 0:
        k, j, i = _shallowest(terms, count, level, wanted)
    return _by_shift(terms, k, j, i)


@compiled
def _add(
    pool: Expressions, terms: Array, k: int, j: int, i: int, node: int, adders: Array,
    form: Array, lo: Array, hi: Array, level: Array,
) -> int:  # fmt: skip
    """Write adder `node`, the sum of two or three terms over the first's place; return its bits."""
    row = adders[node]
    row[A], row[B], row[C], row[NEGATIVE_A] = terms[k, 0], terms[j, 0], -1, 0
    row[SHIFT_B], row[NEGATIVE_B] = terms[j, 1] - terms[k, 1], terms[k, 2] ^ terms[j, 2]
    row[SHIFT_C], row[NEGATIVE_C] = 0, 0
    factor = -(1 << row[SHIFT_B]) if row[NEGATIVE_B] else 1 << row[SHIFT_B]
    top = max(level[row[A]], level[row[B]])
    for column in range(form.shape[1]):
        form[node, column] = form[row[A], column] + factor * form[row[B], column]
    lo_c, hi_c = 0, 0
    if i >= 0:
        row[C], row[SHIFT_C] = terms[i, 0], terms[i, 1] - terms[k, 1]
        row[NEGATIVE_C] = terms[k, 2] ^ terms[i, 2]
        factor = -(1 << row[SHIFT_C]) if row[NEGATIVE_C] else 1 << row[SHIFT_C]
        for column in range(form.shape[1]):
            form[node, column] += factor * form[row[C], column]
        top = max(top, level[row[C]])
        lo_c, hi_c = lo[row[C]], hi[row[C]]
    lo[node], hi[node] = interval_of(form[node], pool.low, pool.high)
    level[node] = top + 1
    bits: int = adder_bits(
        lo[row[A]], hi[row[A]], lo[row[B]], hi[row[B]], row[SHIFT_B], row[NEGATIVE_B],
        lo_c, hi_c, row[SHIFT_C], row[NEGATIVE_C], lo[node], hi[node],
    )  # fmt: skip
    row[BITS] = bits
    return bits


@compiled
def _operand_to_turn(node: int, begin: int, adders: Array, lo: Array, hi: Array) -> tuple[int, int]:
    """Return what it costs to make -node, and the operand that has to be made negative for it.

    That is none, -1, where a subtraction is turned round. Only adders from `begin` on have no
    other user.
    """
    row = adders[node]
    more = interval_width(-hi[node], -lo[node]) - row[BITS]
    if row[NEGATIVE_B] or row[NEGATIVE_C]:
        return more, -1
    best, found = _NEVER, -1
    for operand in (A, B, C):
        if row[operand] >= begin:
            # -(a + b) = (-a) - b keeps the low bits of a.
            saved = row[SHIFT_B] if operand == A else 0
            cost = adders[row[operand], TURN] + more - saved
            if cost < best:
                best, found = cost, operand
    return best, found


@compiled
def _bits_to_turn(begin: int, end: int, adders: Array, lo: Array, hi: Array) -> int:
    """Return what it costs to make the sum that adders `begin` to `end` are for negative."""
    for node in range(begin, end):
        adders[node, TURN], _ = _operand_to_turn(node, begin, adders, lo, hi)
    turn: int = adders[end - 1, TURN]
    return min(interval_width(lo[end - 1], hi[end - 1]), turn)


@compiled
def _turn(begin: int, end: int, adders: Array, form: Array, lo: Array, hi: Array) -> bool:
    """Make the sum negative; returns False where a negation behind it is cheaper."""
    if adders[end - 1, TURN] > interval_width(lo[end - 1], hi[end - 1]):
        return False
    node = end - 1
    while node >= 0:
        _, operand = _operand_to_turn(node, begin, adders, lo, hi)
        row = adders[node]
        row[NEGATIVE_A] = operand != A
        row[NEGATIVE_B] ^= operand != B
        row[NEGATIVE_C] ^= operand != C and row[C] >= 0
        lo[node], hi[node] = -hi[node], -lo[node]
        form[node] = -form[node]
        node = -1 if operand < 0 else row[operand]
    return True


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
        top = interval_width(lo[node], hi[node]) + shift
        insert_sorted(terms, count, node, shift, negative, top)
        count += 1
    return count


@compiled
def _sum_up(
    pool: Expressions, terms: Array, count: int, limit: int, window: int, node: int,
    adders: Array, form: Array, lo: Array, hi: Array, level: Array,
) -> tuple[int, int]:  # fmt: skip
    """Add `terms` up, from adder `node` on; the last of them becomes their sum.

    Returns the bits and the node behind the last adder.
    """
    operands = pool.size[OPERANDS]
    shares = SHARES[operands]
    bits = 0
    room = shares[limit]
    for k in range(count):
        room -= shares[level[terms[k, 0]]]
    while count > 1:
        first, second, third = _choose(
            terms, count, lo, hi, level, room, window, operands, shares
        )  # fmt: skip
        bits += _add(pool, terms, first, second, third, node, adders, form, lo, hi, level)
        room += shares[level[terms[first, 0]]] + shares[level[terms[second, 0]]]
        room -= shares[level[node]]
        if third >= 0:
            room += shares[level[terms[third, 0]]]
        shift, negative = terms[first, 1], terms[first, 2]
        top = interval_width(lo[node], hi[node]) + shift
        gone = replace_by_sum(terms, count, first, second, third, node, shift, negative, top)
        terms = terms[gone:]
        count -= gone
        node += 1
    return bits, node


@compiled
def _sum_up_best(
    pool: Expressions, terms: Array, count: int, limit: int, is_result: bool, begin: int,
    adders: Array, form: Array, lo: Array, hi: Array, level: Array,
) -> tuple[int, int]:  # fmt: skip
    """Add `terms` up with the window that takes fewest bits; return these and the next node."""
    best, best_bits, last, node = 0, _NEVER, 0, begin
    given = terms[:count].copy()
    for window in _WINDOWS:
        if min(last, count) == min(window, count):
            break  # no other choices than before
        last = window
        terms[:count] = given
        bits, node = _sum_up(
            pool, terms, count, limit, window, begin, adders, form, lo, hi, level
        )  # fmt: skip
        if is_result and terms[count - 1, 2] and node > begin:
            bits += _bits_to_turn(begin, node, adders, lo, hi)
        if bits < best_bits:
            best, best_bits = window, bits
    if best != last:
        terms[:count] = given
        _, node = _sum_up(pool, terms, count, limit, best, begin, adders, form, lo, hi, level)
    return best_bits, node


@compiled
def build_sums(
    pool: Expressions, bounds: Array, adders: Array, refs: Array, form: Array,
    lo: Array, hi: Array, level: Array,
) -> int:  # fmt: skip
    """Write the adders of all expressions; return their bits, negations of outputs included.

    Parameters
    ----------
    pool : what to build; its `bits` are filled
    bounds : depth of each output
    adders : [nodes, COLUMNS], filled from the number of inputs on; row 0 holds the node count
    refs : [expressions, 3] node, shift and sign of each expression; node -1 for zero
    form, lo, hi, level : of each node of the adder graph, filled
    """
    inputs = pool.size[INPUTS]
    limits = depth_limits(pool, bounds)
    for i in range(inputs):
        form[i, :] = pool.form[i]
        lo[i], hi[i], level[i] = pool.lo[i], pool.hi[i], pool.level[i]
    node = inputs
    bits = 0
    terms = np.empty((pool.size[TERMS] + 1, TERM_COLUMNS), dtype=np.int64)
    for e in topological_order(pool):
        count = _gather(pool, e, refs, terms, lo, hi)
        pool.bits[e] = 0
        if count == 0:
            refs[e, 0], refs[e, 1], refs[e, 2] = -1, 0, 0
            continue
        begin = node
        more, node = _sum_up_best(
            pool, terms, count, limits[e], e < pool.size[RESULTS], begin,
            adders, form, lo, hi, level,
        )  # fmt: skip
        pool.bits[e] = more
        refs[e] = terms[count - 1, :TOP]
        if e < pool.size[RESULTS] and refs[e, 2]:
            if node == begin:
                pool.bits[e] += interval_width(lo[refs[e, 0]], hi[refs[e, 0]])
            else:
                _bits_to_turn(begin, node, adders, lo, hi)
                refs[e, 2] ^= _turn(begin, node, adders, form, lo, hi)
        bits += pool.bits[e]
    adders[0, 0] = node
    return bits
