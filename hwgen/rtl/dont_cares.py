"""`sparse_memory`: a memory of constants of which some addresses never come.

What such an address holds is free, and chosen so that a bit of the word depends on fewer bits of
the address: each that falls away halves its LUTs. Bits with the same inputs share a memory. The
choice is made here and not left to the synthesizer: an `x` in a memory's contents is a zero to
some tools, and a different number in each simulator.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from amaranth import Cat, Const, Module, Value

from hwgen.cost import Resources
from hwgen.ir import Codes
from hwgen.rtl.block_ram import price_in_luts
from hwgen.rtl.rom import constant_memory, rom_resources

Mask = npt.NDArray[np.bool_]

# Deeper memories lie in block RAM, or their LUTs are a small share of what is around them.
MOST_WORDS = 4096


@dataclass(frozen=True)
class Part:
    """Some bits of the words as a smaller memory.

    Parameters
    ----------
    bits : places in the word
    inputs : places in the address
    words : of these bits, 2**len(inputs)
    """

    bits: tuple[int, ...]
    inputs: tuple[int, ...]
    words: tuple[int, ...]


def parts_of(words: Codes, known: Mask, width: int) -> tuple[Part, ...]:
    """Return the memories that together give `words` at every known address.

    Parameters
    ----------
    words : int64 [2**n], unsigned
    known : of each address, whether it comes
    """
    shared: dict[tuple[int, ...], dict[int, Codes]] = {}
    for bit in range(width):
        inputs, values = fewest_inputs(words >> bit & 1, known)
        shared.setdefault(inputs, {})[bit] = values
    return tuple(
        Part(tuple(columns), inputs, tuple(_joined(list(columns.values()))))
        for inputs, columns in sorted(shared.items())
    )


def _joined(columns: Sequence[Codes]) -> list[int]:
    weights = 1 << np.arange(len(columns))
    return [int(word) for word in weights @ np.stack(columns)]


def fewest_inputs(values: Codes, known: Mask) -> tuple[tuple[int, ...], Codes]:
    """Return address bits that suffice to tell the known values, and the table over these.

    Bits fall away one by one, from the highest down or from the lowest up, whichever leaves fewer.

    Parameters
    ----------
    values : 0 or 1, [2**n]
    known : of each, whether it counts
    """
    places = range(len(values).bit_length() - 1)
    found = [_without(values, known, order) for order in (reversed(places), places)]
    return min(found, key=lambda way: len(way[0]))


def _without(values: Codes, known: Mask, order: Iterable[int]) -> tuple[tuple[int, ...], Codes]:
    # One axis an address bit, the highest first; an axis of length 1 is a bit that fell away.
    shape = (2,) * (len(values).bit_length() - 1)
    left, needed = values.reshape(shape), known.reshape(shape)
    kept = []
    for place in order:
        axis = len(shape) - 1 - place
        zero, one = np.split(left, 2, axis=axis)
        zero_needed, one_needed = np.split(needed, 2, axis=axis)
        if (zero_needed & one_needed & (zero != one)).any():
            kept.append(place)
            continue
        left, needed = np.where(zero_needed, zero, one), zero_needed | one_needed
    return tuple(sorted(kept)), (left * needed).ravel()


def sparse_resources(words: Codes, known: Mask, width: int) -> Resources:
    """Predict a sparse memory."""
    parts = _cheaper_parts(words, known, width)
    return rom_resources(len(words), width) if parts is None else _resources(parts)


def _resources(parts: Sequence[Part]) -> Resources:
    """Return those of all parts; one without inputs is a constant."""
    memories = (rom_resources(len(part.words), len(part.bits)) for part in parts if part.inputs)
    return sum(memories, Resources())


def _cheaper_parts(words: Codes, known: Mask, width: int) -> tuple[Part, ...] | None:
    """Return the parts, None where the memory is better left whole."""
    if len(words) > MOST_WORDS:
        return None
    parts = parts_of(words, known, width)
    whole = rom_resources(len(words), width)
    return parts if price_in_luts(_resources(parts)) < price_in_luts(whole) else None


def sparse_memory(
    m: Module, words: Codes, known: Mask, width: int, address: Value, advance: Value, name: str
) -> Value:
    """Return words[address] one cycle later, for addresses that are known.

    Parameters
    ----------
    words : int64 [2**n], unsigned, each below 2**width
    known : of each address, whether it comes
    advance : the output register loads while this is high
    """
    parts = _cheaper_parts(words, known, width)
    if parts is None:
        return constant_memory(m, words.tolist(), width, address, advance, name)
    columns: dict[int, Value] = {}
    for part in parts:
        own = f"{name}_bits{part.bits[0]}" if len(parts) > 1 else name
        index = Cat(*(address[place] for place in part.inputs)) if part.inputs else Const(0, 1)
        found = constant_memory(m, part.words, len(part.bits), index, advance, own)
        columns |= {bit: found[k] for k, bit in enumerate(part.bits)}
    return Cat(*(columns[bit] for bit in range(width)))
