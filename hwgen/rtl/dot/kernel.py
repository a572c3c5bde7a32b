"""`DotKernel`: how one row of weights meets one beat of inputs.

A kernel turns (inputs, weights) into summands of an adder tree; the accumulator and the folding
around it are the same for all kernels. Its result is `gain * sum + per_input * inputs`, which lets
the XNOR kernel count ones and still deliver the dot product. A folded unit need not have products
at all: `folded_unit` chooses.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import ClassVar, Protocol

import numpy as np
from amaranth import Module, Signal, Value

from hwgen.adders import DSP48E2, MultiplierShape
from hwgen.cost import Resources
from hwgen.ir import Codes
from hwgen.numeric import CodeType
from hwgen.rtl.adder_tree import Term, add_tree, tree_latency
from hwgen.rtl.dot.distributed import DistributedSum
from hwgen.rtl.dot.partial_products import PartialProducts
from hwgen.rtl.memory import pack
from hwgen.rtl.rom import constant_memory, rom_resources

FOLDED_LEVELS_PER_STAGE = 2


class FoldedUnit(Protocol):
    """How a folded matrix-vector unit comes from inputs and steps to the sums of its rows."""

    @property
    def cycles(self) -> int:
        """Registers between the inputs of a step and the sums."""

    def build(
        self, m: Module, x: Sequence[Value], steps: Codes, address: Value, advance: Signal
    ) -> list[Term]:
        """Return the sum of each row but for its share of `offset`, `cycles` after `x`.

        Parameters
        ----------
        m : module to add to
        x : the input codes of one step
        steps : int64 [steps, pe, simd], the weights in the order in which they are needed
        address : the step, one cycle before its inputs stand in `x`
        advance : registers load while this is high
        """

    def offset(self, row: Codes) -> int:
        """Return what the sums lack over all the steps of a row with these weights."""

    @property
    def offsets_differ(self) -> bool:
        """Whether `offset` depends on the weights."""

    def resources(self, pe: int) -> Resources:
        """Predict `pe` rows, weights included."""


class DotKernel(ABC):
    """Multiplication of inputs by weights that come from a memory or are constants.

    Parameters
    ----------
    weights : int64 [O, I], all the weights of the layer; encodings are sized by them
    inputs : type of the input codes
    multiplier : of the device
    lut_inputs : of a LUT of the device
    """

    name: ClassVar[str]
    gain: ClassVar[int] = 1
    per_input: ClassVar[int] = 0
    stages: ClassVar[int] = 1  # registers between weight word and summands
    price_factor: ClassVar[float] = 1.0  # what a kernel costs beside its resources: slow paths

    def __init__(
        self,
        weights: Codes,
        inputs: CodeType,
        multiplier: MultiplierShape = DSP48E2,
        lut_inputs: int = 6,
    ) -> None:
        self.weights = weights
        self.inputs = inputs
        self.multiplier = multiplier
        self.lut_inputs = lut_inputs

    @classmethod
    @abstractmethod
    def rejects(
        cls, weights: Codes, inputs: CodeType, multiplier: MultiplierShape = DSP48E2
    ) -> str:
        """Return why these weights and inputs cannot use this kernel, or an empty string.

        Parameters
        ----------
        multiplier : of the device
        """

    @property
    @abstractmethod
    def weight_bits(self) -> int:
        """Bits that store one weight."""

    @abstractmethod
    def encode(self, weights: Codes) -> Codes:
        """Return the stored word of each weight, an unsigned integer."""

    @abstractmethod
    def summands(
        self, m: Module, x: Sequence[Value], words: Sequence[Value], name: str, advance: Signal
    ) -> list[Term]:
        """Return terms whose sum is the row's contribution, `stages` cycles later."""

    @abstractmethod
    def constant_summands(self, x: Sequence[Value], row: Codes) -> list[Term]:
        """Return terms for weights known now, in the same cycle."""

    @abstractmethod
    def summands_per_lane(self) -> int:
        """Return how many terms one input lane gives."""

    @property
    def planes(self) -> int:
        """Cycles of a step of a folded unit, which takes as many bits of each input one by one."""
        return 1

    @abstractmethod
    def lane_resources(self) -> Resources:
        """Predict what one input lane of one row takes, its adder in the tree included."""

    def folded_unit(self, steps: int, simd: int) -> FoldedUnit:
        """Return what forms the sums of a folded unit: products, or tables where they are smaller.

        Parameters
        ----------
        steps : different weights that a row has, one after the other
        simd : inputs a step
        """
        products = ProductTree(self, steps, simd)
        if products.resources(1).dsp:
            return products
        return smallest_unit((products, *self.table_units(steps, simd)))

    def table_units(self, steps: int, simd: int) -> tuple[FoldedUnit, ...]:
        """Return the units without products that there are for these weights."""
        shape = steps, simd, self.inputs, CodeType.of(self.weights), self.lut_inputs
        distributed = DistributedSum(*shape)
        return (*((distributed,) if distributed.group else ()), PartialProducts(*shape))

    def constant_row_resources(self, row: Codes, sums: CodeType) -> Resources:
        """Predict the adder tree of a row of constants; adders grow from input to result."""
        adders = max(self.constant_terms(row) - 1, 0)
        bits = self.inputs.width + 2 + 0.35 * max(sums.width - self.inputs.width, 0)
        return Resources(lut=adders * bits + sums.width, ff=adders * bits + sums.width)

    def constant_terms(self, row: Codes) -> int:
        """Return how many terms `constant_summands` gives for `row`."""
        return int(np.count_nonzero(row))


def smallest_unit(units: Sequence[FoldedUnit]) -> FoldedUnit:
    """Return the unit with the fewest predicted LUTs; block RAMs are alike among them."""
    return min(units, key=lambda unit: unit.resources(1).lut)


@dataclass(frozen=True)
class ProductTree:
    """A memory of weights, a product for each lane, an adder tree."""

    kernel: DotKernel
    steps: int
    simd: int

    @property
    def cycles(self) -> int:
        """The kernel's stages, then the tree's."""
        terms = self.simd * self.kernel.summands_per_lane()
        return self.kernel.stages + tree_latency(terms, FOLDED_LEVELS_PER_STAGE)

    def build(
        self, m: Module, x: Sequence[Value], steps: Codes, address: Value, advance: Signal
    ) -> list[Term]:
        """Fetch the word of the step; multiply and add for each row."""
        kernel, bits = self.kernel, self.kernel.weight_bits
        encoded = kernel.encode(steps).reshape(len(steps), -1)
        words = [pack(step.tolist(), bits) for step in encoded]
        word = constant_memory(m, words, encoded.shape[1] * bits, address, advance, "weights")
        sums = []
        for row in range(steps.shape[1]):
            begin = row * len(x)
            lanes = [word[(begin + k) * bits : (begin + k + 1) * bits] for k in range(len(x))]
            terms = kernel.summands(m, x, lanes, f"row{row}", advance)
            total = add_tree(m, terms, f"row{row}_sum", advance, FOLDED_LEVELS_PER_STAGE)
            sums.append(replace(total, shift=total.shift + kernel.gain - 1))
        return sums

    def offset(self, row: Codes) -> int:
        """Return what the kernel leaves to be added for each input."""
        return self.kernel.per_input * len(row)

    @property
    def offsets_differ(self) -> bool:
        """They do not."""
        return False

    def resources(self, pe: int) -> Resources:
        """Predict from the kernel's figures for a lane."""
        memory = rom_resources(self.steps, pe * self.simd * self.kernel.weight_bits)
        return self.kernel.lane_resources() * (pe * self.simd) + memory
