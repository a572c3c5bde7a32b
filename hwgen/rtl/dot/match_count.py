"""How many inputs match a row's weights: a LUT for two of them, weights included, and a tree.

Write x for the input bits, n for the inverted weight bits; y = x ^ n is 1 where they match. The
parity of the y of a set S is X_S ^ N_S, the parities of x and of n over S; X_S is the same for
all rows. A full adder of the sets {0 .. 2j}, {2j + 1} and {2j + 2} has as its sum a parity that
nobody has to build, and as its carry, with c the last of the three sets and a, b the others,

    maj(y_a, y_b, y_c) = X_c ^ g,   g = ((X_ac ^ N_ac) & (X_bc ^ N_bc)) ^ N_c

where X_ac is the parity over both sets. The N come from the number of the step, so g is a function
of that number, X_ac and X_bc: with up to 16 steps one LUT6 makes two matches into one carry,
weights included. With up to 8 steps X_c fits in as well; with more it waits for the next level,
where full adders of three such carries (and their three X_c) have six inputs each.

With more steps than that, the N are words of a memory: the parities of the sets {0 .. k} are
stored instead of the weights, and a carry is a LUT6 of three of them, X_ac, X_bc and X_c.

A LUT of four inputs has room for X_ac, X_bc and up to 4 steps; up to 2 steps X_c fits in as well.

Inputs of several bits are counted bit position by bit position into one tree of compressors.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from amaranth import Cat, Module, Signal, Value

from hwgen.cost import Resources
from hwgen.ir import Codes
from hwgen.numeric import CodeType
from hwgen.rtl.adder_tree import Term
from hwgen.rtl.compressor_tree import compress, compression_latency, compression_luts
from hwgen.rtl.dot.operand import bit_base, bit_scale, from_lowest
from hwgen.rtl.memory import lookup, pack
from hwgen.rtl.rom import constant_memory, rom_resources

# Inputs whose parities are built together: two levels of LUT6, an odd number because a full adder
# takes two more each.
BLOCK = 35


@dataclass(frozen=True)
class Block:
    """Parities of the input bits of one block, registered, the same for all rows.

    Parameters
    ----------
    begin, size : columns begin .. begin + size - 1
    carries : X_ac, X_bc and X_c of each full adder
    last : where `size` is even, the parity of all but the last bit, and the last bit
    parity : of all bits
    """

    begin: int
    size: int
    carries: tuple[tuple[Value, Value, Value], ...]
    last: tuple[Value, Value] | None
    parity: Value


def block_sizes(simd: int) -> list[int]:
    """Return the sizes of the blocks that `simd` inputs are cut into."""
    return [min(BLOCK, simd - begin) for begin in range(0, simd, BLOCK)]


def carry_counts(simd: int) -> tuple[int, int]:
    """Return how many full adders and how many half adders a row has."""
    sizes = block_sizes(simd)
    return sum((size - 1) // 2 for size in sizes), sum(size % 2 == 0 for size in sizes)


@dataclass(frozen=True)
class MatchCount:
    """Shape of the unit.

    Parameters
    ----------
    steps : different weights of a row, one after the other
    simd : inputs a step
    inputs : their type
    lut_inputs : of a LUT of the device
    """

    steps: int
    simd: int
    inputs: CodeType
    lut_inputs: int = 6

    @property
    def wide(self) -> bool:
        """Whether a LUT takes three pairs of bits."""
        return self.lut_inputs >= 6

    @property
    def looked_up(self) -> bool:
        """Whether the weights are functions of the step, not words of a memory."""
        return self.steps <= 1 << (self.lut_inputs - 2)

    @property
    def lacking(self) -> bool:
        """Whether a carry's table has no room for X_c beside the step."""
        return self.looked_up and self.steps > 1 << (self.lut_inputs - 3)

    @property
    def masked(self) -> bool:
        """Whether the full adders' carries still lack X_c."""
        return self.lacking and self.simd > 2

    @property
    def planes(self) -> int:
        """Bits of an input."""
        return self.inputs.width

    @property
    def codes(self) -> CodeType:
        """Interval of the weighted sum of the planes' matches."""
        return CodeType(0, self.simd * ((1 << self.planes) - 1))

    @property
    def heights(self) -> tuple[int, ...]:
        """Heights of the columns that are left to the compressor tree."""
        full, half = carry_counts(self.simd)
        plane = [len(block_sizes(self.simd)), full + half]
        if self.masked:
            plane[1:] = [full // 3 + full % 3 + half, full // 3]
        columns = [0] * self.codes.width
        for j in range(self.planes):
            for k, height in enumerate(plane):
                if j + k < len(columns):
                    columns[j + k] += height
        return tuple(columns)

    @property
    def cycles(self) -> int:
        """Registers from the inputs to the sum."""
        return (
            (self.simd > 2) + 1 + self.masked + compression_latency(self.heights, self.lut_inputs)
        )

    def shared_luts(self) -> int:
        """Return the LUTs of the parities of the inputs, which all rows share."""
        full, half = carry_counts(self.simd)
        # X_bc has two inputs; X_ac is built from the block's parities so far.
        each = 2 if self.wide else 5
        return self.planes * (each * full + half + 2 * len(block_sizes(self.simd)))

    def row_luts(self) -> int:
        """Return the LUTs of a row, without a memory; measured."""
        full, half = carry_counts(self.simd)
        resolve = (2 if self.wide else 4) * (full // 3) + full % 3 if self.masked else 0
        carry = 1 if self.looked_up or self.wide else 2
        first = carry * full + half + len(block_sizes(self.simd))
        return self.planes * (first + resolve) + compression_luts(self.heights, self.lut_inputs)

    def build(
        self, m: Module, x: Sequence[Value], steps: Codes, address: Value, advance: Signal
    ) -> list[Term]:
        """Build the parities of the inputs; carries and compressor tree for each row."""
        bits = from_lowest(x, self.inputs)
        if self.simd > 2:
            # The parities take a cycle, so the weights come a cycle later too.
            address = _held(m, address, "step_of_inputs", advance)
        planes = [
            _blocks(m, [value[j] for value in bits], f"parities{j}", advance)
            for j in range(self.planes)
        ]
        inverted = (steps < 0).astype(np.int64)
        rows: Sequence[_Row | _LookedUp]
        if self.looked_up:
            number = _held(m, address, "step_of_parities", advance)
            rows = [
                _LookedUp(inverted[:, row], number, self.lacking) for row in range(steps.shape[1])
            ]
        else:
            rows = _stored(m, inverted, address, advance)
        masks: list[Sequence[Value]] = [()] * self.planes
        if self.masked:
            for j, blocks in enumerate(planes):
                own = [carry[2] for block in blocks for carry in block.carries]
                held = _held(m, Cat(*own), f"masks{j}", advance)
                masks[j] = [held[k] for k in range(len(held))]
        sums = []
        for k, row in enumerate(rows):
            columns: list[list[Value]] = [[] for _ in range(self.codes.width + 2)]
            for j, (blocks, own_masks) in enumerate(zip(planes, masks, strict=True)):
                found = _plane(m, blocks, own_masks, row, f"row{k}_bit{j}", advance)
                for weight, bits in enumerate(found, j):
                    columns[weight] += bits
            columns = columns[: self.codes.width]
            total = compress(m, columns, self.codes, f"row{k}_sum", advance, self.lut_inputs)
            sums.append(Term(total.value, total.codes, bit_scale(self.inputs) - 1))
        return sums

    def offset(self, row: Codes) -> int:
        """Return the constant: a match at a weight of -1 is an input bit of zero."""
        every_bit = bit_scale(self.inputs) * ((1 << self.planes) - 1)
        return int((every_bit * np.minimum(row, 0) + bit_base(self.inputs) * row).sum())

    @property
    def offsets_differ(self) -> bool:
        """Between -1 and +1 it is minus the number of inputs."""
        return not self.inputs.bipolar

    def resources(self, pe: int) -> Resources:
        """Predict `pe` rows with their weights."""
        full, half = carry_counts(self.simd)
        blocks = len(block_sizes(self.simd))
        inputs = self.planes * ((3 + self.masked) * full + 2 * half + blocks)
        row = Resources(lut=self.row_luts(), ff=1.9 * self.planes * (full + half + blocks))
        memory = Resources() if self.looked_up else rom_resources(self.steps, pe * self.simd)
        return Resources(lut=self.shared_luts(), ff=inputs) + row * pe + memory


def _held(m: Module, value: Value, name: str, advance: Signal) -> Signal:
    held = Signal(len(value), name=name, reset_less=True)
    with m.If(advance):
        m.d.sync += held.eq(value)
    return held


def _blocks(m: Module, x: Sequence[Value], name: str, advance: Signal) -> list[Block]:
    """Return the parities of all blocks; two inputs or fewer need no register."""
    blocks, begin = [], 0
    for number, size in enumerate(block_sizes(len(x))):
        bits = Cat(*x[begin : begin + size])
        before_last = [bits[:-1].xor(), bits[-1]] if size % 2 == 0 else []
        found = [bits.xor(), *before_last]
        for j in range(2, size, 2):
            found += [bits[: j - 1].xor() ^ bits[j], bits[j - 1] ^ bits[j], bits[j]]
        ready: Value = Cat(*found)
        if len(x) > 2:
            ready = _held(m, ready, f"{name}_{number}", advance)
        own = [ready[k] for k in range(len(found))]
        first = 1 + len(before_last)
        carries = tuple(zip(own[first::3], own[first + 1 :: 3], own[first + 2 :: 3], strict=True))
        last = (own[1], own[2]) if before_last else None
        blocks.append(Block(begin, size, carries, last, own[0]))
        begin += size
    return blocks


def _prefix_parities(inverted: Codes) -> Codes:
    """Return the parity of each bit of the last axis and those before it in its block."""
    parts, begin = [], 0
    for size in block_sizes(inverted.shape[-1]):
        parts.append(np.cumsum(inverted[..., begin : begin + size], axis=-1) % 2)
        begin += size
    return np.concatenate(parts, axis=-1)


class _Row:
    """N_{0 .. k} of a row for every k, as signals."""

    def __init__(self, parities: Sequence[Value]) -> None:
        self.parities = parities

    def carry(self, block: Block, index: int) -> Value:
        """Return the carry of full adder `index`, X_c included."""
        ac, bc, c = block.carries[index]
        first = block.begin + 2 * index
        n_a, n_ab, n_abc = self.parities[first : first + 3]
        n_c = n_ab ^ n_abc
        return (((ac ^ n_a ^ n_c) & (bc ^ n_a ^ n_abc)) ^ n_c) ^ c

    def last_carry(self, block: Block) -> Value:
        """Return the carry of the half adder."""
        assert block.last is not None
        before, last = block.last
        n_before, n_all = self.parities[block.begin + block.size - 2 :][:2]
        return (before ^ n_before) & (last ^ n_before ^ n_all)

    def parity(self, block: Block) -> Value:
        """Return the sum's lowest bit."""
        return block.parity ^ self.parities[block.begin + block.size - 1]


class _LookedUp:
    """The same with N from the number of the step: every function is a table."""

    def __init__(self, inverted: Codes, number: Signal, masked: bool) -> None:
        self.parities, self.number, self.masked = _prefix_parities(inverted), number, masked

    def carry(self, block: Block, index: int) -> Value:
        """Return the carry of full adder `index`; without X_c where it does not fit in."""
        ac, bc, c = block.carries[index]
        first = block.begin + 2 * index
        n_a, n_ab, n_abc = self.parities[:, first : first + 3].T[:, :, None]
        n_c, number = n_ab ^ n_abc, np.arange(4 if self.masked else 8)
        x_ac, x_bc, x_c = (number >> k & 1 for k in range(3))
        values = (((x_ac ^ n_a ^ n_c) & (x_bc ^ n_a ^ n_abc)) ^ n_c) ^ x_c
        return self._table(values, ac, bc, *(() if self.masked else (c,)))

    def last_carry(self, block: Block) -> Value:
        """Return the carry of the half adder."""
        assert block.last is not None
        n_before, n_all = self.parities[:, block.begin + block.size - 2 :][:, :2].T[:, :, None]
        number = np.arange(4)
        values = ((number & 1) ^ n_before) & ((number >> 1) ^ n_before ^ n_all)
        return self._table(values, *block.last)

    def parity(self, block: Block) -> Value:
        """Return the sum's lowest bit."""
        last = self.parities[:, block.begin + block.size - 1][:, None]
        return self._table(np.arange(2) ^ last, block.parity)

    def _table(self, values: Codes, *inputs: Value) -> Value:
        """Look up values[step, inputs], the first input the lowest bit."""
        return lookup(values, Cat(*inputs, self.number))


def _stored(m: Module, inverted: Codes, address: Value, advance: Signal) -> list[_Row]:
    parities = _prefix_parities(inverted).reshape(len(inverted), -1)
    words = [pack(step.tolist(), 1) for step in parities]
    word = constant_memory(m, words, parities.shape[1], address, advance, "weights")
    simd = inverted.shape[2]
    bits = [word[k] for k in range(len(word))]
    return [_Row(bits[row * simd : (row + 1) * simd]) for row in range(inverted.shape[1])]


def _plane(
    m: Module,
    blocks: Sequence[Block],
    masks: Sequence[Value],
    row: _Row | _LookedUp,
    name: str,
    advance: Signal,
) -> list[list[Value]]:
    """Return a row's bits of weight 1, 2 and 4 for one bit position of the inputs."""
    parities = [row.parity(block) for block in blocks]
    lasts = [row.last_carry(block) for block in blocks if block.last]
    carries = [row.carry(block, k) for block in blocks for k in range(len(block.carries))]
    ones, twos, carries = _registers(m, [parities, lasts, carries], f"{name}_first", advance)
    if not masks:
        return [ones, twos + carries]
    pairs = list(zip(carries, masks, strict=True))
    grouped = len(pairs) - len(pairs) % 3
    adders = [_masked_adder(pairs[k : k + 3]) for k in range(0, grouped, 3)]
    sums, fours = [low for low, _ in adders], [high for _, high in adders]
    whole = [carry ^ mask for carry, mask in pairs[grouped:]]
    second = [ones, twos + whole + sums, fours]
    return _registers(m, second, f"{name}_second", advance)


def _registers(
    m: Module, groups: Sequence[Sequence[Value]], name: str, advance: Signal
) -> list[list[Value]]:
    """Return the bits of all groups one cycle later."""
    held = _held(m, Cat(*(bit for group in groups for bit in group)), name, advance)
    bits = iter(range(len(held)))
    return [[held[next(bits)] for _ in group] for group in groups]


def _masked_adder(pairs: Sequence[tuple[Value, Value]]) -> tuple[Value, Value]:
    """Return the sum and the carry of three bits, each the exclusive or of a pair.

    As tables of six inputs: synthesis would share the exclusive ors and need a LUT more.
    """
    index = np.arange(1 << 6)
    ones = sum((index >> 2 * k ^ index >> 2 * k + 1) & 1 for k in range(3))
    inputs = Cat(*(bit for pair in pairs for bit in pair))
    return lookup(np.asarray(ones) & 1, inputs), lookup(np.asarray(ones) >> 1, inputs)
