"""How often each pattern occurs: a hash table of int64 keys that numba compiles to plain loops.

Only patterns that occur at least twice are kept, so most decreases find nothing. Zero is no key.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from hwgen.adders.compiled import compiled
from hwgen.adders.expressions import Array


class PatternTable(NamedTuple):
    """Open addressing; `used[0]` slots have a key, the number of slots is a power of two."""

    keys: Array
    counts: Array
    used: Array


@compiled
def new_table(entries: int) -> PatternTable:
    """Return a table with room for `entries` keys."""
    slots = 64
    while slots < 4 * entries:
        slots *= 2
    return PatternTable(
        np.zeros(slots, dtype=np.int64),
        np.zeros(slots, dtype=np.int64),
        np.zeros(1, dtype=np.int64),
    )


@compiled
def slot_of(table: PatternTable, key: int) -> int:
    """Return the slot that holds `key`, or the empty one where it belongs."""
    mask = table.keys.size - 1
    slot = (key ^ (key >> 15) ^ (key >> 31)) * 40503 & mask
    while table.keys[slot] != key and table.keys[slot] != 0:
        slot = (slot + 1) & mask
    return slot


@compiled
def insert(table: PatternTable, key: int, count: int) -> None:
    """Add a key that is not there."""
    slot = slot_of(table, key)
    if table.keys[slot] == 0:
        table.used[0] += 1
    table.keys[slot] = key
    table.counts[slot] = count


@compiled
def count_of(table: PatternTable, key: int) -> int:
    """Return the count of `key`, 0 where it is not there."""
    count: int = table.counts[slot_of(table, key)]
    return count


@compiled
def decrease(table: PatternTable, key: int) -> None:
    """Take one off the count of `key`, if it is there."""
    slot = slot_of(table, key)
    if table.counts[slot] > 0:
        table.counts[slot] -= 1


@compiled
def with_room(table: PatternTable, entries: int) -> PatternTable:
    """Return `table`, or a copy without dead keys, with room for `entries` more."""
    if 2 * (table.used[0] + entries) < table.keys.size:
        return table
    alive = 0
    for slot in range(table.keys.size):
        if table.counts[slot] > 1:
            alive += 1
    larger = new_table(alive + entries)
    for slot in range(table.keys.size):
        if table.counts[slot] > 1:
            insert(larger, table.keys[slot], table.counts[slot])
    return larger
