"""Hardware that tests hardware: a unit with stimulus, random stalls, expected beats and a verdict.

Many of these go into one Verilog top, so that one Verilator build runs every case of every
operator.
"""

from __future__ import annotations

from amaranth import Module, Mux, Signal
from amaranth.lib import stream, wiring
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import In, Out

from hwgen.rtl.stream.component import StreamComponent


class SelfCheck(wiring.Component):
    """Send `beats` (a list for each input) through `unit` and compare with `expected`.

    Ports: `idle` and `stall` switch random gaps on; `limited` stops each input behind `limit`
    beats; `done` when all beats have come, `wrong` once a beat differed, `unstable` once a stalled
    beat changed; `taken` and `given` at each transfer of the first input and of the output.
    """

    def __init__(
        self,
        unit: StreamComponent,
        beats: list[list[int]],
        expected: list[int],
        seed: int,
        limit: int = 0,
    ) -> None:
        self.unit, self.beats, self.expected, self.seed = unit, beats, expected, seed
        self.limit = limit
        super().__init__(
            {
                "idle": In(1),
                "stall": In(1),
                "limited": In(1),
                "done": Out(1),
                "wrong": Out(1),
                "unstable": Out(1),
                "taken": Out(1),
                "given": Out(1),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        m.submodules.unit = self.unit
        noise = Signal(16, init=(self.seed * 40503 + 1) & 0xFFFF or 1)
        m.d.sync += noise.eq((noise << 1) | (noise[15] ^ noise[13] ^ noise[12] ^ noise[10]))
        for k, (i, beats) in enumerate(zip(self.unit.streams_in, self.beats, strict=True)):
            self._source(m, noise, k, i, beats)
        self._sink(m, noise)
        m.d.comb += [
            self.taken.eq(self.unit.i.valid & self.unit.i.ready),
            self.given.eq(self.unit.o.valid & self.unit.o.ready),
        ]
        return m

    def _source(self, m: Module, noise: Signal, k: int, i: stream.Interface, beats: list[int]):
        """Each input has gaps at times of its own."""
        memory = Memory(shape=len(i.payload.as_value()), depth=len(beats) + 1, init=beats)
        m.submodules[f"stimulus{k}"] = memory
        port = memory.read_port(domain="comb")
        sent, offered = Signal(range(len(beats) + 1)), Signal()
        end = Mux(self.limited, self.limit, len(beats))
        m.d.comb += [
            port.addr.eq(sent),
            i.payload.as_value().eq(port.data),
            i.valid.eq((sent != end) & (offered | ~self.idle | noise[3 + k])),
        ]
        m.d.sync += offered.eq(i.valid & ~i.ready)
        with m.If(i.valid & i.ready):
            m.d.sync += sent.eq(sent + 1)

    def _sink(self, m: Module, noise: Signal) -> None:
        o = self.unit.o
        payload = o.payload.as_value()
        m.submodules.expected = memory = Memory(
            shape=len(payload), depth=len(self.expected) + 1, init=self.expected
        )
        port = memory.read_port(domain="comb")
        received, held, waiting = (
            Signal(range(len(self.expected) + 1)),
            Signal.like(payload),
            Signal(),
        )
        m.d.comb += [
            port.addr.eq(received),
            o.ready.eq(~self.stall | noise[7]),
            self.done.eq(received == len(self.expected)),
        ]
        m.d.sync += [waiting.eq(o.valid & ~o.ready), held.eq(payload)]
        with m.If(o.valid & o.ready & ~self.done):
            m.d.sync += received.eq(received + 1)
            with m.If(payload != port.data):
                m.d.sync += self.wrong.eq(1)
        # A beat beyond the last is as wrong as a false one.
        with m.If(o.valid & self.done):
            m.d.sync += self.wrong.eq(1)
        with m.If(waiting & (~o.valid | (payload != held))):
            m.d.sync += self.unstable.eq(1)
