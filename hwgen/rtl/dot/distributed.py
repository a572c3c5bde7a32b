"""Distributed arithmetic: no products, only sums of weights that input bits select.

For each bit position j of the inputs, a few lanes' bits select which of their weights are added;
the sum of those is a table. The step stands in for the weights, so up to 16 steps a table of six
bits takes the step and as many lanes as fit, and every bit of a sum is one LUT6, weights included.
With more steps (4 where a LUT has four inputs) the weights are words of a memory and the table
takes them instead. A tree of compressors adds what the tables give, the sums of position j with
weight 2**j.

Sums are kept from zero upwards: a group of lanes counts from the sum of its negative weights, and
two's complement inputs count from their lowest code. What that leaves out is a constant of the row.

Source: White, Applications of Distributed Arithmetic to Digital Signal Processing, IEEE ASSP
Magazine, July 1989.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from amaranth import Cat, Module, Signal, Value

from hwgen.cost import Resources
from hwgen.ir import Codes
from hwgen.numeric import CodeType
from hwgen.rtl.adder_tree import Term
from hwgen.rtl.compressor_tree import compress, compression_latency, compression_luts
from hwgen.rtl.dot.operand import bit_base, bit_scale, from_lowest
from hwgen.rtl.memory import lookup, pack
from hwgen.rtl.rom import constant_memory, rom_resources


@dataclass(frozen=True)
class DistributedSum:
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
    def looked_up(self) -> bool:
        """Whether the weights are functions of the step, not words of a memory."""
        return self.steps <= 1 << (self.lut_inputs - 2)

    @cached_property
    def group(self) -> int:
        """Lanes that share a table, 0 when not even one fits."""
        if self.looked_up:
            return self.lut_inputs - max((self.steps - 1).bit_length(), 1)
        return self.lut_inputs // (self.weights.width + 1)

    @cached_property
    def groups(self) -> tuple[range, ...]:
        """Lanes of each group."""
        starts = range(0, self.simd, self.group)
        return tuple(range(k, min(k + self.group, self.simd)) for k in starts)

    def most(self, lanes: int) -> int:
        """Return the largest sum of a table for so many lanes."""
        low, high = min(self.weights.lo, 0), max(self.weights.hi, 0)
        # Where the step is known a weight counts from zero or to zero, never both.
        return lanes * (max(high, -low) if self.looked_up else high - low)

    @property
    def codes(self) -> CodeType:
        """Interval of the sum of a row, in units of the inputs' lowest bit."""
        sizes = Counter(len(group) for group in self.groups)
        total = sum(self.most(lanes) * count for lanes, count in sizes.items())
        return CodeType(0, max(total * ((1 << self.inputs.width) - 1), 1))

    @cached_property
    def heights(self) -> tuple[int, ...]:
        """Heights of the compressor tree's columns."""
        heights = [0] * self.codes.width
        # All groups but the last are alike.
        for lanes, count in Counter(len(group) for group in self.groups).items():
            for k in range(self.most(lanes).bit_length()):
                for position in range(self.inputs.width):
                    heights[position + k] += count
        return tuple(heights)

    @property
    def cycles(self) -> int:
        """Registers from the inputs to the sum."""
        return 1 + compression_latency(self.heights, self.lut_inputs)

    def offset(self, row: Codes) -> int:
        """Return what the sum of `row`, all its steps together, lacks."""
        low = np.minimum(row, 0) if self.looked_up else np.full_like(row, min(self.weights.lo, 0))
        every_bit = bit_scale(self.inputs) * ((1 << self.inputs.width) - 1)
        return int((every_bit * low + bit_base(self.inputs) * row).sum())

    @property
    def offsets_differ(self) -> bool:
        """Counting every weight from the lowest leaves the same for each row."""
        return self.looked_up or bit_base(self.inputs) != 0

    def build(
        self, m: Module, x: Sequence[Value], steps: Codes, address: Value, advance: Signal
    ) -> list[Term]:
        """Build the tables of each row and their compressor tree."""
        bits = from_lowest(x, self.inputs)
        if self.looked_up:
            number = Signal(len(address), name="step_of_inputs", reset_less=True)
            with m.If(advance):
                m.d.sync += number.eq(address)
            rows = [_step_tables(self, steps[:, row], number) for row in range(steps.shape[1])]
        else:
            rows = _word_tables(m, self, steps, address, advance)
        return [
            _row(m, self, bits, tables, f"row{row}", advance) for row, tables in enumerate(rows)
        ]

    def resources(self, pe: int) -> Resources:
        """Predict `pe` rows with their weights."""
        tables = sum(self.heights)
        row = Resources(
            lut=tables + compression_luts(self.heights, self.lut_inputs), ff=1.6 * tables
        )
        if self.looked_up:
            return row * pe
        return row * pe + rom_resources(self.steps, pe * self.simd * self.weights.width)


@dataclass(frozen=True)
class _Table:
    """Sums of one group: values[selector, input bits]; the selector says which weights."""

    values: Codes
    selector: Value

    def bit(self, index: int, inputs: Value) -> Value:
        """Return bit `index` of the sum."""
        return lookup(self.values >> index & 1, Cat(inputs, self.selector))


def _selections(lanes: int) -> Codes:
    """Return which lanes are selected by each combination of their bits, [2**lanes, lanes]."""
    return np.arange(1 << lanes)[:, None] >> np.arange(lanes) & 1


def _step_tables(shape: DistributedSum, row: Codes, number: Value) -> list[_Table]:
    tables = []
    for group in shape.groups:
        weights = row[:, group.start : group.stop]
        low = np.minimum(weights, 0).sum(axis=1, keepdims=True)
        tables.append(_Table(weights @ _selections(len(group)).T - low, number))
    return tables


def _word_tables(
    m: Module, shape: DistributedSum, steps: Codes, address: Value, advance: Signal
) -> list[list[_Table]]:
    width, low = shape.weights.width, min(shape.weights.lo, 0)
    stored = shape.weights.to_bits(steps).reshape(len(steps), -1)
    words = [pack(step.tolist(), width) for step in stored]
    word = constant_memory(m, words, stored.shape[1] * width, address, advance, "weights")
    number = np.arange(1 << width)
    if shape.weights.signed:
        number = np.where(number >> (width - 1), number - (1 << width), number)
    rows = []
    for row in range(steps.shape[1]):
        tables = []
        for group in shape.groups:
            lanes = len(group)
            # Every combination of weights, the first lane's in the low bits.
            index = np.arange(1 << (width * lanes))[:, None] >> width * np.arange(lanes)
            sums = number[index & ((1 << width) - 1)] @ _selections(lanes).T - low * lanes
            begin = (row * shape.simd + group.start) * width
            # Codes outside the interval never come: their sums may be anything.
            sums = np.clip(sums, 0, shape.most(lanes))
            tables.append(_Table(sums, word[begin : begin + lanes * width]))
        rows.append(tables)
    return rows


def _row(
    m: Module,
    shape: DistributedSum,
    x: Sequence[Value],
    tables: Sequence[_Table],
    name: str,
    advance: Signal,
) -> Term:
    found, column_of = [], []
    for group, table in zip(shape.groups, tables, strict=True):
        for position in range(shape.inputs.width):
            inputs = Cat(*(x[k][position] for k in group))
            for k in range(shape.most(len(group)).bit_length()):
                found.append(table.bit(k, inputs))
                column_of.append(position + k)
    sums = Signal(len(found), name=f"{name}_tables", reset_less=True)
    with m.If(advance):
        m.d.sync += sums.eq(Cat(*found))
    columns: list[list[Value]] = [[] for _ in shape.heights]
    for k, column in enumerate(column_of):
        columns[column].append(sums[k])
    total = compress(m, columns, shape.codes, f"{name}_sum", advance, shape.lut_inputs)
    return Term(total.value, total.codes, bit_scale(shape.inputs) - 1)
