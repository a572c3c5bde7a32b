"""`improve`: undo, re-encode and solve again small parts of a solution, many times.

A part that is as dear as before is taken as well: the search drifts over plateaus, where greedy
choices and random ones are equal. Random numbers are integers, so the path is the same everywhere.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from hwgen.adders.compiled import compiled
from hwgen.adders.eliminate import eliminate
from hwgen.adders.expressions import (
    EXPRESSIONS,
    INPUTS,
    OPERANDS,
    TERMS,
    Array,
    Expressions,
    allocate,
)
from hwgen.adders.neighbourhood import (
    Part,
    cut_out,
    empty_part,
    grow,
    has_room,
    next_random,
    put_back,
    release,
    users_of,
)
from hwgen.adders.reencode import reencode
from hwgen.adders.restructure import restructure
from hwgen.adders.sums import COLUMNS, build_sums


class Workshop(NamedTuple):
    """Room for a part before, while and after it is solved anew, and for its adders."""

    part: Part
    before: Expressions
    opened: Expressions
    after: Expressions
    adders: Array
    refs: Array
    form: Array
    lo: Array
    hi: Array
    level: Array


def workshop(pool: Expressions, terms: int) -> Workshop:
    """Return a workshop for parts of `pool` that grow to as many terms on the way."""
    columns = int(pool.form.shape[1])
    operands = int(pool.size[OPERANDS])
    before, opened, after = (allocate(columns, 1, 2 * terms, terms, operands) for _ in range(3))
    nodes = 3 * terms
    lists = (np.zeros((nodes, size), dtype=np.int64) for size in (COLUMNS, 3, columns))
    flat = (np.zeros(nodes, dtype=np.int64) for _ in range(3))
    return Workshop(empty_part(pool), before, opened, after, *lists, *flat)


@compiled
def _bits(pool: Expressions, shop: Workshop) -> int:
    bits: int = build_sums(
        pool, shop.part.bounds, shop.adders, shop.refs, shop.form, shop.lo, shop.hi, shop.level
    )
    return bits


@compiled
def _bits_before(pool: Expressions, part: Part) -> int:
    bits = 0
    for m in range(part.counts[0]):
        bits += pool.bits[part.members[m]]
    return bits


@compiled
def _solve_anew(shop: Workshop, weights: Array, state: int) -> int:
    """Write another solution of `before` into `after`; return the work, 0 where room lacks."""
    state = next_random(state)
    per_256 = 64 << ((state >> 16) % 3)
    count = shop.before.size[EXPRESSIONS]
    inline = np.zeros(count, dtype=np.int64)
    for e in range(count):
        state = next_random(state)
        inline[e] = (state >> 16) & 255 < per_256
    if not restructure(shop.before, inline, shop.opened):
        return 0
    held = shop.opened.size[TERMS]
    nodes = shop.opened.size[INPUTS] + shop.opened.size[EXPRESSIONS] + held
    if 3 * held > shop.opened.node.size or nodes > shop.opened.start.size:
        return 0
    state = next_random(state)
    if (state >> 16) & 1:
        reencode(shop.opened, (state >> 17) & 0xFFFFF, 102)
    state = next_random(state)
    weight = weights[(state >> 16) % weights.shape[0]]
    noise = 0.15 * ((state >> 24) % 4)
    state = next_random(state)
    # A sum that two others use saves nothing where these have room for its operands.
    least = 2 + ((state >> 20) & 1) * (shop.opened.size[OPERANDS] - 2)
    seed = (state >> 8) & 0x7FFFFFFF
    work: int = eliminate(shop.opened, shop.part.bounds, weight, least, noise, seed)
    nothing = np.zeros(shop.opened.size[EXPRESSIONS], dtype=np.int64)
    if not restructure(shop.opened, nothing, shop.after):
        return 0
    return work


@compiled
def improve(
    pool: Expressions, max_depth: int, shop: Workshop, weights: Array, terms: int, steps: int,
    state: int,
) -> tuple[int, int]:  # fmt: skip
    """Change `pool` in place, `steps` times; return the work done and the random state.

    Parameters
    ----------
    pool : with the `bits` of its expressions filled
    max_depth : of the outputs
    shop : with room for parts of a few times `terms` terms
    weights : [ways, 64], what an adder of so many bits may count for
    """
    work = 0
    users = users_of(pool)
    for _ in range(steps):
        state = next_random(state)
        size = terms >> max(((state >> 16) & 3) - 1, 0)
        state = grow(pool, users, shop.part, size, state)
        if cut_out(pool, users, shop.part, max_depth, shop.before):
            old = _bits_before(pool, shop.part)
            effort = _solve_anew(shop, weights, state)
            work += effort + (24 + pool.form.shape[1]) * shop.before.size[TERMS]
            state = next_random(state)
            if effort and has_room(pool, shop.after):
                new = _bits(shop.after, shop)
                if new <= old:
                    put_back(shop.after, shop.part, pool, users)
        release(shop.part)
        work += 1000
    return work, state
