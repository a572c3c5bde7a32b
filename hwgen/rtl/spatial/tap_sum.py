"""`TapSum`: one dot product a channel over the taps of a window, as the taps stream by."""

from __future__ import annotations

from amaranth import Cat, Const, Module, Mux, Signal, Value
from amaranth.lib.memory import Memory

from hwgen.ir import Codes, TensorType
from hwgen.rtl.adder_tree import Term, add_tree, tree_latency, widen
from hwgen.rtl.dot.kernel import DotKernel
from hwgen.rtl.memory import pack
from hwgen.rtl.rom import constant_memory
from hwgen.rtl.spatial.selection import count_grid
from hwgen.rtl.stream.component import StreamComponent

LEVELS_PER_STAGE = 2


def depth_of(kernel: DotKernel, taps: int = 1) -> int:
    """Cycles from a beat of `taps` taps to the output: fetch, kernel, adder tree, accumulate."""
    terms = taps * kernel.summands_per_lane()
    return 1 + kernel.stages + tree_latency(terms, LEVELS_PER_STAGE) + 1


class TapSum(StreamComponent):
    """`pe` channels a cycle; the sums of the other channels of the pixel wait in a memory.

    Parameters
    ----------
    kernel : how a weight meets a code
    weights : int64 [C, taps]
    pe : lanes
    inputs, outputs : types of the streams
    beat_taps : taps of a beat; several only where `pe` is C
    """

    def __init__(
        self,
        kernel: DotKernel,
        weights: Codes,
        pe: int,
        inputs: TensorType,
        outputs: TensorType,
        beat_taps: int = 1,
    ) -> None:
        self.kernel, self.weights, self.pe, self.beat_taps = kernel, weights, pe, beat_taps
        self.parts, self.groups = weights.shape[1] // beat_taps, weights.shape[0] // pe
        super().__init__(inputs.codes, beat_taps * pe, outputs.codes, pe)

    def weight_words(self) -> list[int]:
        """Return the memory: a word a beat of the window, lane 0 lowest."""
        encoded = self.kernel.encode(self.weights).T.reshape(self.parts * self.groups, -1)
        return [pack(beat.tolist(), self.kernel.weight_bits) for beat in encoded]

    def elaborate(self, platform: object) -> Module:
        """Fetch, multiply, accumulate."""
        m = Module()
        advance = Signal()
        take = Signal()
        m.d.comb += [
            advance.eq(~self.o.valid | self.o.ready),
            self.i.ready.eq(advance),
            take.eq(self.i.valid & advance),
        ]
        (part, group), _ = count_grid(m, (self.parts, self.groups), take)
        flags: Value = Cat(take, part == 0, part == self.parts - 1, group)
        beat = Signal(len(self.i.payload.as_value()))
        with m.If(advance):
            m.d.sync += beat.eq(self.i.payload.as_value())
        word = self._weights(m, advance, take)
        for stage in range(depth_of(self.kernel, self.beat_taps) - 1):
            held = Signal(len(flags), name=f"flags_s{stage + 1}")
            with m.If(advance):
                m.d.sync += held.eq(flags)
            flags = held
        self._lanes(m, advance, beat, word, flags)
        with m.If(advance):
            m.d.sync += self.o.valid.eq(flags[0] & flags[2])
        return m

    def _weights(self, m: Module, advance: Signal, take: Signal) -> Value:
        words = self.weight_words()
        address = Signal(range(max(len(words), 2)))
        with m.If(take):
            m.d.sync += address.eq(Mux(address == len(words) - 1, 0, address + 1))
        width = self.i_lanes * self.kernel.weight_bits
        return constant_memory(m, words, width, address, advance, "weights")

    def _lanes(self, m: Module, advance: Signal, beat: Signal, word: Value, flags: Value) -> None:
        valid, first, group = flags[0], flags[1], flags[3:]
        width, code_bits, bits = self.o_codes.width, self.i_codes.width, self.kernel.weight_bits
        sums = Signal(width * self.pe)
        so_far = self._so_far(m, advance & valid, group, sums)
        start = Const(self.kernel.per_input * self.weights.shape[1], width)
        for k in range(self.pe):
            own = range(k, self.i_lanes, self.pe)
            x = [beat[j * code_bits : (j + 1) * code_bits] for j in own]
            weights = [word[j * bits : (j + 1) * bits] for j in own]
            terms = self.kernel.summands(m, x, weights, f"lane{k}", advance)
            total = add_tree(m, terms, f"lane{k}_sum", advance, LEVELS_PER_STAGE)
            shift = total.shift + self.kernel.gain - 1
            gained = widen(Term(total.value, total.codes, shift, total.negative), width)
            lane = slice(k * width, (k + 1) * width)
            previous = Mux(first, start, so_far[lane]) if self.parts > 1 else start
            m.d.comb += sums[lane].eq((previous + gained)[:width])
        with m.If(advance & valid):
            m.d.sync += self.o.payload.as_value().eq(sums)

    def _so_far(self, m: Module, write: Value, group: Value, sums: Signal) -> Value:
        """Return the sums of this beat's channels, which are replaced by `sums`."""
        kept: Value = self.o.payload.as_value()
        if self.groups == 1:
            return kept
        memory: Memory = Memory(shape=len(sums), depth=self.groups, init=[])
        m.submodules.sums = memory
        port, read = memory.write_port(), memory.read_port(domain="comb")
        m.d.comb += [
            read.addr.eq(group),
            port.addr.eq(group),
            port.en.eq(write),
            port.data.eq(sums),
        ]
        kept = read.data
        return kept
