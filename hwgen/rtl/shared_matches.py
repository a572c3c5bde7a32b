"""Matches of an input with many rows of signs, one bit each, down to half as many bits a row.

Write x for the input bits and n for a row's inverted weight bits; y = x ^ n is 1 where they match.
The sum of a full adder of y_a, y_b, y_c is a parity, x_a ^ x_b ^ x_c but for an inversion, the same
signal for every row. Its carry is the majority, and up to an inversion there are four of them,

    maj(y_a, y_b, y_c) = maj(x_a ^ n_a ^ n_c, x_b ^ n_b ^ n_c, x_c) ^ n_c

however many rows there are. Sums are inputs of further full adders, so each row is left with one
parity and half as many carries as it has inputs, for about five LUTs a carry that all rows share.
Two full adders in a row are functions of five inputs: sum and carries of five bits take one level.

The order of the inputs is free. Columns of signs that are alike, or opposite, come side by side,
where few rows need fewer than four carries.

Source: Umuroglu et al., FINN, FPGA 2017 (XNOR-popcount); the sharing follows from the full adder.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt
from amaranth import Const, Value

from hwgen.ir import Codes
from hwgen.rtl.bit_network import BitNetwork
from hwgen.rtl.compressor_tree import full_adder

Signs = npt.NDArray[np.bool_]  # [rows]: where a bit is inverted


@dataclass(frozen=True, eq=False)
class Bit:
    """A bit of every row: a shared signal, or zero where there is none, inverted in some rows."""

    node: int | None
    signs: Signs


@dataclass(frozen=True, eq=False)
class Carry:
    """A carry of every row: one of a few signals, inverted in some rows.

    Parameters
    ----------
    variants : for each signal, whether the first and whether the second argument is inverted
    chosen : int64 [rows], which of them
    signs : where it is inverted
    """

    variants: tuple[tuple[bool, bool], ...]
    chosen: Codes
    signs: Signs

    @classmethod
    def of(cls, a: Signs, b: Signs, c: Signs) -> Carry:
        """Return the carry of bits with these signs."""
        number, chosen = np.unique((a ^ c) * 2 + (b ^ c), return_inverse=True)
        variants = tuple((bool(key & 2), bool(key & 1)) for key in number.tolist())
        return cls(variants, chosen, c)


@dataclass(frozen=True, eq=False)
class Block:
    """One or two full adders: three or five bits become one bit and one or two carries."""

    bits: tuple[Bit, ...]
    node: int
    signs: Signs
    carries: tuple[Carry, ...]

    @classmethod
    def of(cls, bits: tuple[Bit, ...], node: int) -> Block:
        """Return the block of `bits`, whose sum is signal `node`."""
        signs, carries = bits[0].signs, []
        for b, c in zip(bits[1::2], bits[2::2], strict=True):
            carries.append(Carry.of(signs, b.signs, c.signs))
            signs = signs ^ b.signs ^ c.signs
        return cls(bits, node, signs, tuple(carries))

    @property
    def total(self) -> Bit:
        """The sum."""
        return Bit(self.node, self.signs)

    @property
    def luts(self) -> int:
        """One for the sum and one for each different carry."""
        return 1 + sum(len(carry.variants) for carry in self.carries)


BLOCK, SMALL_BLOCK = 5, 3


class SharedMatches:
    """The blocks for rows of weights -1 and +1.

    Parameters
    ----------
    weights : int64 [rows, columns]
    odd : bool [rows], where one more match is counted that is always there; only where the number
        of columns is even
    lut_inputs : of a LUT of the device
    """

    def __init__(self, weights: Codes, odd: Signs, lut_inputs: int = 6) -> None:
        largest = BLOCK if lut_inputs >= BLOCK else SMALL_BLOCK
        inverted = weights < 0
        order = similar_columns(inverted)
        bits = [Bit(int(k), inverted[:, k]) for k in order]
        self.inputs = weights.shape[1]
        if self.inputs % 2 == 0:
            # Full adders take two bits away each; this one stays the last.
            bits.append(Bit(None, odd))
        self.levels: list[list[Block]] = []
        node = self.inputs
        while len(bits) > 1:
            size = largest if len(bits) >= largest else SMALL_BLOCK
            whole = len(bits) - len(bits) % size
            groups = [tuple(bits[k : k + size]) for k in range(0, whole, size)]
            blocks = [Block.of(group, node + k) for k, group in enumerate(groups)]
            node += len(blocks)
            self.levels.append(blocks)
            bits = [block.total for block in blocks] + bits[whole:]

    @cached_property
    def luts(self) -> int:
        """LUTs of all blocks."""
        return sum(block.luts for blocks in self.levels for block in blocks)

    def add_to(self, network: BitNetwork) -> Matches:
        """Add the blocks to `network`; its inputs are those of the matrix."""
        nodes = {k: k for k in range(self.inputs)}
        carries = []
        for level, blocks in enumerate(self.levels):
            for number, block in enumerate(blocks):
                name = f"matches{level}_{number}"
                arguments = [nodes[bit.node] for bit in block.bits if bit.node is not None]
                nodes[block.node] = network.add(f"{name}_parity", arguments, parity)
                for k, carry in enumerate(block.carries):
                    own = arguments[: 2 * k + 3]
                    zero = len(own) < 2 * k + 3
                    made = [
                        network.add(f"{name}_carry{k}_{v}", own, Majority(*variant, zero))
                        for v, variant in enumerate(carry.variants)
                    ]
                    carries.append((made, carry))
        last = self.levels[-1][0]
        return Matches(nodes[last.node], last.total, tuple(carries))


@dataclass(frozen=True, eq=False)
class Matches:
    """What the blocks leave of every row, as bits of the network."""

    node: int
    parity: Bit
    carries: tuple[tuple[list[int], Carry], ...]

    def ones(self, row: int) -> tuple[int, bool]:
        """Return the bit of weight 1 and whether it is inverted."""
        return self.node, bool(self.parity.signs[row])

    def twos(self, row: int) -> list[tuple[int, bool]]:
        """Return the bits of weight 2, each with whether it is inverted."""
        return [(made[carry.chosen[row]], bool(carry.signs[row])) for made, carry in self.carries]


def parity(bits: Sequence[Value]) -> Value:
    """Return whether the number of ones is odd."""
    total = bits[0]
    for bit in bits[1:]:
        total = total ^ bit
    return total


@dataclass(frozen=True)
class Majority:
    """The carry of a full adder of a block; its first argument is the parity of all before.

    Parameters
    ----------
    invert_a, invert_b : whether its first and its second argument are inverted
    zero : whether the last argument is missing, and zero
    """

    invert_a: bool
    invert_b: bool
    zero: bool

    def __call__(self, bits: Sequence[Value]) -> Value:
        """Return the carry."""
        *before, b, c = [*bits, Const(0, 1)] if self.zero else bits
        a = parity(before)
        return full_adder(~a if self.invert_a else a, ~b if self.invert_b else b, c)[1]


def similar_columns(inverted: npt.NDArray[np.bool_]) -> list[int]:
    """Return an order of the columns in which each is followed by one much like it.

    Opposite columns are alike. From each column to the nearest that is left.
    """
    # Sums of so few ones are exact in float32, whose matrix product is the fast one.
    signs = np.where(inverted, -1, 1).astype(np.float32)
    alike = np.abs(signs.T @ signs)
    order, left = [0], np.ones(len(alike), dtype=np.bool_)
    left[0] = False
    while left.any():
        order.append(int(np.argmax(np.where(left, alike[order[-1]], -1))))
        left[order[-1]] = False
    return order
