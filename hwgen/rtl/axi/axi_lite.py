"""`AxiLiteRegisters`: the AXI4-Lite port in front of the register map of `registers.py`.

Write address and write data may come in any order; one write and one read are in flight at most.
No ready depends on a valid of the same cycle, and no output on any input.

Source: AMBA AXI4, ARM IHI 0022H, sections A3.2 (handshake), B1 (AXI4-Lite).
"""

from __future__ import annotations

from functools import reduce
from operator import or_

from amaranth import C, Cat, Module, Mux, Signal, Value
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from hwgen.rtl.axi.counters import COUNTERS
from hwgen.rtl.axi.registers import ADDRESS_BITS, IDENTITY, OFFSETS, sha256_words, version_word

OKAY, SLVERR = 0, 2

# Direction as the subordinate sees it, and width; `s_axil_` comes before each name in Verilog.
AXI_LITE_SIGNALS: dict[str, tuple[str, int]] = {
    "awaddr": ("in", ADDRESS_BITS),
    "awprot": ("in", 3),
    "awvalid": ("in", 1),
    "awready": ("out", 1),
    "wdata": ("in", 32),
    "wstrb": ("in", 4),
    "wvalid": ("in", 1),
    "wready": ("out", 1),
    "bresp": ("out", 2),
    "bvalid": ("out", 1),
    "bready": ("in", 1),
    "araddr": ("in", ADDRESS_BITS),
    "arprot": ("in", 3),
    "arvalid": ("in", 1),
    "arready": ("out", 1),
    "rdata": ("out", 32),
    "rresp": ("out", 2),
    "rvalid": ("out", 1),
    "rready": ("in", 1),
}


def axi_lite_members(prefix: str = "") -> dict[str, wiring.Member]:
    """Return the port's signals as component members, `prefix` before each name."""
    return {
        prefix + name: In(width) if direction == "in" else Out(width)
        for name, (direction, width) in AXI_LITE_SIGNALS.items()
    }


class AxiLiteRegisters(wiring.Component):
    """The registers as the host sees them.

    Parameters
    ----------
    model_sha256 : 32 bytes
    version : of hwgen, 'major.minor.patch'
    """

    awaddr: Signal
    awvalid: Signal
    awready: Signal
    wdata: Signal
    wstrb: Signal
    wvalid: Signal
    wready: Signal
    bresp: Signal
    bvalid: Signal
    bready: Signal
    araddr: Signal
    arvalid: Signal
    arready: Signal
    rdata: Signal
    rresp: Signal
    rvalid: Signal
    rready: Signal
    soft_reset: Signal
    busy: Signal
    tlast_seen_wrong: Signal

    def __init__(self, model_sha256: bytes, version: str) -> None:
        self.constants = {"identity": IDENTITY, "version": version_word(version)}
        for k, word in enumerate(sha256_words(model_sha256)):
            self.constants[f"model_sha256_{k}"] = word
        super().__init__(
            {
                **axi_lite_members(),
                "soft_reset": Out(1),  # high for one cycle
                "busy": In(1),
                "tlast_seen_wrong": In(1),
                **{name: In(width) for name, width in COUNTERS.items()},
            }
        )

    def elaborate(self, platform: object) -> Module:
        """Both channels are independent of each other."""
        m = Module()
        self._write_channel(m)
        self._read_channel(m)
        return m

    def _write_channel(self, m: Module) -> None:
        address_held = Signal()
        data_held = Signal()
        address = Signal(ADDRESS_BITS - 2)
        reset_requested = Signal()
        is_control = Signal()
        execute = Signal()
        m.d.comb += [
            self.awready.eq(~address_held),
            self.wready.eq(~data_held),
            execute.eq(address_held & data_held & ~self.bvalid),
            is_control.eq(address == OFFSETS["control"] >> 2),
        ]
        with m.If(self.awvalid & self.awready):
            m.d.sync += [address_held.eq(1), address.eq(self.awaddr[2:])]
        with m.If(self.wvalid & self.wready):
            m.d.sync += [data_held.eq(1), reset_requested.eq(self.wdata[0] & self.wstrb[0])]
        m.d.sync += self.soft_reset.eq(execute & is_control & reset_requested)
        with m.If(execute):
            m.d.sync += [self.bvalid.eq(1), self.bresp.eq(Mux(is_control, OKAY, SLVERR))]
        with m.Elif(self.bvalid & self.bready):
            m.d.sync += [self.bvalid.eq(0), address_held.eq(0), data_held.eq(0)]

    def _read_channel(self, m: Module) -> None:
        high_word = Signal(32)
        accept = Signal()
        mapped = Signal()
        m.d.comb += [
            self.arready.eq(~self.rvalid),
            accept.eq(self.arvalid & self.arready),
        ]
        words, selects = [], []
        for name, value in self._readable(high_word).items():
            select = Signal(name=f"select_{name}")
            word = Signal(32, name=f"word_{name}")
            m.d.comb += [
                select.eq(self.araddr[2:] == OFFSETS[name] >> 2),
                word.eq(Mux(select, value, 0)),
            ]
            words.append(word)
            selects.append(select)
            if name.endswith("_low"):
                counter = getattr(self, name.removesuffix("_low"))
                with m.If(accept & select):
                    m.d.sync += high_word.eq(counter[32:])
        m.d.comb += mapped.eq(Cat(selects).any())
        with m.If(accept):
            m.d.sync += [
                self.rvalid.eq(1),
                self.rdata.eq(reduce(or_, words)),
                self.rresp.eq(Mux(mapped, OKAY, SLVERR)),
            ]
        with m.Elif(self.rvalid & self.rready):
            m.d.sync += self.rvalid.eq(0)

    def _readable(self, high_word: Signal) -> dict[str, Value]:
        """Return what a read of each register gives."""
        values: dict[str, Value] = {
            **{name: C(word, 32) for name, word in self.constants.items()},
            "control": C(0, 32),
            "status": Cat(self.busy, self.tlast_seen_wrong, C(0, 30)),
        }
        for name, width in COUNTERS.items():
            counter = getattr(self, name)
            if width == 32:
                values[name] = counter
            else:
                values |= {f"{name}_low": counter[:32], f"{name}_high": high_word}
        return values
