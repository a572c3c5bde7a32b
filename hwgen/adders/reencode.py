"""`reencode`: write signed digits another way that is as short: 3 = 4 - 1 = 2 + 1.

Canonical digits are only one of the shortest encodings; a different one may have a pattern in
common with another row.

Source: Park and Kang, Digital filter synthesis based on minimal signed digit representation,
DAC 2001.
"""

from __future__ import annotations

from hwgen.adders.compiled import compiled
from hwgen.adders.expressions import EXPRESSIONS, Expressions


@compiled
def _other_way(pool: Expressions, k: int, j: int) -> bool:
    """Re-encode terms k and j of the same node if they allow it; j is the higher one."""
    shift = pool.shift[k]
    distance = pool.shift[j] - shift
    opposite = pool.negative[k] != pool.negative[j]
    if distance == 1 and not opposite:  # 1 + 2 = -1 + 4
        pool.shift[j] = shift + 2
    elif distance == 2 and opposite:  # -1 + 4 = 1 + 2
        pool.shift[j] = shift + 1
    else:
        return False
    pool.negative[k] = 1 - pool.negative[k]
    return True


@compiled
def _is_free(pool: Expressions, begin: int, end: int, node: int, shift: int) -> bool:
    for k in range(begin, end):
        if pool.node[k] == node and pool.shift[k] == shift:
            return False
    return True


@compiled
def reencode(pool: Expressions, seed: int, per_1024: int) -> int:
    """Re-encode about `per_1024` of 1024 pairs of digits, in place; return how many."""
    changed = 0
    state = seed
    for e in range(pool.size[EXPRESSIONS]):
        begin, end = pool.start[e], pool.start[e] + pool.length[e]
        for k in range(begin, end):
            for j in range(begin, end):
                if pool.node[j] != pool.node[k] or pool.shift[j] <= pool.shift[k]:
                    continue
                state = (state * 1103515245 + 12345) & 0x7FFFFFFF
                if (state >> 12) & 1023 >= per_1024:
                    continue
                taken = pool.shift[k] + (2 if pool.shift[j] - pool.shift[k] == 1 else 1)
                if _is_free(pool, begin, end, pool.node[k], taken) and _other_way(pool, k, j):
                    changed += 1
    return changed
