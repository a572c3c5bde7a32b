"""`AdderGraph`: a constant matrix-vector product as a graph of adders of two or three operands.

Nodes are numbered: first the inputs, then the adders, operands before their users. Each adder is
t = (+-a) +- b * 2**shift, and +- c * 2**shift_c where the device adds three numbers in one carry
chain; shifts are wires. A node has an exact integer form (its combination of the inputs) and,
from it, an exact interval. `verify` compares forms with the matrix: that proves the graph for all
inputs.

Source: Voronenko and Puschel, Multiplierless multiple constant multiplication, ACM Trans.
Algorithms 3(2), 2007 (adder graphs, fundamentals); Simkins and Young, Adder circuit for three
operands in a LUT with carry chain, US patent 7274211, 2007 (what `Adder.bits` counts for three).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from hwgen.errors import AdderGraphError
from hwgen.numeric import CodeType

Integers = npt.NDArray[np.int64]


class Operand(NamedTuple):
    """(-1 if negative) * node * 2**shift."""

    node: int
    shift: int
    negative: bool


@dataclass(frozen=True)
class Adder:
    """(-a if negative_a else a) + (-b if negative_b else b) * 2**shift, and c likewise if given.

    Not all operands are negative: the chain has a carry in for one negation, or for two where it
    adds three numbers.
    """

    a: int
    b: int
    shift: int
    negative_a: bool = False
    negative_b: bool = False
    c: int | None = None
    shift_c: int = 0
    negative_c: bool = False

    @property
    def operands(self) -> tuple[Operand, ...]:
        """The two or three operands."""
        a = Operand(self.a, 0, self.negative_a)
        b = Operand(self.b, self.shift, self.negative_b)
        return (a, b) if self.c is None else (a, b, Operand(self.c, self.shift_c, self.negative_c))

    def bits(self, operands: Sequence[CodeType], result: CodeType) -> int:
        """Return how many bits of carry chain the adder takes, about a LUT each.

        That is the width of the result, from its exact interval, without the low bits that are
        wires: below the place where two operands meet, or where a negative one begins.
        """
        # A sign bit goes on to the end.
        placed = sorted(
            (shift, result.width if codes.lo < 0 else shift + codes.width, negative)
            for (_, shift, negative), codes in zip(self.operands, operands, strict=True)
            if (codes.lo, codes.hi) != (0, 0)
        )
        starts = [shift for shift, _, negative in placed if negative]
        for k, (shift, _, _) in enumerate(placed):
            if any(end > shift for _, end, _ in placed[:k]):
                starts.append(shift)
        return max(result.width - min(starts, default=result.width), 0)


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
            operands = adder.operands
            sound = all(0 <= source < node and shift >= 0 for source, shift, _ in operands)
            if not sound or all(negative for _, _, negative in operands):
                raise AdderGraphError(
                    f"adder graph: node {node} is {adder}; expected earlier operands, a shift of "
                    "zero or more and a positive operand"
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
            for source, shift, negative in adder.operands:
                # A part of int64's range, so that neither the shift nor the sum can wrap unseen.
                if int(np.abs(forms[source]).max(initial=0)) << shift >= 1 << 61:
                    raise AdderGraphError(f"adder graph: node {node} exceeds 61 bits")
                term = forms[source] << shift
                forms[node] += -term if negative else term
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
            levels.append(1 + max(levels[operand.node] for operand in adder.operands))
        return tuple(levels)

    def depth(self) -> int:
        """Adders on the longest path to an output, final negations not counted."""
        return max((self.levels[o.node] for o in self.outputs if o.node is not None), default=0)

    def adder_bits(self) -> list[int]:
        """Bits of each adder; see `Adder.bits`."""
        ranges = self.intervals
        return [
            adder.bits([ranges[operand.node] for operand in adder.operands], ranges[node])
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
            total = np.zeros_like(x[..., 0])
            for source, shift, negative in adder.operands:
                term = nodes[source] << shift
                total = total - term if negative else total + term
            nodes.append(total)
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
