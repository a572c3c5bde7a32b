"""Whether a number has reached the constant that an index chooses, in few LUTs.

Of the constants nothing is built: a LUT6 takes the index and as many bits of the number as fit, and
says whether they reach the same bits of the constant. From the low bits up, each LUT takes what
the one below says as the answer where its own bits are equal. A comparator of the device's carry
chain would take a LUT for each bit, or for two where there is one constant.
"""

from __future__ import annotations

import numpy as np
from amaranth import Cat, Const, Value

from hwgen.ir import Codes
from hwgen.rtl.memory import lookup

LUT_INPUTS = 6
# One behind the other; beyond, a carry chain is faster.
MOST_LUTS = 6


def table_comparison_luts(width: int, index_bits: int) -> int | None:
    """Return the LUTs for a number of `width` bits, None where a carry chain is better."""
    first = LUT_INPUTS - index_bits
    later = first - 1
    if later < 1:
        return None
    luts = 1 + max(-(-(width - first) // later), 0)
    return luts if luts <= MOST_LUTS else None


def reaches(
    number: Value,
    signed: bool,
    constants: Codes,
    index: Value,
    inverted: Codes | None = None,
) -> Value:
    """Return whether `number` is at least constants[index].

    Parameters
    ----------
    number : a word
    signed : whether it is in two's complement
    constants : of any size; one for each index that can come
    inverted : 1 for each index where the answer is wanted inverted
    """
    width, own = len(number), len(index) if len(constants) > 1 else 0
    lowest = -(1 << (width - 1)) if signed else 0
    cuts = np.clip(constants - lowest, 0, 1 << width)
    answer: list[Value] = []
    begin = 0
    while begin < width:
        end = min(begin + LUT_INPUTS - own - len(answer), width)
        values = np.arange(1 << (end - begin))
        # The highest part keeps a constant that is out of reach, and has the sign.
        part = cuts >> begin if end == width else cuts >> begin & (len(values) - 1)
        if signed and end == width:
            values = values ^ len(values) >> 1
        more = values[None, :] > part[:, None]
        # Where these bits are equal those below decide; the answer from there is the lowest bit.
        least = more | (values[None, :] == part[:, None])
        table = np.stack([more, least] if answer else [least], axis=-1).astype(np.int64)
        if inverted is not None and end == width:
            table = table ^ inverted[:, None, None]
        address = Cat(*answer, number[begin:end], index if own else Const(0, 0))
        answer = [_lookup(table, address)]
        begin = end
    return answer[0]


def _lookup(table: Codes, address: Value) -> Value:
    """Look up in a table that need not reach to the last address."""
    padded = np.zeros(1 << len(address), dtype=np.int64)
    padded[: table.size] = table.ravel()
    return lookup(padded, address)
