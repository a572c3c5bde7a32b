"""Steps whose inputs are themselves functions of one number: x * Sigmoid(x), Where(x > 0, x, y).

A node of the model that joins several element-wise functions of the same tensor is one function of
it. Like `float_steps.py` these never become hardware.

Source: ONNX operator definitions
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from enum import Enum
from functools import reduce

import numpy as np
import numpy.typing as npt

from hwgen.ops.float_steps import RISING, UNKNOWN, Integers, Reals, Step, pick

Branch = tuple[Step, ...]


class Join(Enum):
    """What a node does with its inputs; the value is the ONNX operator's name."""

    ADD = "Add"
    SUBTRACT = "Sub"
    MULTIPLY = "Mul"
    DIVIDE = "Div"
    POWER = "Pow"
    MAXIMUM = "Max"
    MINIMUM = "Min"
    MEAN = "Mean"
    SELECT = "Where"
    AND = "And"
    OR = "Or"
    XOR = "Xor"
    EQUAL = "Equal"
    GREATER = "Greater"
    GREATER_OR_EQUAL = "GreaterOrEqual"
    LESS = "Less"
    LESS_OR_EQUAL = "LessOrEqual"


Inputs = Sequence[Reals]
Binary = Callable[[Reals, Reals], npt.NDArray]

# Of two inputs, or of several from the left to the right. Truth is 1, else 0.
_BINARY: dict[Join, Binary] = {
    Join.ADD: np.add,
    Join.SUBTRACT: np.subtract,
    Join.MULTIPLY: np.multiply,
    Join.DIVIDE: np.divide,
    Join.POWER: lambda x, y: np.power(x, y, dtype=np.float64).astype(np.float32),
    Join.MAXIMUM: np.maximum,
    Join.MINIMUM: np.minimum,
    Join.MEAN: np.add,
    Join.AND: np.logical_and,
    Join.OR: np.logical_or,
    Join.XOR: np.logical_xor,
    Join.EQUAL: np.equal,
    Join.GREATER: np.greater,
    Join.GREATER_OR_EQUAL: np.greater_equal,
    Join.LESS: np.less,
    Join.LESS_OR_EQUAL: np.less_equal,
}
_KEEPS_ORDER = frozenset({Join.ADD, Join.MAXIMUM, Join.MINIMUM})


def _joined(join: Join, inputs: Inputs) -> npt.NDArray:
    if join is Join.SELECT:
        condition, chosen, other = inputs
        return np.where(condition != 0, chosen, other)
    result = reduce(_BINARY[join], inputs)
    return result / np.float32(len(inputs)) if join is Join.MEAN else result


@dataclass(frozen=True, eq=False)
class Fill(Step):
    """The constant, whatever x is."""

    constant: Reals

    def apply(self, x: Reals, channels: Integers) -> Reals:
        """See `Step.apply`."""
        return np.broadcast_to(pick(self.constant, channels), np.broadcast(x, channels).shape)

    def direction(self, channels: Integers) -> Integers:
        """Rising: it never falls."""
        return np.full(channels.shape, RISING, dtype=np.int64)


@dataclass(frozen=True, eq=False)
class Combine(Step):
    """join(branch(x), branch(x), ...), the branches in the order of the node's inputs."""

    join: Join
    branches: tuple[Branch, ...]

    def apply(self, x: Reals, channels: Integers) -> Reals:
        """See `Step.apply`."""
        inputs = [
            reduce(lambda y, step: step.apply(y, channels), branch, x) for branch in self.branches
        ]
        with np.errstate(divide="ignore"):
            return np.asarray(_joined(self.join, inputs), dtype=np.float32)

    def direction(self, channels: Integers) -> Integers:
        """Rising where all branches are and the join keeps order, else unknown."""
        rising = np.full(channels.shape, self.join in _KEEPS_ORDER)
        for branch in self.branches:
            result = np.ones(channels.shape, dtype=np.int64)
            for step in branch:
                result = result * step.direction(channels)
            rising &= result == RISING
        return np.where(rising, RISING, UNKNOWN).astype(np.int64)

    def sizes(self) -> set[int]:
        """See `Step.sizes`."""
        return {size for branch in self.branches for step in branch for size in step.sizes()}

    def count(self) -> int:
        """See `Step.count`."""
        return 1 + sum(step.count() for branch in self.branches for step in branch)

    def picked(self, channels: Integers) -> Combine:
        """See `Step.picked`."""
        each = tuple(tuple(step.picked(channels) for step in branch) for branch in self.branches)
        return replace(self, branches=each)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Combine):
            return NotImplemented
        return self.join is other.join and self.branches == other.branches

    def __hash__(self) -> int:
        return hash((self.join, self.branches))
