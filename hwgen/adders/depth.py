"""`worthwhile_depth`: how deep an adder graph may be.

Rows that resemble each other are made from each other, which takes levels that a tree of digits
does not: with binary weights and two operands a quarter of all bits is saved so, with random ones
a hundredth. The greedy start says what a depth is good for; the search then keeps it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from hwgen.adders.cache import cached_solve
from hwgen.adders.expressions import Array
from hwgen.adders.graph import AdderGraph
from hwgen.adders.solve import SolveOptions
from hwgen.adders.start import roomy_depth
from hwgen.numeric import CodeType

# Share that one more level has to save of the bits, to be looked at.
LEVEL_PRICE = 0.05
_MORE_LEVELS = (1, 2, 4, 8)


def worthwhile_depth(
    matrix: Array,
    inputs: Sequence[CodeType],
    operands: int,
    price: Callable[[AdderGraph], float],
) -> int:
    """Return the depth of the cheapest greedy graph, of depths whose levels save bits.

    Parameters
    ----------
    matrix : int64 [O, I]
    inputs : interval of each of the I inputs
    operands : of an adder at most
    price : of a graph, with its registers; asked where there is a choice
    """
    least = roomy_depth(matrix, operands)
    graphs: dict[int, AdderGraph] = {}
    fewest = float("inf")
    for more in (0, *_MORE_LEVELS):
        graph = cached_solve(matrix, inputs, SolveOptions(least + more, operands=operands))
        bits = graph.cost_bits() * (1 + LEVEL_PRICE) ** max(graph.depth() - least, 0)
        if bits >= fewest:
            break
        fewest, graphs[least + more] = bits, graph
    return min(graphs, key=lambda depth: price(graphs[depth])) if len(graphs) > 1 else least
