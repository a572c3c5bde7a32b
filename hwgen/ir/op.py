"""`Op`: what every operator of the vocabulary promises; the operators themselves are in `ops/`.

An operator is a frozen dataclass of its parameters, with its meaning, its promise (schedule and
resources) and its hardware beside each other in one file.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, ClassVar, Generic, TypeVar

import numpy as np
import numpy.typing as npt

from hwgen.cost import Resources
from hwgen.errors import IRError
from hwgen.ir.schedule import Schedule
from hwgen.ir.tensor_type import TensorType

if TYPE_CHECKING:
    from hwgen.rtl.stream.component import StreamComponent

Codes = npt.NDArray[np.int64]
T = TypeVar("T")


@dataclass(frozen=True)
class Cost:
    """What an operator takes on the chip, before synthesis.

    Parameters
    ----------
    interval_cycles : clock cycles between the first beats of two frames, never stalled
    latency_cycles : from the first input transfer of a lone frame to its last output transfer
    resources : predicted LUT, FF, DSP, BRAM36, URAM
    memory_bits : weights, tables and buffers together
    """

    interval_cycles: int
    latency_cycles: int
    resources: Resources
    memory_bits: int


@dataclass(frozen=True, eq=False)
class Op(ABC):
    """One box of the graph. `name` is its word in the text form and in `hwgen ops`."""

    name: ClassVar[str]

    # what ----------------------------------------------------------------------------------

    @abstractmethod
    def infer(self, *inputs: TensorType) -> TensorType:
        """Check the inputs against the parameters and return the output's type.

        Raises
        ------
        IRError : with what was expected and what came
        """

    # meaning -------------------------------------------------------------------------------

    @abstractmethod
    def evaluate(self, *codes: Codes) -> Codes:
        """Return the output codes of int64 `codes` shaped (frames, *shape): the specification."""

    # promise -------------------------------------------------------------------------------

    @abstractmethod
    def schedule(self, *inputs: TensorType) -> Schedule:
        """Return which cycles of a frame take and give a beat."""

    def interval_cycles(self, *inputs: TensorType) -> int:
        """Cycles of a frame as in `schedule`; fast: the folding search asks for every choice."""
        return self.schedule(*inputs).interval_cycles

    def foldings(self, *inputs: TensorType) -> tuple[Op, ...]:
        """Return this operator with every width of beats that fits `inputs`, the narrowest first.

        Nothing but the fields that choose beats differs (`pe`, `simd`, `taps`, `pixels`); an
        operator without such fields returns itself.
        """
        return (self,)

    @abstractmethod
    def resources(self, *inputs: TensorType) -> Resources:
        """Predict LUT, FF, DSP and BRAM36."""

    def estimate(self, *inputs: TensorType) -> Resources:
        """Predict as `resources` does, but fast: the folding search asks for every choice.

        Depends on the operator and its inputs alone, never on what was computed before.
        """
        return self.resources(*inputs)

    def memory_bits(self, *inputs: TensorType) -> int:
        """Bits of weights, tables and buffers."""
        return 0

    def cost(self, *inputs: TensorType) -> Cost:
        """Return everything promised, in one record."""
        schedule = self.schedule(*inputs)
        return Cost(
            interval_cycles=schedule.interval_cycles,
            latency_cycles=schedule.latency_cycles,
            resources=self.resources(*inputs),
            memory_bits=self.memory_bits(*inputs),
        )

    # hardware ------------------------------------------------------------------------------

    @property
    @abstractmethod
    def lanes(self) -> tuple[int, int]:
        """Codes in an input beat and in an output beat."""

    @abstractmethod
    def hardware(self, *inputs: TensorType) -> StreamComponent:
        """Return the Amaranth component with stream ports `i` and `o`."""

    # parameters compare by value, arrays included -------------------------------------------

    def __eq__(self, other: object) -> bool:
        if type(self) is not type(other):
            return NotImplemented
        return all(
            np.array_equal(getattr(self, f.name), getattr(other, f.name)) for f in fields(self)
        )

    def __hash__(self) -> int:
        return hash((type(self), tuple(np.shape(getattr(self, f.name)) for f in fields(self))))


def expect(condition: bool, message: str) -> None:
    """Raise IRError with `message` unless `condition` holds."""
    if not condition:
        raise IRError(message)


def frozen_codes(array: npt.ArrayLike, ndim: int, what: str) -> Codes:
    """Return `array` as read-only int64 with `ndim` axes: parameters never change."""
    if isinstance(array, np.ndarray) and array.dtype == np.int64 and not array.flags.writeable:
        if array.ndim == ndim and array.base is None:
            return array  # frozen before: operators that differ in their folding share it
    codes = np.array(array)
    if codes.size and not np.issubdtype(codes.dtype, np.integer):
        raise IRError(f"{what}: dtype is {codes.dtype}, expected integers")
    codes = codes.astype(np.int64)
    if codes.ndim != ndim:
        raise IRError(f"{what}: {codes.ndim} axes {codes.shape}, expected {ndim}")
    codes.setflags(write=False)
    return codes


class Same(Generic[T]):
    """A key that equals another only when both hold the same object; keeps that object alive."""

    def __init__(self, value: T) -> None:
        self.value = value

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Same) and self.value is other.value

    def __hash__(self) -> int:
        return id(self.value)
