"""How many of a channel's thresholds a value has reached, by binary search: a comparator a bit.

Level by level the value is compared with the middle of what is left; which threshold that is
depends on the bits found so far and on the channel. Where these leave room in a LUT the comparison
is a few tables; else the threshold's bits are small tables that LUTs of a comparator take in.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
from amaranth import Cat, Module, Signal, Value

from hwgen.ir import Codes
from hwgen.numeric import CodeType
from hwgen.rtl.memory import lookup
from hwgen.rtl.table_comparison import reaches, table_comparison_luts

# Bits of a table's index: the channel's group and the bits found before the last.
INDEX_BITS = 6


def search_levels(thresholds: int) -> int:
    """Return the comparators, and cycles, that a search among so many thresholds takes."""
    return thresholds.bit_length()


def search_fits(thresholds: int, groups: int) -> bool:
    """Whether every table of a search has an index of at most `INDEX_BITS`."""
    return search_levels(thresholds) - 1 + (groups - 1).bit_length() <= INDEX_BITS


def search_cost(thresholds: int, groups: int, width: int) -> tuple[float, float]:
    """Predict LUTs and flip-flops of a search for values of `width` bits; measured.

    A LUT of a comparator's chain has room for a table of four bits.
    """
    levels, address = search_levels(thresholds), (groups - 1).bit_length()
    luts = 0.0
    for level in range(levels):
        index = level + address
        tables = table_comparison_luts(width, index)
        chain = width * (0.5 if index == 0 else 0.8 if index <= 2 else 1.1 if index <= 4 else 2)
        luts += chain if tables is None else tables
    return luts, (width + levels + address) * levels


def search_order(thresholds: Codes, falling: Codes, codes: CodeType) -> Codes:
    """Return what to compare with, ascending for a rising channel, descending for a falling one.

    Parameters
    ----------
    thresholds : int64 [groups, K], ascending, within `codes`
    falling : int64 [groups], 1 where the result counts the thresholds not reached
    codes : interval of the thresholds; its ends fill up to 2**n - 1 thresholds, and add nothing
    """
    groups, count = thresholds.shape
    missing = (1 << search_levels(count)) - 1 - count
    flags = falling.astype(bool)[:, None]
    ordered = np.where(flags, thresholds[:, ::-1], thresholds)
    fill = np.broadcast_to(np.where(flags, codes.lo, codes.hi), (groups, missing))
    return np.concatenate([ordered, fill], axis=1)


def build_search(
    m: Module,
    x: Signal,
    order: Codes,
    falling: Codes,
    codes: CodeType,
    kind: CodeType,
    reached: Callable[[Value, Value], Value],
    groups: Sequence[Value],
    advance: Signal,
) -> Value:
    """Return the count, `search_levels` cycles after `x`, lowest bit first.

    Parameters
    ----------
    x : the value
    order, falling : as `search_order` returns and takes them
    codes : interval of the thresholds
    kind : of the value
    reached : makes the comparison of a value and a threshold's stored bits
    groups : the channel's group, one for each level, a cycle apart
    """
    levels = search_levels(order.shape[1])
    words = codes.to_bits(order)
    found: list[Value] = []
    for level in range(levels):
        half = 1 << (levels - 1 - level)
        middle = words[:, half - 1 :: 2 * half]
        index = Cat(*reversed(found), groups[level])
        if table_comparison_luts(len(x), len(index)) is not None:
            cuts = order[:, half - 1 :: 2 * half]
            bit = _in_tables(x, kind, cuts, falling, index)
        else:
            threshold = Cat(*(lookup(middle >> bit & 1, index) for bit in range(codes.width)))
            bit = reached(x, threshold) ^ lookup(falling[:, None], groups[level])
        count = Signal(level + 1, name=f"{x.name}_level{level + 1}")
        kept = Signal(x.shape(), name=f"{x.name}_at{level + 1}", reset_less=True)
        with m.If(advance):
            m.d.sync += [count.eq(Cat(bit, *reversed(found))), kept.eq(x)]
        found = [count[level - k] for k in range(level + 1)]
        x = kept if level < levels - 1 else x
    return Cat(*reversed(found))


def _in_tables(x: Value, kind: CodeType, cuts: Codes, falling: Codes, index: Value) -> Value:
    """Return whether the value has reached cuts[group, bits found], inverted where it falls."""
    flips = np.broadcast_to(falling[:, None], cuts.shape)
    # A bipolar bit is a number from zero: 2 b - 1 >= t where b >= (t + 1) / 2, rounded up.
    words = (cuts + 2) >> 1 if kind.bipolar else cuts
    # The bits found are the low bits of the index.
    return reaches(x, kind.signed, words.ravel(), index, flips.ravel())


def follow(m: Module, value: Value, cycles: int, name: str, advance: Signal) -> list[Signal]:
    """Return `value` one, two, ... `cycles` cycles later."""
    later: list[Signal] = []
    for cycle in range(cycles):
        held = Signal(len(value), name=f"{name}{cycle}")
        with m.If(advance):
            m.d.sync += held.eq(later[-1] if later else value)
        later.append(held)
    return later
