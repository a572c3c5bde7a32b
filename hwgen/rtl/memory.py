"""Tables in LUTs, and what a memory that is written costs on a 6-input LUT device."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from amaranth import Const, Value

from hwgen.cost import Resources
from hwgen.ir import Codes
from hwgen.rtl.block_ram import LUTS_OF_HALF_BRAM, half_brams

# What a URAM may cost in RAMB18 before they are dearer: devices have 4.5 (ZU5EV) to 6.5 (ZU7EV) for
# each. It starts as zeros, so it holds lines of images and beats that wait, never constants.
HALVES_OF_URAM = 6

# Words and bits of a URAM288; AMD UG573, chapter 2.
URAM_WORDS, URAM_BITS = 4096, 72


def lookup(values: Codes, index: Value) -> Value:
    """Return the bit of `values` at `index`: any function of its bits, one LUT6 up to six of them.

    Parameters
    ----------
    values : 0 or 1 for each number that `index` can be, as an array of any shape
    """
    bits = values.ravel()
    if bits.min() == bits.max():
        return Const(int(bits[0]), 1)
    table = np.packbits(bits.astype(np.uint8), bitorder="little").tobytes()
    # `build/rom_luts.v` sees to it that this becomes one LUT.
    return (Const(int.from_bytes(table, "little"), 1 << len(index)) >> index)[0]


def pack(words: Sequence[int], width: int) -> int:
    """Return `words` side by side, the first in the low bits."""
    packed = 0
    for k, word in enumerate(words):
        packed |= int(word) << (k * width)
    return packed


def lut_memory_resources(depth: int, width: int) -> Resources:
    """Predict a small memory that is written and read without a register: LUTs."""
    if depth <= 1:
        return Resources(ff=width)
    return Resources(lut=width * -(-depth // 64), ff=width)


def lut_ram_luts(depth: int, width: int) -> int:
    """Predict the LUTs of a memory that is written: RAM64M8 and RAM32M16, and what joins them.

    A slice of eight LUTs holds 64 words of 7 bits or 32 words of 14 (AMD UG574, table 2-2).
    """
    whole, rest = divmod(depth, 64)
    slices = whole * -(-width // 7)
    if rest:
        slices += -(-width // 14) if rest <= 32 else -(-width // 7)
    blocks = whole + (rest > 0)
    joining = width * -(-blocks // 4) + 4 * blocks if blocks > 1 else 0
    return 8 * slices + joining


def ram_style(depth: int, width: int, ultra: bool = False) -> str:
    """Return "distributed", "block" or "ultra": what a memory that is written is built from.

    With one write port and one registered read port; without the register, LUTs are all there is.

    Parameters
    ----------
    ultra : whether it may be UltraRAM, on a device that has it
    """
    luts, halves = lut_ram_luts(depth, width), half_brams(depth, width)
    if luts <= LUTS_OF_HALF_BRAM * halves:
        return "distributed"
    return "ultra" if ultra and HALVES_OF_URAM * _urams(depth, width) <= halves else "block"


def ram_resources(depth: int, width: int, ultra: bool = False) -> Resources:
    """Predict such a memory, its read register included."""
    if depth <= 1 or width == 0:
        return Resources(ff=width)
    style = ram_style(depth, width, ultra)
    if style == "distributed":
        return Resources(lut=lut_ram_luts(depth, width), ff=width)
    if style == "ultra":
        return Resources(uram=_urams(depth, width))
    return Resources(bram36=0.5 * half_brams(depth, width))


def _urams(depth: int, width: int) -> int:
    return -(-depth // URAM_WORDS) * -(-width // URAM_BITS)
