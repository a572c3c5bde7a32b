"""`worthwhile_depth`: how deep an adder graph may be.

Rows that resemble each other are made from each other, which takes levels that a tree of digits
does not: with binary weights up to a quarter of all bits is saved so, with random ones a hundredth.
A level costs a cycle at most, and registers where the clock is fast. The greedy start says what a
depth is good for; the search then keeps it.
"""

from __future__ import annotations

from collections.abc import Sequence

from hwgen.adders.cache import cached_solve
from hwgen.adders.expressions import Array
from hwgen.adders.solve import SolveOptions
from hwgen.adders.start import roomy_depth
from hwgen.numeric import CodeType

# Share of the bits that one more level has to save.
LEVEL_PRICE = 0.02
_MORE_LEVELS = (1, 2, 4, 8)


def worthwhile_depth(matrix: Array, inputs: Sequence[CodeType], operands: int = 2) -> int:
    """Return the depth at which another level would not save its price any more.

    Parameters
    ----------
    matrix : int64 [O, I]
    inputs : interval of each of the I inputs
    operands : of an adder at most
    """
    least = roomy_depth(matrix, operands)

    def price(more: int) -> float:
        graph = cached_solve(matrix, inputs, SolveOptions(least + more, operands=operands))
        return graph.cost_bits() * (1 + LEVEL_PRICE) ** max(graph.depth() - least, 0)

    best, depth = price(0), least
    for more in _MORE_LEVELS:
        found = price(more)
        if found >= best:
            break
        best, depth = found, least + more
    return depth
