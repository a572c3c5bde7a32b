"""`grow`, `cut_out` and `put_back`: a few sums that belong together, as a problem of their own.

The part has the sums' outside operands as inputs and the sums that others need as outputs, each
no deeper than now. So it can be solved anew at a cost that depends on its size only, and what
comes out fits where the part was. No cycle can arise: a sum is always made from operands that it
was made from before.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from hwgen.adders.compiled import compiled
from hwgen.adders.expressions import (
    EXPRESSIONS,
    INPUTS,
    OUTPUTS,
    RESULTS,
    TERMS,
    Array,
    Expressions,
)


class Part(NamedTuple):
    """Which sums of a pool are in the part, and how the part numbers them.

    Parameters
    ----------
    counts : numbers of members and of sources
    members : expressions; once it is cut out, first the rows, then other outputs of the part
    sources : nodes of the pool that are inputs of the part
    inside : of each expression, 1 for members
    place : of each node of the pool, its number among the sources + 1, 0 elsewhere
    bounds : depth of each output
    """

    counts: Array
    members: Array
    sources: Array
    inside: Array
    place: Array
    bounds: Array


class Users(NamedTuple):
    """Which terms use a node: chains that `put_back` extends, with terms that are gone in them.

    Parameters
    ----------
    head, uses : of each node, the last term that uses it + 1 (0 for none), and how many there are
    following : of each term, the next of its chain + 1
    owner : of each term, its expression
    """

    head: Array
    uses: Array
    following: Array
    owner: Array


@compiled
def users_of(pool: Expressions) -> Users:
    """Return the users of all nodes."""
    nodes, terms = pool.start.size, pool.node.size
    users = Users(
        np.zeros(nodes, dtype=np.int64),
        np.zeros(nodes, dtype=np.int64),
        np.empty(terms, dtype=np.int64),
        np.empty(terms, dtype=np.int64),
    )
    for e in range(pool.size[EXPRESSIONS]):
        _enter(pool, users, e)
    return users


@compiled
def _enter(pool: Expressions, users: Users, e: int) -> None:
    for k in range(pool.start[e], pool.start[e] + pool.length[e]):
        node = pool.node[k]
        users.owner[k] = e
        users.following[k] = users.head[node]
        users.head[node] = k + 1
        users.uses[node] += 1


@compiled
def _user(users: Users, node: int, skip: int) -> int:
    k = users.head[node] - 1
    for _ in range(skip % users.uses[node]):
        k = users.following[k] - 1
    e: int = users.owner[k]
    return e


def empty_part(pool: Expressions) -> Part:
    """Return a part with room for all of `pool`."""
    nodes = pool.start.size
    counts, members, sources, inside, place, bounds = (
        np.zeros(size, dtype=np.int64) for size in (2, nodes, nodes, nodes, nodes, nodes)
    )
    return Part(counts, members, sources, inside, place, bounds)


@compiled
def next_random(state: int) -> int:
    """Return the next state of a linear congruential generator; its high bits are random."""
    return (state * 0x2545F4D + 0x1F123BB5) & 0xFFFFFFFFF  # below 2**62: no overflow


@compiled
def grow(pool: Expressions, users: Users, part: Part, terms: int, state: int) -> int:
    """Choose a part of about `terms` terms, connected by shared operands; return the state."""
    inputs, count = pool.size[INPUTS], pool.size[EXPRESSIONS]
    found, held, tries = 0, 0, 0
    while held < terms and tries < 4 * terms + 64:
        tries += 1
        state = next_random(state)
        if found == 0:
            chosen = (state >> 16) % count
        else:
            e = part.members[(state >> 16) % found]
            state = next_random(state)
            node = pool.node[pool.start[e] + (state >> 16) % pool.length[e]]
            state = next_random(state)
            if (state >> 16) & 3 == 0:
                chosen = node - inputs
            else:
                chosen = _user(users, node, state >> 18)
        if chosen < 0 or part.inside[chosen] or pool.length[chosen] == 0:
            continue
        part.inside[chosen] = 1
        part.members[found] = chosen
        found += 1
        held += pool.length[chosen]
    part.counts[0] = found
    return state


@compiled
def _used_outside(pool: Expressions, users: Users, part: Part, e: int) -> bool:
    node = pool.size[INPUTS] + e
    k = users.head[node] - 1
    while k >= 0:
        user = users.owner[k]
        alive = pool.start[user] <= k < pool.start[user] + pool.length[user]
        if alive and not part.inside[user]:
            return True
        k = users.following[k] - 1
    return False


@compiled
def _outputs_first(pool: Expressions, users: Users, part: Part, max_depth: int) -> tuple[int, int]:
    """Order the members and fill in the bounds; return the numbers of rows and of outputs."""
    outputs, rows = 0, 0
    for is_row in (True, False):
        for m in range(outputs, part.counts[0]):
            e = part.members[m]
            if (e < pool.size[OUTPUTS]) != is_row:
                continue
            used = _used_outside(pool, users, part, e)
            if not used and not is_row:
                continue
            part.bounds[outputs] = pool.level[pool.size[INPUTS] + e] if used else max_depth
            part.members[m], part.members[outputs] = part.members[outputs], e
            outputs += 1
        if is_row:
            rows = outputs
    return rows, outputs


@compiled
def cut_out(
    pool: Expressions, users: Users, part: Part, max_depth: int, target: Expressions
) -> bool:
    """Write the part into `target`; returns False where there is not enough room."""
    inputs = pool.size[INPUTS]
    rows, outputs = _outputs_first(pool, users, part, max_depth)
    sources, held = 0, 0
    for m in range(part.counts[0]):
        e = part.members[m]
        part.inside[e] = m + 1
        held += pool.length[e]
        for k in range(pool.start[e], pool.start[e] + pool.length[e]):
            node = pool.node[k]
            known = part.place[node] or (node >= inputs and part.inside[node - inputs])
            if not known:
                part.sources[sources] = node
                sources += 1
                part.place[node] = sources
    part.counts[1] = sources
    if sources + part.counts[0] > target.start.size or held > target.node.size:
        return False
    target.size[EXPRESSIONS], target.size[TERMS] = part.counts[0], held
    target.size[INPUTS], target.size[OUTPUTS], target.size[RESULTS] = sources, outputs, rows
    target.low[:], target.high[:] = pool.low, pool.high
    for s in range(sources):
        _copy_node(pool, part.sources[s], target, s)
    at = 0
    for m in range(part.counts[0]):
        e = part.members[m]
        _copy_node(pool, inputs + e, target, sources + m)
        target.start[m], target.length[m] = at, pool.length[e]
        for k in range(pool.start[e], pool.start[e] + pool.length[e]):
            node = pool.node[k]
            place = part.place[node] - 1
            if place < 0:
                place = sources + part.inside[node - inputs] - 1
            target.node[at] = place
            target.shift[at], target.negative[at] = pool.shift[k], pool.negative[k]
            at += 1
    return True


@compiled
def _copy_node(pool: Expressions, node: int, target: Expressions, to: int) -> None:
    target.form[to] = pool.form[node]
    target.lo[to], target.hi[to] = pool.lo[node], pool.hi[node]
    target.level[to] = pool.level[node]


@compiled
def release(part: Part) -> None:
    """Forget the part."""
    for m in range(part.counts[0]):
        part.inside[part.members[m]] = 0
    for s in range(part.counts[1]):
        part.place[part.sources[s]] = 0
    part.counts[:] = 0


@compiled
def has_room(pool: Expressions, solved: Expressions) -> bool:
    """Tell whether `put_back` has room in `pool`."""
    nodes = pool.size[INPUTS] + pool.size[EXPRESSIONS] + solved.size[EXPRESSIONS]
    terms: int = pool.size[TERMS] + solved.size[TERMS]
    return nodes <= pool.start.size and terms <= pool.node.size


@compiled
def put_back(solved: Expressions, part: Part, pool: Expressions, users: Users) -> None:
    """Replace the part in `pool` by `solved`; new sums and all terms go to the end."""
    inputs, sources, outputs = (pool.size[INPUTS], solved.size[INPUTS], solved.size[OUTPUTS])
    for m in range(outputs, part.counts[0]):
        pool.length[part.members[m]] = 0
    first = pool.size[EXPRESSIONS] - outputs
    at = pool.size[TERMS]
    for m in range(solved.size[EXPRESSIONS]):
        e = part.members[m] if m < outputs else first + m
        _copy_node(solved, sources + m, pool, inputs + e)
        pool.start[e], pool.length[e] = at, solved.length[m]
        pool.bits[e] = solved.bits[m]
        for k in range(solved.start[m], solved.start[m] + solved.length[m]):
            node = solved.node[k]
            if node < sources:
                pool.node[at] = part.sources[node]
            elif node - sources < outputs:
                pool.node[at] = inputs + part.members[node - sources]
            else:
                pool.node[at] = inputs + first + node - sources
            pool.shift[at], pool.negative[at] = solved.shift[k], solved.negative[k]
            at += 1
        _enter(pool, users, e)
    pool.size[EXPRESSIONS] = first + solved.size[EXPRESSIONS]
    pool.size[TERMS] = at
