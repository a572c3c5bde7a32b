"""Read-only memories of constants, and what a memory costs on a 6-input LUT device."""

from __future__ import annotations

from collections.abc import Sequence

from amaranth import Const, Module, Signal, Value
from amaranth.lib.memory import Memory

from hwgen.cost import Resources

# Deeper than one LUT's 64 words and larger than that, block RAM is the smaller share of a device.
DISTRIBUTED_WORDS = 64
DISTRIBUTED_BITS = 1024

# Words and bits of a RAMB18 as a read-only memory; AMD UG573, table 1-1.
HALF_BRAM_SHAPES = ((512, 36), (1024, 18), (2048, 9), (4096, 4), (8192, 2), (16384, 1))


def constant_memory(
    m: Module, words: Sequence[int], width: int, address: Value, advance: Value, name: str
) -> Value:
    """Return words[address] one cycle later; a plain constant when all words agree.

    Parameters
    ----------
    words : unsigned, each below 2**width
    advance : the output register loads while this is high
    """
    if all(word == words[0] for word in words):
        return Const(words[0], width)
    memory: Memory = Memory(shape=width, depth=len(words), init=list(words))
    m.submodules[name] = memory
    port = memory.read_port()
    word = Signal(width, name=f"{name}_word")
    m.d.comb += [port.addr.eq(address), port.en.eq(advance), word.eq(port.data)]
    return word


def pack(words: Sequence[int], width: int) -> int:
    """Return `words` side by side, the first in the low bits."""
    packed = 0
    for k, word in enumerate(words):
        packed |= int(word) << (k * width)
    return packed


def memory_style(depth: int, width: int) -> str:
    """Return "block" or "distributed": what a read-only memory of this shape is built from."""
    small = depth <= DISTRIBUTED_WORDS or depth * width <= DISTRIBUTED_BITS
    return "distributed" if small else "block"


def memory_resources(depth: int, width: int, distributed: bool = False) -> Resources:
    """Predict a memory: LUTs when small or `distributed`, else block RAM."""
    if depth <= 1:
        return Resources(ff=width)
    if distributed or memory_style(depth, width) == "distributed":
        # A LUT holds 64 words of one bit; the slice's own multiplexers join up to eight.
        return Resources(lut=width * -(-depth // 64), ff=width)
    halves = min(-(-depth // words) * -(-width // bits) for words, bits in HALF_BRAM_SHAPES)
    return Resources(bram36=0.5 * halves)
