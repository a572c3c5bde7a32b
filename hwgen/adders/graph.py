"""`AdderGraph`: a constant matrix-vector product as a graph of two-operand adders.

Nodes are numbered: first the inputs, then the adders, operands before their users. Each adder is
t = (+-a) +- b * 2**shift; shifts are wires. A node has an exact integer form (its combination of
the inputs) and, from it, an exact interval. `verify` compares forms with the matrix: that proves
the graph for all inputs.

Source: Voronenko and Puschel, Multiplierless multiple constant multiplication, ACM Trans.
Algorithms 3(2), 2007 (adder graphs, fundamentals).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt

from hwgen.errors import AdderGraphError
from hwgen.numeric import CodeType

Integers = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Adder:
    """(-a if negative_a else a) + (-b if negative_b else b) * 2**shift; not both negative."""

    a: int
    b: int
    shift: int
    negative_a: bool = False
    negative_b: bool = False

    def bits(self, a: CodeType, b: CodeType, result: CodeType) -> int:
        """Return how many bits of carry chain the adder takes, about a LUT each.

        That is the width of the result, from its exact interval, without the low bits that are
        wires of one operand: the `shift` low bits of a, or of -a only the lowest. Nothing is
        needed at all where an unsigned a lies wholly below b, or an operand is zero.
        """
        width_a = 0 if a.lo == a.hi == 0 else a.width
        if width_a == 0 or b.lo == b.hi == 0:
            return 0
        if self.negative_a:
            return max(result.width - min(self.shift, 1), 0)
        if not self.negative_b and a.lo >= 0 and self.shift >= width_a:
            return 0
        return max(result.width - self.shift, 0)


@dataclass(frozen=True)
class Output:
    """(-1 if negative) * node * 2**shift, or zero where there is no node."""

    node: int | None
    shift: int = 0
    negative: bool = False


@dataclass(frozen=True)
class AdderGraph:
    """Adders and outputs over inputs of known intervals.

    Parameters
    ----------
    inputs : interval of each input; node k is input k
    adders : adder k is node len(inputs) + k
    outputs : one for each row of the matrix
    """

    inputs: tuple[CodeType, ...]
    adders: tuple[Adder, ...]
    outputs: tuple[Output, ...]

    def __post_init__(self) -> None:
        for k, adder in enumerate(self.adders):
            node = len(self.inputs) + k
            sound = 0 <= adder.a < node and 0 <= adder.b < node and adder.shift >= 0
            if not sound or (adder.negative_a and adder.negative_b):
                raise AdderGraphError(
                    f"adder graph: node {node} is {adder}; expected earlier operands, a shift of "
                    "zero or more and at most one negative operand"
                )
        nodes = len(self.inputs) + len(self.adders)
        for row, output in enumerate(self.outputs):
            if output.node is not None and not 0 <= output.node < nodes:
                raise AdderGraphError(
                    f"adder graph: output {row} is node {output.node}, expected one of {nodes}"
                )

    @cached_property
    def forms(self) -> Integers:
        """Each node's coefficients of the inputs, int64 [nodes, inputs]; exact or an error."""
        count = len(self.inputs)
        forms = np.zeros((count + len(self.adders), count), dtype=np.int64)
        forms[:count] = np.eye(count, dtype=np.int64)
        for node, adder in enumerate(self.adders, start=count):
            a, b = forms[adder.a], forms[adder.b]
            # Half the range of int64, so that neither the shift nor the sum can wrap unseen.
            if int(np.abs(b).max(initial=0)) << adder.shift >= 1 << 61:
                raise AdderGraphError(f"adder graph: node {node} exceeds 61 bits")
            b = b << adder.shift
            forms[node] = (-a if adder.negative_a else a) + (-b if adder.negative_b else b)
        return forms

    @cached_property
    def intervals(self) -> tuple[CodeType, ...]:
        """Exact interval of each node."""
        lo = np.array([codes.lo for codes in self.inputs], dtype=object)
        hi = np.array([codes.hi for codes in self.inputs], dtype=object)
        positive = np.maximum(self.forms, 0).astype(object)
        negative = np.minimum(self.forms, 0).astype(object)
        lows = positive @ lo + negative @ hi
        highs = positive @ hi + negative @ lo
        return tuple(CodeType(int(low), int(high)) for low, high in zip(lows, highs, strict=True))

    @cached_property
    def levels(self) -> tuple[int, ...]:
        """Adders on the longest path to each node."""
        levels = [0] * len(self.inputs)
        for adder in self.adders:
            levels.append(1 + max(levels[adder.a], levels[adder.b]))
        return tuple(levels)

    def depth(self) -> int:
        """Adders on the longest path to an output, final negations not counted."""
        return max((self.levels[o.node] for o in self.outputs if o.node is not None), default=0)

    def adder_bits(self) -> list[int]:
        """Bits of each adder; see `Adder.bits`."""
        ranges = self.intervals
        return [
            adder.bits(ranges[adder.a], ranges[adder.b], ranges[node])
            for node, adder in enumerate(self.adders, start=len(self.inputs))
        ]

    def cost_bits(self) -> int:
        """Bits of all adders, and of the negations of outputs that are negative."""
        negations = {o.node for o in self.outputs if o.negative and o.node is not None}
        return sum(self.adder_bits()) + sum(self.intervals[node].width for node in negations)

    def evaluate(self, x: Integers) -> Integers:
        """Return the outputs for inputs [..., I], adder by adder."""
        nodes: list[Integers] = [x[..., k] for k in range(len(self.inputs))]
        for adder in self.adders:
            a, b = nodes[adder.a], nodes[adder.b] << adder.shift
            nodes.append((-a if adder.negative_a else a) + (-b if adder.negative_b else b))
        rows = [
            np.zeros(x.shape[:-1], dtype=np.int64)
            if output.node is None
            else (nodes[output.node] << output.shift) * (-1 if output.negative else 1)
            for output in self.outputs
        ]
        return np.stack(rows, axis=-1)

    def matrix(self) -> Integers:
        """Return the matrix [O, I] that the graph computes."""
        rows = np.zeros((len(self.outputs), len(self.inputs)), dtype=np.int64)
        for row, output in enumerate(self.outputs):
            if output.node is not None:
                rows[row] = (self.forms[output.node] << output.shift) * (
                    -1 if output.negative else 1
                )
        return rows

    def verify(self, matrix: Integers) -> None:
        """Prove that the graph computes `matrix @ x` for every x.

        Raises
        ------
        AdderGraphError
            When the linear form of an output is not its row.
        """
        found = self.matrix()
        if found.shape != matrix.shape:
            raise AdderGraphError(f"adder graph: shape {found.shape}, expected {matrix.shape}")
        wrong = np.flatnonzero(np.any(found != matrix, axis=1))
        if wrong.size:
            row = int(wrong[0])
            raise AdderGraphError(
                f"adder graph: output {row} computes {found[row].tolist()}, "
                f"expected {np.asarray(matrix)[row].tolist()}"
            )


def flip_costs(graph: AdderGraph, uses: Sequence[int]) -> list[int | None]:
    """Return for each node the bits it costs to make it negative instead, None if it is shared."""
    costs: list[int | None] = [None] * len(graph.inputs)
    for node, adder in enumerate(graph.adders, start=len(graph.inputs)):
        low_bits = max(adder.shift - 1, 0)
        if uses[node] > 1:
            costs.append(None)
        elif adder.negative_a or adder.negative_b:
            costs.append(-low_bits if adder.negative_a else low_bits)
        else:
            of_b = costs[adder.b]
            ways = [costs[adder.a], None if of_b is None else of_b + low_bits]
            costs.append(min((way for way in ways if way is not None), default=None))
    return costs


def with_positive_outputs(graph: AdderGraph) -> AdderGraph:
    """Return the graph with negative outputs made positive, where subtracting the other way does.

    A node used once may be negated for free by swapping the roles in a subtraction, up to the low
    bits that are no longer wires; a sum passes the wish on to one of its operands.
    """
    adders = list(graph.adders)
    outputs = list(graph.outputs)
    uses = [0] * (len(graph.inputs) + len(adders))
    for adder in adders:
        uses[adder.a] += 1
        uses[adder.b] += 1
    for output in outputs:
        if output.node is not None:
            uses[output.node] += 1
    costs = flip_costs(graph, uses)
    first = len(graph.inputs)
    for row, output in enumerate(outputs):
        if not output.negative or output.node is None or costs[output.node] is None:
            continue
        outputs[row] = Output(output.node, output.shift)
        node = output.node
        while True:
            adder = adders[node - first]
            if adder.negative_a or adder.negative_b:
                flipped = (not adder.negative_a, not adder.negative_b)
                adders[node - first] = Adder(adder.a, adder.b, adder.shift, *flipped)
                break
            of_a, of_b = costs[adder.a], costs[adder.b]
            low_bits = max(adder.shift - 1, 0)
            through_a = of_b is None or (of_a is not None and of_a <= of_b + low_bits)
            # -(a + b) = (-a) - b = (-b) - a
            flipped = (False, True) if through_a else (True, False)
            adders[node - first] = Adder(adder.a, adder.b, adder.shift, *flipped)
            node = adder.a if through_a else adder.b
    return AdderGraph(graph.inputs, tuple(adders), tuple(outputs))
