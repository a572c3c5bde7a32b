"""Where the search starts: the signed digits of a matrix, or of the differences between its rows.

With differences, a row is another row, shifted or negated, plus the digits of what is missing:
much shorter where rows resemble each other, as those of binary and ternary matrices do.

Source: minimum spanning tree over row distances: Vo et al., MST-compression, ICCV 2023, arXiv
2308.13735; Aksoy et al., ECHO / da4ml's two-stage decomposition use the same idea.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from hwgen.adders.expressions import (
    EXPRESSIONS,
    TERMS,
    Array,
    Expressions,
    allocate,
    describe,
    level_for,
)
from hwgen.numeric import CodeType
from hwgen.numeric.signed_digits import count_digits, signed_digits

Terms = list[tuple[int, int, bool]]  # node, shift, negative


def digit_terms(row: Array) -> Terms:
    """Return the signed digits of a row as terms over the inputs."""
    return [
        (k, shift, negative)
        for k, weight in enumerate(row.tolist())
        for shift, negative in signed_digits(weight)
    ]


def minimum_depth(matrix: Array, operands: int = 2) -> int:
    """Levels of adders of so many operands that the row with most signed digits needs."""
    return int(level_for(int(count_digits(matrix).sum(axis=1).max(initial=0)), operands))


def roomy_depth(matrix: Array, operands: int = 2) -> int:
    """Levels of adders that leave a search for shared sums some room.

    Three operands need so few levels that the least leave none: their trees would be full.
    """
    if operands == 2:
        return minimum_depth(matrix)
    digits = int(count_digits(matrix).sum(axis=1).max(initial=0))
    return min(int(level_for(2 * digits, operands)), minimum_depth(matrix))


def plain_terms(matrix: Array) -> list[Terms]:
    """Return each row as its own signed digits."""
    return [digit_terms(row) for row in matrix]


def difference_terms(matrix: Array, max_depth: int, operands: int = 2) -> list[Terms]:
    """Return each row as its own digits or as another row plus the digits of the difference.

    Prim's algorithm from the zero row; a row joins the parent to which it has fewest digits and
    under which it stays within the depth.
    """
    rows, inputs = matrix.shape
    best = count_digits(matrix).sum(axis=1)
    parent: list[tuple[int, bool] | None] = [None] * rows
    levels = [0] * rows
    waiting = set(range(rows))
    while waiting:
        row = min(waiting, key=lambda r: (int(best[r]), r))
        waiting.remove(row)
        way = parent[row]
        share = int(best[row]) + (operands ** levels[way[0]] if way is not None else 0)
        levels[row] = int(level_for(share, operands))
        if not np.any(matrix[row]):
            continue
        for other in sorted(waiting):
            for negative in (False, True):
                digits = _distance(matrix[other], matrix[row], negative)
                # The parent is a term as well, hence the one.
                closer = digits + 1 < best[other] + (parent[other] is not None)
                if closer and digits + operands ** levels[row] <= operands**max_depth:
                    best[other], parent[other] = digits, (row, negative)
    terms = []
    for row, way in enumerate(parent):
        if way is None:
            terms.append(digit_terms(matrix[row]))
        else:
            above, negative = way
            rest = matrix[row] + (matrix[above] if negative else -matrix[above])
            terms.append([(inputs + above, 0, negative), *digit_terms(rest)])
    return terms


def _distance(row: Array, other: Array, negative: bool) -> int:
    return int(count_digits(row + other if negative else row - other).sum())


def expressions_of(
    terms: Sequence[Terms], inputs: Sequence[CodeType], operands: int = 2
) -> Expressions:
    """Return the pool with one expression a row, and room to work in."""
    total = sum(len(row) for row in terms)
    count = len(inputs)
    nodes = count + len(terms) + 2 * total + 8
    pool = allocate(count, len(terms), nodes, 4 * total + 64, operands)
    at = 0
    for expression, row in enumerate(terms):
        pool.start[expression], pool.length[expression] = at, len(row)
        for node, shift, negative in row:
            pool.node[at], pool.shift[at], pool.negative[at] = node, shift, negative
            at += 1
    pool.size[EXPRESSIONS], pool.size[TERMS] = len(terms), at
    pool.form[:count] = np.eye(count, dtype=np.int64)
    pool.low[:] = pool.lo[:count] = [codes.lo for codes in inputs]
    pool.high[:] = pool.hi[:count] = [codes.hi for codes in inputs]
    done: set[int] = set()
    while len(done) < len(terms):  # parents first
        for expression, row in enumerate(terms):
            ready = all(node < count or node - count in done for node, _, _ in row)
            if expression not in done and ready:
                describe(pool, expression)
                done.add(expression)
    return pool
