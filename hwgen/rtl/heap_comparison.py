"""Whether a heap of bits adds up to at least a constant, without ever forming the sum.

A column is left behind as soon as its bits fit one LUT: what is below it matters only through the
carry, floor((low + d) / 2**q), where d rounds the constant up to whole units of the next column.
Columns that are too high are counted down first, six bits at a time with LUTs of six inputs, three
with LUTs of four, where four would take three LUTs for one bit less. So the sum's own bits, and
the comparator behind them, are never built; which columns to count how far is a small search.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from amaranth import Cat, Value

from hwgen.ir import Codes
from hwgen.rtl.bit_network import BitNetwork
from hwgen.rtl.memory import lookup

COUNTER_INPUTS = 6
ADDER_INPUTS = 3
SEARCHED_HEIGHT = 16


@dataclass(frozen=True)
class Count:
    """The lowest column's first `inputs` bits become their number; one bit of it stays there."""

    inputs: int

    @property
    def outputs(self) -> int:
        """Bits of the number: a LUT each."""
        return self.inputs.bit_length()


@dataclass(frozen=True)
class Carry:
    """All bits of the lowest `columns` columns become floor((their sum + above) / 2**columns)."""

    heights: tuple[int, ...]
    above: int

    @property
    def columns(self) -> int:
        """Columns that go."""
        return len(self.heights)

    def carries(self) -> Codes:
        """Return the number that leaves, for each combination of the bits."""
        return (weighted_sums(self.heights) + self.above) >> self.columns

    @property
    def outputs(self) -> int:
        """Bits of the number."""
        most = sum(height << k for k, height in enumerate(self.heights))
        return ((most + self.above) >> self.columns).bit_length()

    def luts(self, lut_inputs: int) -> int:
        """Return a LUT for each bit, unless a lone bit moves up as it is."""
        inputs = sum(self.heights)
        return 0 if inputs == 1 else self.outputs * luts_of(inputs, lut_inputs)


@dataclass(frozen=True)
class Reach:
    """All bits that are left say whether the rest of the constant is reached."""

    heights: tuple[int, ...]
    threshold: int


Step = Count | Carry | Reach


@dataclass(frozen=True)
class Comparison:
    """The cheapest steps found; none where the answer is `constant`."""

    luts: int
    steps: tuple[Step, ...]
    constant: bool | None = None


def luts_of(inputs: int, lut_inputs: int) -> int:
    """Return the LUTs of a function: two and the slice's own multiplexer take one input more."""
    return 0 if inputs <= 1 else 1 if inputs <= lut_inputs else 2


def weighted_sums(heights: Sequence[int]) -> Codes:
    """Return the sum of each combination of the bits of columns of these heights."""
    weights = [1 << k for k, height in enumerate(heights) for _ in range(height)]
    index = np.arange(1 << len(weights))[:, None]
    return np.asarray((index >> np.arange(len(weights)) & 1) @ np.array(weights, dtype=np.int64))


@lru_cache(maxsize=65536)
def comparison(heights: tuple[int, ...], threshold: int, lut_inputs: int = 6) -> Comparison:
    """Return how to find out whether columns of these heights add up to `threshold`."""
    most = sum(height << k for k, height in enumerate(heights))
    if threshold <= 0 or threshold > most:
        return Comparison(0, (), threshold <= 0)
    if sum(heights) <= lut_inputs:
        # A lone bit that is reached when it is set needs no LUT.
        return Comparison(luts_of(sum(heights), lut_inputs), (Reach(heights, threshold),))
    return min(_choices(heights, threshold, lut_inputs), key=lambda found: found.luts)


def _choices(heights: tuple[int, ...], threshold: int, lut_inputs: int) -> list[Comparison]:
    lowest, found = heights[0], []
    for columns in range(1, len(heights) + 1):
        if sum(heights[:columns]) > lut_inputs + 1:
            break
        found.append(_carry(heights, threshold, columns, lut_inputs))
    counters = [n for n in (COUNTER_INPUTS, ADDER_INPUTS) if n <= lut_inputs]
    if lowest > SEARCHED_HEIGHT:
        # A column far too high: nothing else is worth a try.
        times = -(-(lowest - SEARCHED_HEIGHT) // (counters[0] - 1))
        return [_count(heights, threshold, Count(counters[0]), times, lut_inputs)]
    for inputs in counters:
        if lowest >= inputs:
            found.append(_count(heights, threshold, Count(inputs), 1, lut_inputs))
    return found


def _count(
    heights: tuple[int, ...], threshold: int, step: Count, times: int, lut_inputs: int
) -> Comparison:
    after = [*heights, 0, 0][: max(len(heights), step.outputs)]
    after[0] -= step.inputs * times
    rest = comparison(tuple(_with(after, step.outputs, times)), threshold, lut_inputs)
    luts = step.outputs * times + rest.luts
    return Comparison(luts, ((step,) * times + rest.steps), rest.constant)


def _carry(heights: tuple[int, ...], threshold: int, columns: int, lut_inputs: int) -> Comparison:
    """Return the comparison that leaves the lowest `columns` columns behind now."""
    step = Carry(heights[:columns], -threshold % (1 << columns))
    after = [*heights[columns:], 0, 0][: max(len(heights) - columns, step.outputs)]
    above = (threshold + step.above) >> columns
    rest = comparison(tuple(_with(after, step.outputs)), above, lut_inputs)
    return Comparison(step.luts(lut_inputs) + rest.luts, (step, *rest.steps), rest.constant)


def _with(heights: list[int], bits: int, times: int = 1) -> list[int]:
    """Return the heights with `times` numbers of so many bits on top."""
    return [height + times * (k < bits) for k, height in enumerate(heights)]


# A bit of the network, and whether its inverse is meant.
HeapBit = tuple[int, bool]


def add_comparison(
    network: BitNetwork,
    columns: Sequence[Sequence[HeapBit]],
    threshold: int,
    name: str,
    lut_inputs: int = 6,
) -> HeapBit | bool:
    """Add to `network` whether the bits add up to `threshold`; return that bit, or a constant.

    Parameters
    ----------
    columns : bits by weight, 2**k at index k
    name : prefix of the signals
    """
    plan = comparison(tuple(len(column) for column in columns), threshold, lut_inputs)
    if plan.constant is not None:
        return plan.constant
    heap = [list(column) for column in columns]
    for number, step in enumerate(plan.steps):
        prefix = f"{name}_{number}"
        match step:
            case Count():
                taken = _take(network, heap[0], step.inputs)
                _stack(heap, _number(network, taken, weighted_sums((step.inputs,)), prefix))
            case Carry():
                low, heap = heap[: step.columns], heap[step.columns :]
                taken = [bit for column in low for bit in column]
                _stack(heap, _number(network, taken, step.carries(), prefix))
            case Reach():
                taken = [bit for column in heap for bit in column]
                reached = weighted_sums(step.heights) >= step.threshold
                (answer,) = _number(network, taken, reached.astype(np.int64), name)
    return answer


def _take(network: BitNetwork, column: list[HeapBit], count: int) -> list[HeapBit]:
    """Take the bits out that are ready first."""
    column.sort(key=lambda bit: network.levels[bit[0]])
    taken = column[:count]
    del column[:count]
    return taken


def _stack(heap: list[list[HeapBit]], number: Sequence[HeapBit]) -> None:
    for k, bit in enumerate(number):
        if k == len(heap):
            heap.append([])
        heap[k].append(bit)


def _number(
    network: BitNetwork, bits: Sequence[HeapBit], values: Codes, name: str
) -> list[HeapBit]:
    """Return the bits of values[bits], the first bit the lowest of the index."""
    # Inversions are part of the tables.
    mask = sum(int(inverted) << k for k, (_, inverted) in enumerate(bits))
    table = values[np.arange(len(values)) ^ mask]
    found = []
    for k in range(int(values.max()).bit_length()):
        own = table >> k & 1
        if len(bits) == 1:
            found.append((bits[0][0], bool(own[0])))
            continue
        nodes = [node for node, _ in bits]
        found.append((network.add(f"{name}_b{k}", nodes, Table(own)), False))
    return found


@dataclass(frozen=True, eq=False)
class Table:
    """A function of bits, the first the lowest of the index."""

    values: Codes

    def __call__(self, bits: Sequence[Value]) -> Value:
        """Look up."""
        return lookup(self.values, Cat(*bits))
