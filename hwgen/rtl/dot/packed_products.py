"""Several products of one factor in one hardware multiplier.

    (w_0 + w_1 * 2**s + w_2 * 2**2s + ...) * x  =  w_0 * x + w_1 * x * 2**s + ...

The rows of a folded unit share each input x, so their weights stand side by side in the wide
operand. A constant added to the product, `bias` in every lane, makes each lane a number from 0 to
2**s - 1: no lane borrows from the next, and each is cut out as it stands. The biases are a
constant of the row and leave with its `offset`. In a DSP48 the addition is part of the slice.

Weights are stored side by side already, borrows between them included: no logic packs them.

Inputs that count from zero may be counted from the middle instead (their top bit inverted), where
the smaller products let one more lane in: four products of 4 bits in a DSP48E2, two of 8 bits.
All pairs of two inputs with two weights, (w_0 + w_1 * 2**i) * (x_0 + x_1 * 2**j), would need
two vectors a beat, which a folded unit does not have.

Source: Fu et al., Deep Learning with INT8 Optimization on Xilinx Devices, AMD WP486; Sommer et
al., DSP-Packing, arXiv 2203.11028.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from amaranth import Cat, Module, Signal, Value

from hwgen.adders import MultiplierShape
from hwgen.cost import Resources
from hwgen.errors import IRError
from hwgen.ir import Codes
from hwgen.numeric import CodeType
from hwgen.rtl.adder_tree import Term, add_tree, extend, tree_latency
from hwgen.rtl.dot.operand import number
from hwgen.rtl.memory import pack
from hwgen.rtl.rom import constant_memory, rom_resources

LEVELS_PER_STAGE = 2
# No tool takes a hardware multiplier for a result so narrow.
SOFT_RESULT_BITS = 8


@dataclass(frozen=True)
class Packing:
    """How many products share a multiplier, and where they lie in its result.

    Parameters
    ----------
    weights : interval of the weights
    inputs : interval of the factor they share
    lanes : products
    spacing : bits from one lane to the next
    bias : what is added to each product
    """

    weights: CodeType
    inputs: CodeType
    lanes: int
    spacing: int
    bias: int

    @classmethod
    def of(cls, weights: CodeType, inputs: CodeType, lanes: int) -> Packing:
        """Return the closest packing of so many lanes."""
        low, high = _product_ends(weights, inputs)
        spacing = max((high - low).bit_length(), 1)
        half = 1 << (spacing - 1)
        # A power of two is the cheapest constant to add.
        centred = low >= -half and high < half
        return cls(weights, inputs, lanes, spacing, half if centred else -low)

    @property
    def ones(self) -> int:
        """1 in every lane: what a weight that all lanes share is multiplied by."""
        return sum(1 << (lane * self.spacing) for lane in range(self.lanes))

    @property
    def operand(self) -> CodeType:
        """Interval of the weights side by side."""
        return CodeType(self.weights.lo * self.ones, self.weights.hi * self.ones)

    @property
    def lane(self) -> CodeType:
        """Interval of one product with its bias."""
        low, high = _product_ends(self.weights, self.inputs)
        return CodeType(low + self.bias, high + self.bias)

    def is_exact(self, multiplier: MultiplierShape) -> bool:
        """Whether no lane can reach the next, and both operands fit the multiplier."""
        apart = self.lane.lo >= 0 and self.lane.hi < 1 << self.spacing
        return (
            apart
            and _signed_width(self.operand) <= multiplier.wide
            and _signed_width(self.inputs) <= multiplier.narrow
        )


def _product_ends(a: CodeType, b: CodeType) -> tuple[int, int]:
    ends = [x * y for x in (a.lo, a.hi) for y in (b.lo, b.hi)]
    return min(ends), max(ends)


def _signed_width(codes: CodeType) -> int:
    return codes.width + (codes.lo >= 0)


def middle(inputs: CodeType) -> int:
    """Return what unsigned codes of this width are counted from where they count from the middle.

    Zero where their stored bits are numbers with a sign, or a single bit.
    """
    return 0 if inputs.lo < 0 or inputs.width == 1 else 1 << (inputs.width - 1)


@dataclass(frozen=True)
class PackedProducts:
    """A memory of packed weights, a multiplier for several rows, an adder tree for each row.

    Parameters
    ----------
    steps : different weights of a row, one after the other
    simd : inputs a step
    inputs : their type
    weights : interval of the weights
    multiplier : of the device

    Raises
    ------
    IRError : when not even one product fits the multiplier
    """

    steps: int
    simd: int
    inputs: CodeType
    weights: CodeType
    multiplier: MultiplierShape

    def __post_init__(self) -> None:
        if not self.packing.is_exact(self.multiplier):
            raise IRError(
                f"weights {self.weights} times inputs {self.inputs} do not fit a "
                f"{self.multiplier.name}, expected at most {self.multiplier.wide} and "
                f"{self.multiplier.narrow} bits with sign; choose the mac kernel"
            )

    @cached_property
    def base(self) -> int:
        """What the inputs are counted from: their middle only where that lets more lanes in."""
        base = middle(self.inputs)
        return base if base and self._most(base).lanes > self._most(0).lanes else 0

    @cached_property
    def packing(self) -> Packing:
        """As many lanes as fit."""
        return self._most(self.base)

    def _most(self, base: int) -> Packing:
        codes = CodeType(self.inputs.lo - base, self.inputs.hi - base)
        found = Packing.of(self.weights, codes, 1)
        while (more := Packing.of(self.weights, codes, found.lanes + 1)).is_exact(self.multiplier):
            found = more
        return found

    @property
    def cycles(self) -> int:
        """Product, bias, adder tree."""
        return 2 + tree_latency(self.simd, LEVELS_PER_STAGE)

    def offset(self, row: Codes) -> int:
        """Return the biases, taken back, and what counting from the middle leaves out."""
        return self.base * int(row.sum()) - self.packing.bias * len(row)

    @property
    def offsets_differ(self) -> bool:
        """Counted from the middle, inputs leave the sum of the weights."""
        return self.base != 0

    @property
    def field(self) -> CodeType:
        """Interval of what is stored of a weight: a negative one below borrows."""
        return CodeType(self.weights.lo - (self.weights.lo < 0), self.weights.hi)

    def fields(self, weights: Codes) -> Codes:
        """Return the stored fields of weights [..., rows, simd]: what a lane's bits say."""
        spacing = self.packing.spacing
        borrow = np.zeros_like(weights[..., 0, :])
        found = []
        for row in range(weights.shape[-2]):
            lane = row % self.packing.lanes
            borrow = borrow if lane else np.zeros_like(borrow)
            stored = weights[..., row, :] - borrow
            borrow = (stored < 0).astype(np.int64)
            found.append(stored & ((1 << min(self.field.width, spacing)) - 1))
        return np.stack(found, axis=-2)

    def build(
        self, m: Module, x: Sequence[Value], steps: Codes, address: Value, advance: Signal
    ) -> list[Term]:
        """Fetch the word of the step; a multiplier for `lanes` rows and each input."""
        width = min(self.field.width, self.packing.spacing)
        stored = self.fields(steps).reshape(len(steps), -1)
        words = [pack(step.tolist(), width) for step in stored]
        word = constant_memory(m, words, stored.shape[1] * width, address, advance, "weights")
        factors = [self._factor(value) for value in x]
        sums = []
        for first in range(0, steps.shape[1], self.packing.lanes):
            rows = range(first, min(first + self.packing.lanes, steps.shape[1]))
            terms: list[list[Term]] = [[] for _ in rows]
            for k, factor in enumerate(factors):
                places = [(row * self.simd + k) * width for row in rows]
                weights = [word[begin : begin + width] for begin in places]
                name = f"rows{first}to{rows[-1]}_product{k}"
                for lane, term in enumerate(self._multiply(m, factor, weights, name, advance)):
                    terms[lane].append(term)
            sums += [
                add_tree(m, own, f"row{row}_sum", advance, LEVELS_PER_STAGE)
                for row, own in zip(rows, terms, strict=True)
            ]
        return sums

    def _factor(self, value: Value) -> Value:
        """Return the input as a number, counted from `base`."""
        if self.base:
            return Cat(value[:-1], ~value[-1]).as_signed()
        return number(value, self.inputs)

    def _multiply(
        self, m: Module, factor: Value, weights: Sequence[Value], name: str, advance: Signal
    ) -> list[Term]:
        """Return the products of one input with `weights`, each with its bias, two cycles later."""
        packing, lanes = self.packing, len(weights)
        signed = self.field.lo < 0
        spread = [extend(weight, signed, packing.spacing) for weight in weights[:-1]]
        operand = Cat(*spread, weights[-1])
        wide = operand.as_signed() if signed else operand
        product = Signal(lanes * packing.spacing, name=name, reset_less=True)
        biased = Signal(lanes * packing.spacing, name=f"{name}_biased", reset_less=True)
        bias = sum(packing.bias << (lane * packing.spacing) for lane in range(lanes))
        full = factor * wide
        fills = full.shape().signed
        with m.If(advance):
            m.d.sync += [
                product.eq(extend(full, fills, len(product))),
                biased.eq((product + bias)[: len(biased)]),
            ]
        width = packing.lane.width
        starts = [lane * packing.spacing for lane in range(lanes)]
        return [Term(biased[begin : begin + width], packing.lane) for begin in starts]

    def resources(self, pe: int) -> Resources:
        """Predict `pe` rows, weights included; measured with the registers outside the slice."""
        packing = self.packing
        full, rest = divmod(pe, packing.lanes)
        multipliers = self._multiplier(packing.lanes) * full + self._multiplier(rest)
        # An addition of a constant takes an inverter for each of its ones.
        inverters = pe * self.simd * packing.bias.bit_count()
        registers = 2 * pe * self.simd * packing.spacing
        tree = self._tree() * pe
        memory = rom_resources(self.steps, pe * self.simd * min(self.field.width, packing.spacing))
        return multipliers * self.simd + Resources(inverters, registers) + tree + memory

    def _multiplier(self, rows: int) -> Resources:
        """Predict the multiplier of so many rows and one input."""
        if rows * self.packing.spacing > SOFT_RESULT_BITS:
            return Resources(dsp=1)
        return Resources(lut=1.75 * self.field.width * self.inputs.width if rows else 0)

    def _tree(self) -> Resources:
        """Predict the adder tree of a row."""
        luts = flip_flops = 0
        high, terms = self.packing.lane.hi, self.simd
        level = 0
        while terms > 1:
            level += 1
            high *= 2
            luts += (terms // 2) * high.bit_length()
            terms = -(-terms // 2)
            if level % LEVELS_PER_STAGE == 0 or terms == 1:
                flip_flops += terms * high.bit_length()
        return Resources(lut=luts, ff=flip_flops)
