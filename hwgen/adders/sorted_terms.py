"""The terms of one sum, sorted by their top bit, while they are added up.

A row of the array is a term: node, shift, sign, and the bit above all of its own. For `sums.py`.
"""

from __future__ import annotations

from hwgen.adders.compiled import compiled
from hwgen.adders.expressions import Array

TOP, TERM_COLUMNS = 3, 4


@compiled
def _put(terms: Array, k: int, node: int, shift: int, negative: int, top: int) -> None:
    """Write a term; the top bit is what terms are sorted by."""
    terms[k, 0], terms[k, 1], terms[k, 2], terms[k, TOP] = node, shift, negative, top


@compiled
def _move(terms: Array, source: int, target: int) -> None:
    _put(terms, target, terms[source, 0], terms[source, 1], terms[source, 2], terms[source, TOP])


@compiled
def insert_sorted(terms: Array, count: int, node: int, shift: int, negative: int, top: int) -> None:
    """Put one more term behind those of `count` that reach no higher."""
    k = count
    while k > 0 and terms[k - 1, TOP] > top:
        _move(terms, k - 1, k)
        k -= 1
    _put(terms, k, node, shift, negative, top)


@compiled
def replace_by_sum(
    terms: Array, count: int, k: int, j: int, i: int, node: int, shift: int, negative: int,
    top: int,
) -> int:  # fmt: skip
    """Put a sum in the place of its two or three terms; return how many places fall away in front.

    Those behind it stay where they are: what is added is among the lowest, and its sum not far.
    """
    at, low = max(k, j, i), min(k, j)
    while at + 1 < count and terms[at + 1, TOP] <= top:
        _move(terms, at + 1, at)
        at += 1
    gone = 0
    if i >= 0:
        low = min(low, i)
        for t in range(k + j + i - low - max(k, j, i) - 1, -1, -1):
            _move(terms, t, t + 1)
        low, gone = low + 1, 1
    for t in range(low - 1, gone - 1, -1):
        _move(terms, t, t + 1)
    gone += 1
    while at > gone and terms[at - 1, TOP] > top:
        _move(terms, at - 1, at)
        at -= 1
    _put(terms, at, node, shift, negative, top)
    return gone
