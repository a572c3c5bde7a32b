"""Affine requantization: o = clip(round((i * multiplier + offset) / 2**shift)).

The finite function of fixed-point networks: bias, BatchNorm, rescaling and saturating activations
together. A wire, a shift and a constant are special cases that cost nothing.

Source: AMD/Xilinx UG1399 (quantization and overflow modes); Yao et al., HAWQ-V3, arXiv 2011.10680
(integer-only rescaling).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from amaranth import Module, Signal, Value

from hwgen.cost import Resources
from hwgen.ir import Codes, TensorType, expect, frozen_codes, union
from hwgen.numeric import CodeType, Rounding, round_shift
from hwgen.numeric.signed_digits import count_digits, signed_digits
from hwgen.ops.case import Case, Reject, bipolar_vector, integers, vector
from hwgen.ops.lane_parallel import ChannelPipeline, ChannelWise, expect_channels
from hwgen.rtl.adder_tree import Term, add_tree, extend, widen
from hwgen.rtl.dot.multiply_accumulate import multiplier_resources
from hwgen.rtl.dot.operand import number
from hwgen.rtl.rom import rom_resources
from hwgen.rtl.rounding import clipped, rounded_shift
from hwgen.rtl.stream.component import StreamComponent, code_shape

DEPTH = 3  # fetch, multiply and add, round and clip


@dataclass(frozen=True)
class RequantizeSizes:
    """Intervals inside the unit; `shared_multiplier` is None when channels differ in it."""

    scaled: CodeType
    rounded: CodeType
    multiplier: CodeType
    offset: CodeType
    shared_multiplier: int | None

    @property
    def word_bits(self) -> int:
        """Bits of one channel's parameters."""
        own = self.multiplier.width if self.shared_multiplier is None else 0
        return self.offset.width + own


@dataclass(frozen=True, eq=False)
class Requantize(ChannelWise):
    """Scale, shift, round and clip each code.

    Parameters
    ----------
    multiplier, offset : int64 [C] or [1]
    shift : bits dropped, >= 0
    rounding : of the dropped bits
    codes : interval the result is clipped to
    pe : codes a beat
    """

    # what
    name: ClassVar[str] = "requantize"
    multiplier: Codes
    offset: Codes
    shift: int
    rounding: Rounding
    codes: CodeType
    pe: int = 1

    def __post_init__(self) -> None:
        for name in ("multiplier", "offset"):
            codes = frozen_codes(getattr(self, name), 1, f"requantize {name}")
            object.__setattr__(self, name, codes)

    def infer(self, *inputs: TensorType) -> TensorType:
        """Shape stays; the interval is what can come out, at most `codes`."""
        (x,) = inputs
        expect_channels(self.multiplier, x, self.pe, "multiplier")
        expect_channels(self.offset, x, self.pe, "offset")
        expect(self.shift >= 0, f"shift is {self.shift}, expected >= 0")
        expect(not self.codes.bipolar, "codes are bipolar, expected an interval; use thresholds")
        ends = np.array([[c.lo, c.hi] for c in x.per_channel()], dtype=np.int64)
        scaled = self._scaled(ends.T)
        width = CodeType.of(scaled).width
        expect(width <= 62, f"i * multiplier + offset needs {width} bits, expected at most 62")
        out = np.sort(self._finish(scaled), axis=0)
        channels = tuple(CodeType(int(lo), int(hi)) for lo, hi in out.T)
        return TensorType(x.shape, union(channels), channels)

    # meaning
    def _scaled(self, codes: Codes) -> Codes:
        return codes * self.multiplier + self.offset

    def _finish(self, scaled: Codes) -> Codes:
        return np.clip(round_shift(scaled, self.shift, self.rounding), self.codes.lo, self.codes.hi)

    def evaluate(self, *codes: Codes) -> Codes:
        """Apply to the last axis."""
        return self._finish(self._scaled(codes[0]))

    def sizes(self, x: TensorType) -> RequantizeSizes:
        """Return the exact intervals inside the unit for inputs of type `x`."""
        ends = np.array([[c.lo, c.hi] for c in x.per_channel()], dtype=np.int64)
        scaled = self._scaled(ends.T)
        shared = bool(np.all(self.multiplier == self.multiplier[0]))
        return RequantizeSizes(
            scaled=CodeType.of(scaled),
            rounded=CodeType.of(round_shift(scaled, self.shift, self.rounding)),
            multiplier=CodeType.of(self.multiplier),
            offset=CodeType.of(self.offset),
            shared_multiplier=int(self.multiplier[0]) if shared else None,
        )

    # promise
    @property
    def depth(self) -> int:
        """Cycles from a beat to what becomes of it."""
        return DEPTH

    def resources(self, *inputs: TensorType) -> Resources:
        """Predict from the multiplier's digits, the offset adder, the rounding and the clip."""
        (x,) = inputs
        sizes, groups = self.sizes(x), self.beats_of_vector(x)
        wide, out = sizes.scaled.width, self.infer(x).codes.width
        lane = Resources(ff=x.codes.width + wide + out)
        if sizes.shared_multiplier is None:
            lane += multiplier_resources(x.codes.width, sizes.multiplier.width)
            lane += Resources(lut=wide)
        else:
            adders = int(count_digits(self.multiplier[:1])[0]) - 1 + bool(np.any(self.offset))
            lane += Resources(lut=max(adders, 0) * wide)
        rounds = self.shift > 0 and self.rounding is not Rounding.TRN
        clips = sizes.rounded != self.infer(x).codes
        lane += Resources(lut=(out if rounds else 0) + (1.5 * out + 2 if clips else 0))
        return lane * self.pe + rom_resources(groups, self.pe * sizes.word_bits)

    def memory_bits(self, *inputs: TensorType) -> int:
        """Bits of the parameters that differ between channels of a lane."""
        (x,) = inputs
        return self.sizes(x).word_bits * x.channels if x.channels > self.pe else 0

    # hardware
    def hardware(self, *inputs: TensorType) -> StreamComponent:
        """Return `pe` requantizers."""
        return RequantizeUnit(self, inputs[0])


class RequantizeUnit(ChannelPipeline):
    """`pe` lanes of multiply, add, round, clip."""

    def __init__(self, op: Requantize, x: TensorType) -> None:
        self.op, self.sizes = op, op.sizes(x)
        self.channels = x.channels
        super().__init__(x.codes, op.infer(x).codes, x.channels, op.pe, DEPTH)

    def parameter_words(self) -> tuple[list[int], int]:
        """Return offset in the low bits, multiplier above it unless all channels share it."""
        words = np.broadcast_to(self.sizes.offset.to_bits(self.op.offset), (self.channels,))
        packed = [int(word) for word in words]
        if self.sizes.shared_multiplier is None:
            factors = self.sizes.multiplier.to_bits(self.op.multiplier)
            packed = [
                low | int(high) << self.sizes.offset.width
                for low, high in zip(packed, factors, strict=True)
            ]
        return packed, self.sizes.word_bits

    def fetch(self, m: Module, k: int, group: Signal, advance: Signal) -> Value:
        """Read the parameter memory."""
        words, width = self.parameter_words()
        return self.fetch_word(m, k, words, width, group, advance)

    def lane(self, m: Module, k: int, x: Value, word: Value, advance: Signal) -> Value:
        """Multiply and add; then round and clip."""
        shift, rounding = self.op.shift, self.op.rounding
        width = self.sizes.scaled.width
        offset = number(word[: self.sizes.offset.width], self.sizes.offset)
        wide_offset = extend(offset, self.sizes.offset.signed, width)
        value = number(x, self.i_codes)
        if self.sizes.shared_multiplier is None:
            factor = number(word[self.sizes.offset.width :], self.sizes.multiplier)
            full = value * factor
            product = extend(full, full.shape().signed, width)
        else:
            product = self._constant_product(m, k, value, width)
        scaled = Signal(code_shape(self.sizes.scaled), name=f"scaled{k}")
        rounded = Signal(code_shape(self.sizes.rounded), name=f"rounded{k}")
        result = Signal(code_shape(self.o_codes), name=f"result{k}")
        m.d.comb += rounded.eq(
            rounded_shift(scaled, self.sizes.scaled, self.sizes.rounded, shift, rounding)
        )
        with m.If(advance):
            m.d.sync += [
                scaled.eq((product + wide_offset)[:width]),
                result.eq(clipped(rounded, self.sizes.rounded, self.op.codes, self.o_codes)),
            ]
        return result

    def _constant_product(self, m: Module, k: int, value: Value, width: int) -> Value:
        codes = CodeType(self.i_codes.lo, self.i_codes.hi)
        terms = [
            Term(value, codes, shift, negative)
            for shift, negative in signed_digits(int(self.op.multiplier[0]))
        ]
        return widen(add_tree(m, terms, f"product{k}"), width)


def _cases() -> tuple[Case, ...]:
    per_channel, offsets = integers((6,), -20, 20), integers((6,), -99, 99)
    one, image = np.array([1]), TensorType((2, 2, 4), CodeType(-20, 90))
    signed = CodeType(-8, 7)
    cases = [
        Case(Requantize(per_channel, offsets, 4, mode, signed, pe), (vector(6, -50, 49),))
        for mode, pe in zip(Rounding, (1, 2, 3, 6, 1, 2, 3, 6, 1), strict=True)
    ]
    cases += [
        Case(Requantize(one, one * 0, 3, mode, CodeType(0, 15), pe=2), (vector(4, -200, 200),))
        for mode in Rounding
    ]
    cases += [
        Case(Requantize(one, one * 0, 0, Rounding.TRN, CodeType(-9, 9)), (vector(3, -9, 9),)),
        Case(Requantize(one * 5, one, 9, Rounding.RND, CodeType(-4, 4)), (vector(3, -9, 9),)),
        Case(Requantize(one * -7, one, 2, Rounding.RND_CONV, CodeType(-4, 4)), (vector(2, 0, 9),)),
        Case(Requantize(one * 0, one * 3, 0, Rounding.TRN, CodeType(3, 3)), (vector(2, 0, 9),)),
        Case(Requantize(one * 3, one, 1, Rounding.RND, CodeType(-4, 4)), (bipolar_vector(4),)),
        Case(Requantize(per_channel[:4], offsets[:4], 4, Rounding.RND, signed, pe=8), (image,)),
        Case(Requantize(one * 77, offsets[:4], 6, Rounding.UP, CodeType(0, 63), pe=2), (image,)),
    ]
    return tuple(cases)


CASES = _cases()
REJECTS = (
    Reject(
        Requantize(np.array([1, 2]), np.array([0]), 1, Rounding.TRN, CodeType(0, 3)),
        (vector(3, 0, 9),),
        "multiplier for 2 channels, expected 1 or 3",
    ),
    Reject(
        Requantize(np.array([1]), np.array([0]), -1, Rounding.TRN, CodeType(0, 3)),
        (vector(3, 0, 9),),
        "shift is -1, expected >= 0",
    ),
)
