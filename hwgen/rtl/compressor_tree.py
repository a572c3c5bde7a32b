"""Sums of many single bits: counters where columns are high, carry chains below.

A column holds bits of one weight. With LUTs of six inputs a 6:3 counter is three functions of the
same six bits, one LUT each, and takes three bits away; a carry chain of n places adds two bits of
each column and one carry bit in n LUTs and takes n away. Both cost a LUT a bit, which no tree of
ordinary additions of narrow numbers reaches.

With LUTs of four inputs a 6:3 counter is 12 and more of them, and a full adder two for one bit. A
chain takes n + 2 there, one place for the carry that enters and one for the carry that leaves, so
it is the cheaper the longer it is, and from three columns on cheaper than full adders. Yosys has no
carry chain for sums of four bits and fewer on ECP5, but where columns are low already chains of
two columns save registers.

Source: Kumm and Zipf, Pipelined Compressor Tree Optimization using Integer Linear Programming,
FPL 2014; `benchmarks/bit_heaps.py` for LUTs of four inputs.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from amaranth import Cat, Const, Module, Signal, Value

from hwgen.numeric import CodeType
from hwgen.rtl.adder_tree import Term
from hwgen.rtl.memory import lookup

COUNTER_INPUTS = 6
FULL_ADDER_INPUTS = 3
# With LUTs of four inputs chains have this many columns at least, two where columns are low.
CHAIN_COLUMNS = 3
LOW_COLUMN = 12
# Levels with carry chains between two registers; one of counters alone has a register of its own.
CHAINS_PER_STAGE = 2


@dataclass(frozen=True)
class Bit:
    """A bit of a heap; an inversion costs nothing where it becomes part of a table."""

    value: Value
    inverted: bool = False

    @property
    def plain(self) -> Value:
        """The bit itself."""
        return ~self.value if self.inverted else self.value


@dataclass(frozen=True)
class Counter:
    """Bits of column `low`, six or three, become their number, a bit in each column."""

    low: int
    inputs: int = COUNTER_INPUTS

    @property
    def columns(self) -> range:
        """Columns that bits are taken from."""
        return range(self.low, self.low + 1)

    def takes(self, column: int) -> int:
        """Return how many bits go in."""
        return self.inputs

    @property
    def width(self) -> int:
        """Bits of the number."""
        return self.inputs.bit_length()

    def value(self, taken: Mapping[int, Sequence[Bit]]) -> Value:
        """Return the number of ones: tables, which synthesis would not find as small by itself."""
        bits = taken[self.low]
        inverted = sum(int(bit.inverted) << k for k, bit in enumerate(bits))
        number = np.arange(1 << self.inputs) ^ inverted
        ones = (number[:, None] >> np.arange(self.inputs) & 1).sum(axis=1)
        index = Cat(*(bit.value for bit in bits))
        return Cat(*(lookup(ones >> k & 1, index) for k in range(self.width)))


@dataclass(frozen=True)
class Chain:
    """Two numbers in the columns `low` to `high`, and a carry bit of `low`, become one number."""

    low: int
    high: int
    carry: bool

    @property
    def columns(self) -> range:
        """Columns that bits are taken from."""
        return range(self.low, self.high + 1)

    def takes(self, column: int) -> int:
        """Return how many bits go in at most; a missing one is zero."""
        return 3 if self.carry and column == self.low else 2

    @property
    def width(self) -> int:
        """Bits of the number."""
        return self.high + 2 - self.low

    def value(self, taken: Mapping[int, Sequence[Bit]]) -> Value:
        """Return the sum; the carry bit stands in both numbers, one place lower."""
        zero = Const(0, 1)
        places = {k: [bit.plain for bit in taken[k]] for k in self.columns}
        carry = [places[self.low][2]] if self.carry else []
        numbers = (
            Cat(*carry, *(([*places[k], zero, zero])[index] for k in self.columns))
            for index in range(2)
        )
        a, b = numbers
        return (a + b)[len(carry) :]


Level = tuple[Counter | Chain, ...]


def full_adder(a: Value, b: Value, c: Value) -> tuple[Value, Value]:
    """Return the sum and the carry of three bits."""
    half = a ^ b
    return half ^ c, (a & b) | (c & half)


@lru_cache(maxsize=4096)
def compression_plan(heights: tuple[int, ...], lut_inputs: int = 6) -> tuple[Level, ...]:
    """Return what to do to columns of these heights, level by level, until each has one bit.

    The last entry of `heights` is the top column of the result: nothing is carried beyond it.

    Parameters
    ----------
    lut_inputs : of a LUT of the device
    """
    columns = list(heights)
    levels = []
    while max(columns, default=0) > 1:
        level = _last_chain(columns) or _level(columns, lut_inputs)
        columns = _heights_after(columns, level)
        levels.append(level)
    return tuple(levels)


def compression_latency(heights: tuple[int, ...], lut_inputs: int = 6) -> int:
    """Return the registers that `compress` puts on every path."""
    return sum(_registered(compression_plan(heights, lut_inputs)))


@lru_cache(maxsize=4096)
def compression_luts(heights: tuple[int, ...], lut_inputs: int = 6) -> int:
    """Return about the LUTs of `compress`: with six inputs a LUT for each bit that goes.

    For these no plan is made: a search over foldings asks often.
    """
    if max(heights) <= 1:
        return 0
    if lut_inputs >= COUNTER_INPUTS:
        return max(sum(heights) - len(heights) + 2, 0)
    plan = compression_plan(heights, lut_inputs)
    return sum(_narrow_luts(op, len(heights)) for level in plan for op in level)


def _narrow_luts(operation: Counter | Chain, columns: int) -> int:
    """Return the LUTs of four inputs; carry chains of ECP5 have pairs of them."""
    places = min(operation.width, columns - operation.low)
    if isinstance(operation, Counter):
        return places
    places += operation.carry
    return places + places % 2


def _registered(plan: Sequence[Level]) -> list[bool]:
    """Return for each level whether registers follow; they also close the last stage."""
    chained = [any(isinstance(operation, Chain) for operation in level) for level in plan]
    found, chains = [], 0
    for k, is_chained in enumerate(chained):
        chains = chains + 1 if is_chained else CHAINS_PER_STAGE
        if k + 1 == len(plan) or not chained[k + 1]:
            chains = CHAINS_PER_STAGE
        found.append(chains == CHAINS_PER_STAGE)
        chains %= CHAINS_PER_STAGE
    return found


def _level(columns: Sequence[int], lut_inputs: int) -> Level:
    if lut_inputs < COUNTER_INPUTS:
        return _chains_and_full_adders(columns)
    return _counters(columns) or _chains(columns)


def _last_chain(columns: Sequence[int]) -> Level:
    """Return the one chain that is left to be done, if so, up to the top.

    Places with a single bit only pass the carry on.
    """
    low = next(k for k, height in enumerate(columns) if height >= 2)
    if columns[low] > 3 or max(columns[low + 1 :], default=0) > 2:
        return ()
    return (Chain(low, len(columns) - 1, columns[low] == 3),)


def _counters(columns: Sequence[int]) -> Level:
    return tuple(
        Counter(k) for k, height in enumerate(columns) for _ in range(height // COUNTER_INPUTS)
    )


def _chains(columns: Sequence[int]) -> Level:
    left = list(columns)
    chains = []
    # Without a carry bit a chain would take one bit less away than it has places.
    while max(left) >= 3:
        low = next(k for k, height in enumerate(left) if height >= 3)
        chains.append(_take_chain(left, low))
    return tuple(chains)


def _chains_and_full_adders(columns: Sequence[int]) -> Level:
    left = list(columns)
    level: list[Counter | Chain] = []
    while max(left) >= FULL_ADDER_INPUTS:
        low = next(k for k, height in enumerate(left) if height >= FULL_ADDER_INPUTS)
        after = list(left)
        chain = _take_chain(after, low)
        if len(chain.columns) >= (CHAIN_COLUMNS if columns[low] > LOW_COLUMN else 2):
            level.append(chain)
            left = after
        else:
            level.append(Counter(low, FULL_ADDER_INPUTS))
            left[low] -= FULL_ADDER_INPUTS
    return tuple(level)


def _take_chain(left: list[int], low: int) -> Chain:
    """Return the longest chain from `low` up, its bits taken out of the heights `left`."""
    high = low
    left[low] -= 3
    while high + 1 < len(left) and left[high + 1] >= 2:
        high += 1
        left[high] -= 2
    return Chain(low, high, True)


def _heights_after(columns: Sequence[int], level: Level) -> list[int]:
    left, made = list(columns), [0] * len(columns)
    for operation in level:
        for k in operation.columns:
            left[k] -= min(operation.takes(k), left[k])
        for k in range(operation.low, min(operation.low + operation.width, len(columns))):
            made[k] += 1
    return [a + b for a, b in zip(left, made, strict=True)]


def compress(
    m: Module,
    columns: Sequence[Sequence[Value | Bit]],
    codes: CodeType,
    name: str,
    advance: Signal,
    lut_inputs: int = 6,
) -> Term:
    """Return the number whose bits are `columns`, `compression_latency` cycles later.

    Parameters
    ----------
    columns : single bits by weight, 2**k at index k; as many columns as `codes` has bits
    codes : interval of the sum, not negative
    name : prefix of the signals
    advance : registers load while this is high
    lut_inputs : of a LUT of the device
    """
    plan = compression_plan(tuple(len(column) for column in columns), lut_inputs)
    bits = [[b if isinstance(b, Bit) else Bit(b) for b in column] for column in columns]
    for number, (level, registered) in enumerate(zip(plan, _registered(plan), strict=True), 1):
        bits = _build(m, bits, level, f"{name}_l{number}", advance if registered else None)
    return Term(Cat(*(column[0].plain if column else Const(0, 1) for column in bits)), codes)


def _build(
    m: Module, bits: Sequence[list[Bit]], level: Level, name: str, gate: Signal | None
) -> list[list[Bit]]:
    """Return the columns behind one level, registered under `gate` if there is one."""
    left = [list(column) for column in bits]
    made: list[list[Bit]] = [[] for _ in bits]
    statements = []
    for number, operation in enumerate(level):
        taken = {}
        for k in operation.columns:
            taken[k], left[k] = left[k][: operation.takes(k)], left[k][operation.takes(k) :]
        width = min(operation.width, len(bits) - operation.low)
        total = Signal(width, name=f"{name}_{number}", reset_less=True)
        statements.append(total.eq(operation.value(taken)[:width]))
        for k in range(width):
            made[operation.low + k].append(Bit(total[k]))
    if gate is None:
        m.d.comb += statements
        return [a + b for a, b in zip(left, made, strict=True)]
    waiting = [
        Signal(len(column), name=f"{name}_keep{k}", reset_less=True)
        for k, column in enumerate(left)
    ]
    statements += [
        kept.eq(Cat(*(bit.value for bit in column)))
        for kept, column in zip(waiting, left, strict=True)
        if column
    ]
    with m.If(gate):
        m.d.sync += statements
    return [
        [Bit(held, bit.inverted) for held, bit in zip(kept, column, strict=True)] + own
        for kept, column, own in zip(waiting, left, made, strict=True)
    ]
