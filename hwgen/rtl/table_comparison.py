"""Whether a number has reached the constant that an index chooses, in few LUTs.

Of the constants nothing is built: a LUT6 takes the index and as many bits of the number as fit, and
says whether they reach the same bits of the constant. From the low bits up, each LUT takes what
the one below says as the answer where its own bits are equal. A comparator of the device's carry
chain would take a LUT for each bit, or for two where there is one constant.
"""

from __future__ import annotations

from collections.abc import Sequence

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


def reaches(number: Value, constants: Codes, index: Value) -> Value:
    """Return whether `number` is at least constants[index].

    Parameters
    ----------
    number : unsigned, or with its sign bit inverted and counted from the lowest number
    constants : of any size; one for each index that can come
    """
    own = len(index) if len(constants) > 1 else 0
    width = len(number)
    cuts = np.clip(constants, 0, 1 << width)
    answer: list[Value] = []
    begin = 0
    while begin < width:
        end = min(begin + LUT_INPUTS - own - len(answer), width)
        # The highest part keeps a constant that is out of reach.
        part = cuts >> begin if end == width else (cuts >> begin) & ((1 << (end - begin)) - 1)
        answer = [_part(number[begin:end], part, index if own else Const(0, 0), answer)]
        begin = end
    return answer[0]


def _part(bits: Value, part: Codes, index: Value, below: Sequence[Value]) -> Value:
    """Return whether `bits` exceed part[index], or equal it and `below` agrees."""
    values = np.arange(1 << len(bits))
    equal = (values[None, :] == part[:, None]).astype(np.int64)
    more = (values[None, :] > part[:, None]).astype(np.int64)
    # With an answer from below as the lowest bit of the table's index.
    table = np.stack([more, more | equal], axis=-1) if below else more | equal
    padded = np.zeros((1 << len(index), *table.shape[1:]), dtype=np.int64)
    padded[: len(table)] = table
    return lookup(padded, Cat(*below, bits, index))
