"""Sums of shifted inputs: every digit of a weight has a multiplexer, and the adders do the rest.

A digit picks one of the shifts of its input. Four of them are a LUT6 a bit; what remains of the
shift, the sign and whether there is a digit at all fit into the LUT that the adder needs anyway,
as five more inputs. So the first adder of two digits is the only logic behind their multiplexers.

The sign only inverts. What a negation lacks beyond that, one for each negative digit, is a
constant of the row and leaves with its `offset`.

Each place of a digit has a range of shifts of its own: the lowest digits of the weights seldom
need the shifts that the highest do. Rows do not share multiplexers: the shifts of an input are
wires, and what costs is picking one.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache
from itertools import combinations

import numpy as np
from amaranth import Cat, Const, Module, Mux, Signal, Value

from hwgen.cost import Resources
from hwgen.ir import Codes, Same
from hwgen.numeric import CodeType
from hwgen.numeric.signed_digits import signed_digits
from hwgen.rtl.adder_tree import Term, add, add_tree, extend, register, tree_latency
from hwgen.rtl.dot.operand import number
from hwgen.rtl.memory import pack
from hwgen.rtl.rom import constant_memory, rom_resources

LEVELS_PER_STAGE = 2
Digits = tuple[tuple[int, bool] | None, ...]


@dataclass(frozen=True)
class Place:
    """What the digits of one place have in common.

    Parameters
    ----------
    low, high : shifts
    optional : whether some weight has no digit here
    """

    low: int
    high: int
    optional: bool

    @property
    def shift_bits(self) -> int:
        """Bits of the shift beyond `low`."""
        return (self.high - self.low).bit_length()

    @property
    def width(self) -> int:
        """Bits of a stored digit: shift, then sign, then presence."""
        return self.shift_bits + 1 + self.optional

    def encode(self, digit: tuple[int, bool] | None) -> int:
        """Return the stored digit."""
        if digit is None:
            return 0
        shift, negative = digit
        word = shift - self.low | int(negative) << self.shift_bits
        return word | int(self.optional) << (self.shift_bits + 1)

    def shifted(self, x: Value, digit: Value) -> Value:
        """Return x << (shift - low), inverted where the sign says so; `x` has a sign bit."""
        value, width = x, len(x) + self.high - self.low
        for begin in range(0, self.shift_bits, 2):
            bits = digit[begin : min(begin + 2, self.shift_bits)]
            value = _pick(value, bits, begin, width)
        if self.optional:
            value = value & digit[-1].replicate(len(value))
        return (value ^ digit[self.shift_bits].replicate(len(value))).as_signed()


def _pick(value: Value, bits: Value, begin: int, width: int) -> Value:
    """Return value << (bits << begin), cut to `width`."""
    most = ((1 << len(bits)) - 1) << begin
    wide = extend(value, True, min(len(value) + most, width))
    choices = [
        Cat(Const(0, amount << begin), wide)[: len(wide)] if amount else wide
        for amount in range(1 << len(bits))
    ]
    while len(choices) > 1:
        bit, bits = bits[0], bits[1:]
        choices = [Mux(bit, b, a) for a, b in zip(choices[::2], choices[1::2], strict=True)]
    return choices[0]


# Once for all foldings of a matrix.
@lru_cache(maxsize=64)
def place_digits(weights: Same[Codes]) -> tuple[tuple[Place, ...], dict[int, Digits]]:
    """Return the places, and the digit of each different weight in each of them.

    A weight with fewer digits than others has them where they widen the ranges least.
    """
    digits = {int(w): signed_digits(int(w)) for w in np.unique(weights.value)}
    count = max((len(found) for found in digits.values()), default=0) or 1
    ranges: list[tuple[int, int] | None] = [None] * count
    placed: dict[int, Digits] = {}
    for weight, found in sorted(digits.items(), key=lambda entry: -len(entry[1])):
        best = min(
            combinations(range(count), len(found)),
            key=lambda places: sum(
                _growth(ranges[place], shift)
                for place, (shift, _) in zip(places, found, strict=True)
            ),
        )
        own: list[tuple[int, bool] | None] = [None] * count
        for place, digit in zip(best, found, strict=True):
            own[place], low_high = digit, ranges[place] or (digit[0], digit[0])
            ranges[place] = min(low_high[0], digit[0]), max(low_high[1], digit[0])
        placed[weight] = tuple(own)
    places = tuple(
        Place(*(ranges[k] or (0, 0)), optional=any(own[k] is None for own in placed.values()))
        for k in range(count)
    )
    return places, placed


def _growth(limits: tuple[int, int] | None, shift: int) -> int:
    if limits is None:
        return 1
    return max(limits[0] - shift, shift - limits[1], 0)


@dataclass(frozen=True, eq=False)
class ShiftedSums:
    """A memory of digits, a multiplexer for each, an adder tree for each row.

    Parameters
    ----------
    weights : all of the layer; digits are sized by them
    steps : different weights of a row, one after the other
    simd : inputs a step
    inputs : their type
    """

    weights: Codes
    steps: int
    simd: int
    inputs: CodeType

    @cached_property
    def _placed(self) -> tuple[tuple[Place, ...], dict[int, Digits]]:
        return place_digits(Same(self.weights))

    @property
    def places(self) -> tuple[Place, ...]:
        """The places of a weight's digits."""
        return self._placed[0]

    @property
    def terms(self) -> int:
        """Digits of a row in a step."""
        return self.simd * len(self.places)

    @property
    def cycles(self) -> int:
        """Multiplexers and the first adders, then the tree."""
        return 1 + tree_latency(-(-self.terms // 2), LEVELS_PER_STAGE)

    @property
    def word_bits(self) -> int:
        """Bits of a stored weight."""
        return sum(place.width for place in self.places)

    def encode(self, weights: Codes) -> Codes:
        """Return the stored weights, the lowest digit in the low bits."""
        words = {}
        for weight, digits in self._placed[1].items():
            word = begin = 0
            for place, digit in zip(self.places, digits, strict=True):
                word |= place.encode(digit) << begin
                begin += place.width
            words[weight] = word
        flat = [words[int(w)] for w in weights.ravel()]
        return np.array(flat, dtype=np.int64).reshape(weights.shape)

    def offset(self, row: Codes) -> int:
        """Return the ones that the negative digits lack."""
        placed = self._placed[1]
        return sum(
            1 << place.low
            for weight in row.tolist()
            for place, digit in zip(self.places, placed[weight], strict=True)
            if digit and digit[1]
        )

    @property
    def offsets_differ(self) -> bool:
        """Rows differ in their negative digits, unless there is none."""
        return any(digit and digit[1] for own in self._placed[1].values() for digit in own)

    def build(
        self, m: Module, x: Sequence[Value], steps: Codes, address: Value, advance: Signal
    ) -> list[Term]:
        """Fetch the digits of the step; pick and add for each row."""
        width = self.word_bits
        stored = self.encode(steps).reshape(len(steps), -1)
        words = [pack(step.tolist(), width) for step in stored]
        word = constant_memory(m, words, stored.shape[1] * width, address, advance, "weights")
        sums = []
        for row in range(steps.shape[1]):
            starts = [(row * self.simd + k) * width for k in range(self.simd)]
            digits = [word[begin : begin + width] for begin in starts]
            sums.append(self._row(m, x, digits, f"row{row}", advance))
        return sums

    def _row(
        self, m: Module, x: Sequence[Value], words: Sequence[Value], name: str, advance: Signal
    ) -> Term:
        terms = [
            term
            for k, (value, word) in enumerate(zip(x, words, strict=True))
            for term in self._digits(m, number(value, self.inputs), word, f"{name}_x{k}")
        ]
        # Digits of the same place together: their sum is narrower.
        terms.sort(key=lambda term: term.shift)
        firsts = []
        for k in range(0, len(terms) - 1, 2):
            total, result = add(terms[k], terms[k + 1], f"{name}_pair{k // 2}")
            with m.If(advance):
                m.d.sync += total.value.eq(result)
            firsts.append(total)
        if len(terms) % 2:
            firsts.append(register(m, terms[-1], f"{name}_single", advance))
        return add_tree(m, firsts, f"{name}_sum", advance, LEVELS_PER_STAGE)

    def _digits(self, m: Module, x: Value, word: Value, name: str) -> list[Term]:
        terms: list[Term] = []
        begin = 0
        # Unsigned inputs get a sign bit too: the result may be inverted.
        x = x if x.shape().signed else Cat(x, Const(0, 1))
        for place in self.places:
            value = place.shifted(x, word[begin : begin + place.width])
            # Named, or yosys makes it part of the wider operand, which linters take for a loop.
            picked = Signal(value.shape(), name=f"{name}_digit{len(terms)}")
            m.d.comb += picked.eq(value)
            terms.append(Term(picked, self._codes(place), place.low))
            begin += place.width
        return terms

    def _codes(self, place: Place) -> CodeType:
        """Interval of a digit's term, inverted or not, above the place's lowest shift."""
        reach = place.high - place.low
        low, high = self.inputs.lo << reach, self.inputs.hi << reach
        return CodeType(min(low, -high - 1, 0), max(high, -low - 1, 0))

    def resources(self, pe: int) -> Resources:
        """Predict `pe` rows, weights included; measured."""
        places = sorted(self.places, key=lambda place: place.low)
        luts: float = sum(self.simd * self._multiplexer_luts(place) for place in places)
        widths = [self._codes(place).width for place in places for _ in range(self.simd)]
        # One digit of each pair has no adder's LUT to hide in, and some have only half of one.
        crowded = [place.shift_bits > 2 and place.optional for place in places]
        hidden = sum(self.simd * self._codes(p).width for p in places) / 2
        luts += hidden * (1 + sum(crowded) / len(crowded))
        registers = level = 0
        while len(widths) > 1:
            pairs = [max(widths[k : k + 2]) + 1 for k in range(0, len(widths) - 1, 2)]
            luts += sum(pairs)
            widths = pairs + widths[len(widths) - len(widths) % 2 :]
            registers += sum(widths) if level % LEVELS_PER_STAGE == 0 else 0
            level += 1
        memory = rom_resources(self.steps, pe * self.simd * self.word_bits)
        return Resources(lut=luts, ff=registers) * pe + memory

    def _multiplexer_luts(self, place: Place) -> int:
        """Predict the multiplexers of a digit, but for the last pair that the adder takes in."""
        stages = place.shift_bits // 2
        return stages * (self.inputs.width + min(3, place.high - place.low))
