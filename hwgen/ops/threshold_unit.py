"""The hardware of `thresholds`: comparators, with their thresholds from tables or a memory."""

from __future__ import annotations

import numpy as np
from amaranth import Cat, Const, Module, Signal, Value

from hwgen.ir import Codes, TensorType
from hwgen.numeric import CodeType
from hwgen.ops.lane_parallel import ChannelPipeline
from hwgen.rtl.adder_tree import Term, add_tree, extend
from hwgen.rtl.dot.operand import number
from hwgen.rtl.memory import pack
from hwgen.rtl.stream.component import code_shape
from hwgen.rtl.threshold_search import build_search, follow, search_order


class ThresholdUnit(ChannelPipeline):
    """`pe` lanes; a channel's thresholds are searched by halves, or all compared at once.

    Parameters
    ----------
    thresholds, falling, codes, pe : of the operator
    x : type of the input
    depth : cycles
    searched : whether by halves
    """

    def __init__(
        self,
        thresholds: Codes,
        falling: Codes,
        x: TensorType,
        codes: CodeType,
        pe: int,
        depth: int,
        searched: bool,
    ) -> None:
        self.falling, self.channels, self.searched = falling, x.channels, searched
        # A threshold beyond the reachable codes acts like one just outside them.
        self.values = np.clip(thresholds, x.codes.lo, x.codes.hi + 1)
        self.value_codes = CodeType(x.codes.lo, x.codes.hi + 1)
        self.mixed = bool(falling.min() != falling.max())
        super().__init__(x.codes, codes, x.channels, pe, depth)

    def parameter_words(self) -> tuple[list[int], int]:
        """Return the thresholds, lowest first, then the falling flag where channels differ."""
        width, steps = self.value_codes.width, self.values.shape[1]
        rows = np.broadcast_to(self.value_codes.to_bits(self.values), (self.channels, steps))
        falling = np.broadcast_to(self.falling & self.mixed, self.channels)
        # The flag is one bit above the last threshold.
        channels = zip(rows.tolist(), falling.tolist(), strict=True)
        words = [pack([*row, flag], width) for row, flag in channels]
        return words, steps * width + self.mixed

    def fetch(self, m: Module, k: int, group: Signal, advance: Signal) -> Value:
        """Read the parameter memory; a search has its thresholds in tables of the group."""
        if not self.searched:
            words, width = self.parameter_words()
            return self.fetch_word(m, k, words, width, group, advance)
        if k == 0:
            # A register beside the value for each comparator.
            self.group_at = follow(m, group, self.depth - 1, "group_at", advance)
        return Const(0, 1)

    def lane(self, m: Module, k: int, x: Value, word: Value, advance: Signal) -> Value:
        """Search, or compare and count."""
        if self.searched:
            return self._search(m, k, x, advance)
        width, steps = self.value_codes.width, self.values.shape[1]
        flip = word[-1] if self.mixed else Const(int(self.falling[0]), 1)
        bits = [self._reached(x, word[j * width : (j + 1) * width]) ^ flip for j in range(steps)]
        reached = Signal(steps, name=f"reached{k}")
        with m.If(advance):
            m.d.sync += reached.eq(Cat(bits))
        if steps == 1:
            return self._code(reached)
        ones = [Term(reached[j], CodeType(0, 1)) for j in range(steps)]
        total = add_tree(m, ones, f"count{k}").value
        count = Signal(len(total), name=f"counted{k}")
        with m.If(advance):
            m.d.sync += count.eq(total)
        return self._code(count)

    def _search(self, m: Module, k: int, x: Value, advance: Signal) -> Value:
        """Return the code that belongs to the count."""
        assert isinstance(x, Signal)
        if self.values.shape[1] == 0:
            return Const(self.o_codes.lo, code_shape(self.o_codes))
        shape = (self.channels, self.values.shape[1])
        own = slice(k % self.channels, None, self.pe)
        values = np.broadcast_to(self.values, shape)[own]
        falling = np.broadcast_to(self.falling, self.channels)[own]
        order = search_order(values, falling, self.value_codes)
        count = build_search(
            m,
            x,
            order,
            falling,
            self.value_codes,
            self.i_codes,
            self._reached,
            self.group_at,
            advance,
        )
        return self._code(count)

    def _code(self, count: Value) -> Value:
        """Return the code at `count`."""
        width = self.o_codes.width
        whole = extend(count, False, width)
        if self.o_codes.lo and not self.o_codes.bipolar:
            base = Const(self.o_codes.lo & ((1 << width) - 1), width)
            return (whole + base)[:width]
        return whole

    def _reached(self, x: Value, threshold: Value) -> Value:
        value = self._comparable(number(x, self.i_codes), self.i_codes)
        return value >= self._comparable(threshold, self.value_codes)

    def _comparable(self, value: Value, codes: CodeType) -> Value:
        """Bring inputs and thresholds to one width and sign, as linters want."""
        signed = self.value_codes.signed or self.i_codes.lo < 0
        width = max(self.value_codes.width, self.i_codes.width) + (0 if codes.lo < 0 else 1)
        wide = extend(value, codes.signed or codes.bipolar, width)
        return wide.as_signed() if signed else wide.as_unsigned()
