"""`constant_memory`: read-only memories of constants, packed into the shapes that block RAM has.

A RAMB18 is 512 words of 36 bits, or 1024 of 18, and so on. A memory of 1,152 words of 12 bits would
take two as it is; three words side by side in 512 rows take one, and a LUT for each bit that
chooses among them. Columns or last words that would fill little of a further block RAM lie in LUTs.
The plan is made here and not left to the synthesizer, because tools differ: yosys packs words side
by side, Vivado does not, and neither divides a memory between block RAM and LUTs.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache

from amaranth import Cat, Const, Module, Mux, Signal, Value
from amaranth.lib.memory import Memory

from hwgen.cost import Resources
from hwgen.rtl.block_ram import HALF_BRAM_SHAPES, LUTS_OF_HALF_BRAM, price_in_luts

LUT_WORDS = 64
# Words of four LUTs of a slice, which its own multiplexers join.
SLICE_WORDS = 256
# A LUT6 chooses among four bits; more would be another LUT on the way out of a block RAM.
MOST_CHUNKS = 4


@dataclass(frozen=True)
class RomLayout:
    """Where the words of a memory are: chunk c has words c * rows and on, side by side in a row.

    Parameters
    ----------
    depth, width : of the memory
    rows : words of a chunk, a power of two where there are several
    tail : words of the last chunk if they are in LUTs of their own, else 0
    columns : bits of a row that are in block RAM; the rest of the row is in LUTs
    """

    depth: int
    width: int
    rows: int
    tail: int
    columns: int

    @property
    def chunks(self) -> int:
        """Words that a read chooses among."""
        return -(-self.depth // self.rows)

    @property
    def row_width(self) -> int:
        """Bits of the chunks that share rows."""
        return (self.depth // self.rows if self.tail else self.chunks) * self.width

    @property
    def row_depth(self) -> int:
        """Rows in use."""
        return min(self.rows, self.depth)

    @property
    def resources(self) -> Resources:
        """LUTs, the registers behind them, and block RAMs."""
        beside = self.row_width - self.columns
        luts = rom_luts(self.row_depth, beside) + rom_luts(self.tail, self.width)
        flip_flops = beside + (self.width if self.tail else 0)
        if self.chunks > 1:
            luts += self.width
            flip_flops += (self.chunks - 1).bit_length()
        return Resources(luts, flip_flops, bram36=0.5 * rom_halves(self.row_depth, self.columns))

    @property
    def price(self) -> float:
        """In LUTs."""
        return price_in_luts(self.resources)


def rom_luts(depth: int, width: int) -> int:
    """Return the LUTs of a memory in LUTs: 64 words of one bit each, and what joins them."""
    luts, parts = -(-depth // LUT_WORDS), -(-depth // SLICE_WORDS)
    while parts > 1:
        parts = -(-parts // MOST_CHUNKS)
        luts += parts
    return width * luts


def rom_halves(depth: int, width: int) -> int:
    """Return the RAMB18 of a memory that a single one is deep enough for, or that is cascaded."""
    deepest = HALF_BRAM_SHAPES[-1][0]
    return min(
        -(-depth // words) * -(-width // bits)
        for words, bits in HALF_BRAM_SHAPES
        if words >= min(depth, deepest)
    )


def rom_style(depth: int, width: int) -> str:
    """Return "block" or "distributed": what a read-only memory of this shape is built from."""
    small = rom_luts(depth, width) < LUTS_OF_HALF_BRAM * rom_halves(depth, width)
    return "distributed" if small else "block"


@lru_cache(maxsize=4096)
def rom_layout(depth: int, width: int) -> RomLayout:
    """Return the layout of lowest price."""
    return min(_layouts(depth, width), key=lambda plan: (plan.price, plan.chunks, -plan.columns))


def rom_resources(depth: int, width: int) -> Resources:
    """Predict a memory of constants, which may be a single one."""
    return rom_layout(depth, width).resources if depth > 1 and width else Resources(ff=width)


def _layouts(depth: int, width: int) -> Iterator[RomLayout]:
    """Yield all in LUTs, all in block RAM as it is, then the layouts by its shapes."""
    yield RomLayout(depth, width, depth, 0, 0)
    yield RomLayout(depth, width, depth, 0, width)
    for rows, bits in HALF_BRAM_SHAPES:
        chunks = -(-depth // rows)
        if chunks > MOST_CHUNKS:
            continue  # the deepest ones are cascaded
        last = depth % rows
        for tail in (0, last) if chunks > 1 and 0 < last <= LUT_WORDS else (0,):
            row = (chunks - (tail > 0)) * width
            for columns in {row, row // bits * bits} - {0}:
                yield RomLayout(depth, width, rows if chunks > 1 else depth, tail, columns)


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
    plan = rom_layout(len(words), width)
    place = (plan.row_depth - 1).bit_length()
    chunks = [words[k : k + plan.rows] for k in range(0, len(words), plan.rows)]
    beside = [*chunks[:-1]] if plan.tail else chunks
    rows = [
        sum((chunk[k] if k < len(chunk) else 0) << (c * width) for c, chunk in enumerate(beside))
        for k in range(plan.row_depth)
    ]
    in_blocks = [row & ((1 << plan.columns) - 1) for row in rows]
    in_luts = [row >> plan.columns for row in rows]
    low = address[:place]
    row = Cat(
        _memory(m, in_blocks, plan.columns, low, advance, name),
        _memory(m, in_luts, plan.row_width - plan.columns, low, advance, f"{name}_columns"),
    )
    found = [row[c * width : (c + 1) * width] for c in range(len(beside))]
    if plan.tail:
        short = address[: max((plan.tail - 1).bit_length(), 1)]
        found.append(_memory(m, chunks[-1], width, short, advance, f"{name}_last"))
    if plan.chunks == 1:
        return found[0]
    chunk = Signal((plan.chunks - 1).bit_length(), name=f"{name}_chunk")
    with m.If(advance):
        m.d.sync += chunk.eq(address[place:])
    word = Signal(width, name=f"{name}_word")
    m.d.comb += word.eq(_choose(found, chunk))
    return word


def _choose(words: Sequence[Value], chunk: Value) -> Value:
    if len(words) == 1:
        return words[0]
    half = 1 << (len(chunk) - 1)
    if len(words) <= half:
        return _choose(words, chunk[:-1])
    return Mux(chunk[-1], _choose(words[half:], chunk[:-1]), _choose(words[:half], chunk[:-1]))


def _memory(
    m: Module, words: Sequence[int], width: int, address: Value, advance: Value, name: str
) -> Value:
    """Return the word of a memory in the next cycle."""
    if not width or all(word == words[0] for word in words):
        return Const(words[0] if width else 0, width)
    memory: Memory = Memory(shape=width, depth=len(words), init=list(words))
    m.submodules[name] = memory
    port = memory.read_port()
    word = Signal(width, name=f"{name}_word")
    m.d.comb += [port.addr.eq(address), port.en.eq(advance), word.eq(port.data)]
    return word
