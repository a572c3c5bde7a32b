"""Multiplication as one heap of bits: no product of its own, only partial products and their sum.

A partial product is one bit of a weight and one of an input. All lanes of a row put theirs into
the same columns, where three of them, six bits, are a full adder of two LUT6: the conjunctions
are part of its tables. A tree of compressors adds what is left, so a partial product costs four
thirds of a LUT, sums included, where a multiplier and an adder of its own take more than two. With
LUTs of four inputs two of them are a half adder.

Where one of the two bits counts negative, the inverted partial product counts instead, and what
that adds is the same for every row.

Source: Baugh and Wooley, A Two's Complement Parallel Array Multiplication Algorithm, IEEE
Transactions on Computers, December 1973.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import product

import numpy as np
from amaranth import Cat, Module, Signal, Value

from hwgen.cost import Resources
from hwgen.ir import Codes
from hwgen.numeric import CodeType
from hwgen.rtl.adder_tree import Term
from hwgen.rtl.compressor_tree import compress, compression_latency, compression_luts
from hwgen.rtl.dot.operand import bit_base, bit_scale
from hwgen.rtl.memory import lookup, pack
from hwgen.rtl.rom import constant_memory, rom_resources


@dataclass(frozen=True)
class PartialProducts:
    """Shape of the unit.

    Parameters
    ----------
    steps : different weights of a row, one after the other
    simd : inputs a step
    inputs : their type
    weights : interval of the weights
    lut_inputs : of a LUT of the device
    """

    steps: int
    simd: int
    inputs: CodeType
    weights: CodeType
    lut_inputs: int = 6

    @property
    def adder_inputs(self) -> int:
        """Partial products, of two bits each, that one table counts."""
        return self.lut_inputs // 2

    @property
    def codes(self) -> CodeType:
        """Interval of what the heap adds up to."""
        most = ((1 << self.weights.width) - 1) * ((1 << self.inputs.width) - 1)
        return CodeType(0, self.simd * most)

    @cached_property
    def counts(self) -> tuple[int, ...]:
        """Partial products of each column."""
        counts = [0] * (self.weights.width + self.inputs.width - 1)
        for i, j in product(range(self.weights.width), range(self.inputs.width)):
            counts[i + j] += self.simd
        return tuple(counts)

    @cached_property
    def heights(self) -> tuple[int, ...]:
        """Heights of the compressor tree's columns."""
        heights = [0] * self.codes.width
        for column, count in enumerate(self.counts):
            adders, rest = divmod(count, self.adder_inputs)
            heights[column] += adders + rest
            if adders:
                heights[column + 1] += adders
        return tuple(heights)

    @property
    def cycles(self) -> int:
        """Registers from the inputs to the sum."""
        return 1 + compression_latency(self.heights, self.lut_inputs)

    def _is_inverted(self, i: int, j: int) -> bool:
        """Whether bit i of a weight and bit j of an input count with different signs."""
        weight = self.weights.signed and i == self.weights.width - 1
        return weight != (self.inputs.signed and j == self.inputs.width - 1)

    @cached_property
    def excess(self) -> int:
        """What inverted partial products add to each lane."""
        every = product(range(self.weights.width), range(self.inputs.width))
        return sum(1 << (i + j) for i, j in every if self._is_inverted(i, j))

    def offset(self, row: Codes) -> int:
        """Return what the heap has too much, and the base of bipolar inputs."""
        base = bit_base(self.inputs) if self.inputs.bipolar else 0
        return base * int(row.sum()) - bit_scale(self.inputs) * self.excess * len(row)

    @property
    def offsets_differ(self) -> bool:
        """Only bipolar inputs leave the sum of the weights."""
        return self.inputs.bipolar

    def build(
        self, m: Module, x: Sequence[Value], steps: Codes, address: Value, advance: Signal
    ) -> list[Term]:
        """Fetch the weights of the step; build the heap of each row."""
        width = self.weights.width
        stored = self.weights.to_bits(steps).reshape(len(steps), -1)
        words = [pack(step.tolist(), width) for step in stored]
        word = constant_memory(m, words, stored.shape[1] * width, address, advance, "weights")
        sums = []
        for row in range(steps.shape[1]):
            starts = [(row * self.simd + k) * width for k in range(self.simd)]
            weights = [word[begin : begin + width] for begin in starts]
            sums.append(self._row(m, x, weights, f"row{row}", advance))
        return sums

    def _row(
        self, m: Module, x: Sequence[Value], weights: Sequence[Value], name: str, advance: Signal
    ) -> Term:
        columns: list[list[tuple[Value, Value, bool]]] = [[] for _ in self.counts]
        for i, j in product(range(self.weights.width), range(self.inputs.width)):
            columns[i + j] += [
                (weight[i], value[j], self._is_inverted(i, j))
                for weight, value in zip(weights, x, strict=True)
            ]
        found: list[list[Value]] = [[] for _ in self.heights]
        for column, partial in enumerate(columns):
            whole = len(partial) - len(partial) % self.adder_inputs
            for k in range(0, whole, self.adder_inputs):
                low, high = _full_adder(partial[k : k + self.adder_inputs])
                found[column].append(low)
                found[column + 1].append(high)
            found[column] += [_conjunction(*own) for own in partial[whole:]]
        flat = Cat(*(bit for bits in found for bit in bits))
        held = Signal(len(flat), name=f"{name}_heap", reset_less=True)
        with m.If(advance):
            m.d.sync += held.eq(flat)
        bits = iter(range(len(held)))
        heap = [[held[next(bits)] for _ in column] for column in found]
        total = compress(m, heap, self.codes, f"{name}_sum", advance, self.lut_inputs)
        return Term(total.value, total.codes, bit_scale(self.inputs) - 1)

    def resources(self, pe: int) -> Resources:
        """Predict `pe` rows, weights included; measured."""
        first = sum(self.heights)
        row = Resources(lut=first + compression_luts(self.heights, self.lut_inputs), ff=1.6 * first)
        return row * pe + rom_resources(self.steps, pe * self.simd * self.weights.width)


def _conjunction(weight: Value, value: Value, inverted: bool) -> Value:
    both = weight & value
    return ~both if inverted else both


def _full_adder(partial: Sequence[tuple[Value, Value, bool]]) -> tuple[Value, Value]:
    """Return sum and carry of two or three partial products, each one table of their bits."""
    index = np.arange(1 << (2 * len(partial)))
    ones = np.zeros_like(index)
    for k, (_, _, inverted) in enumerate(partial):
        ones += (index >> 2 * k & index >> 2 * k + 1 & 1) ^ int(inverted)
    inputs = Cat(*(bit for weight, value, _ in partial for bit in (weight, value)))
    return lookup(ones & 1, inputs), lookup(ones >> 1, inputs)
