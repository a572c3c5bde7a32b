"""`DotKernel`: how one row of weights meets one beat of inputs.

A kernel turns (inputs, weights) into summands of an adder tree; the tree, the accumulator and the
folding around it are the same for all kernels. Its result is `gain * sum + per_input * inputs`,
which lets the XNOR kernel count ones and still deliver the dot product.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import ClassVar

import numpy as np
from amaranth import Module, Signal, Value

from hwgen.cost import Resources
from hwgen.ir import Codes
from hwgen.numeric import CodeType
from hwgen.rtl.adder_tree import Term


class DotKernel(ABC):
    """Multiplication of inputs by weights that come from a memory or are constants.

    Parameters
    ----------
    weights : int64 [O, I], all the weights of the layer; encodings are sized by them
    inputs : type of the input codes
    """

    name: ClassVar[str]
    gain: ClassVar[int] = 1
    per_input: ClassVar[int] = 0
    stages: ClassVar[int] = 1  # registers between weight word and summands
    price_factor: ClassVar[float] = 1.0  # what a kernel costs beside its resources: slow paths

    def __init__(self, weights: Codes, inputs: CodeType) -> None:
        self.weights = weights
        self.inputs = inputs

    @classmethod
    @abstractmethod
    def rejects(cls, weights: Codes, inputs: CodeType) -> str:
        """Return why these weights and inputs cannot use this kernel, or an empty string."""

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

    @abstractmethod
    def lane_resources(self) -> Resources:
        """Predict what one input lane of one row takes, its adder in the tree included."""

    def constant_row_resources(self, row: Codes, sums: CodeType) -> Resources:
        """Predict the adder tree of a row of constants; adders grow from input to result."""
        adders = max(self.constant_terms(row) - 1, 0)
        bits = self.inputs.width + 2 + 0.35 * max(sums.width - self.inputs.width, 0)
        return Resources(lut=adders * bits + sums.width, ff=adders * bits + sums.width)

    def constant_terms(self, row: Codes) -> int:
        """Return how many terms `constant_summands` gives for `row`."""
        return int(np.count_nonzero(row))
