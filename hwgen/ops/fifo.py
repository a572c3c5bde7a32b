"""FIFO: room for beats between two units whose rhythms differ.

The storage is Amaranth's own FIFO; this file gives it the stream interface and its promise.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from amaranth import Module
from amaranth.lib.fifo import SyncFIFOBuffered

from hwgen.cost import Resources
from hwgen.ir import Codes, Op, Schedule, TensorType, expect
from hwgen.numeric import CodeType
from hwgen.ops.case import Case, Reject, bipolar_vector, vector
from hwgen.ops.lane_parallel import lockstep
from hwgen.rtl.memory import ram_resources
from hwgen.rtl.stream.component import StreamComponent

DEPTH_CYCLES = 2  # into the memory, out to the register


@dataclass(frozen=True, eq=False)
class Fifo(Op):
    """Keep beats in order.

    Parameters
    ----------
    depth : beats it can hold, >= 3: fewer cannot pass a beat a cycle
    width : codes a beat
    ultra_ram : whether a large one lies in UltraRAM, on a device that has it
    """

    # what
    name: ClassVar[str] = "fifo"
    depth: int
    width: int = 1
    ultra_ram: bool = False

    def infer(self, *inputs: TensorType) -> TensorType:
        """Nothing changes."""
        (x,) = inputs
        expect(self.depth >= 3, f"depth is {self.depth}, expected at least 3 beats")
        expect(
            self.width > 0 and x.size % self.width == 0,
            f"{self.width} lanes do not divide the frame of {x.size} codes",
        )
        return x

    # meaning
    def evaluate(self, *codes: Codes) -> Codes:
        """Return the codes."""
        return codes[0]

    # promise
    @property
    def lanes(self) -> tuple[int, int]:
        """Codes in an input beat and in an output beat."""
        return self.width, self.width

    def schedule(self, *inputs: TensorType) -> Schedule:
        """A beat a cycle."""
        return lockstep(inputs[0], self.width, DEPTH_CYCLES)

    def resources(self, *inputs: TensorType) -> Resources:
        """Predict the memory, two pointers and a level."""
        bits = self.width * inputs[0].codes.width
        pointers = 3 * self.depth.bit_length()
        memory = ram_resources(self.depth, bits, self.ultra_ram)
        return memory + Resources(lut=2 * pointers, ff=pointers)

    def memory_bits(self, *inputs: TensorType) -> int:
        """Bits of all beats."""
        return self.depth * self.width * inputs[0].codes.width

    # hardware
    def hardware(self, *inputs: TensorType) -> StreamComponent:
        """Return the FIFO."""
        return FifoUnit(inputs[0].codes, self.width, self.depth)


class FifoUnit(StreamComponent):
    """Ready/valid around `amaranth.lib.fifo.SyncFIFOBuffered`."""

    def __init__(self, codes: CodeType, lanes: int, depth: int) -> None:
        self.depth = depth
        super().__init__(codes, lanes, codes, lanes)

    def elaborate(self, platform: object) -> Module:
        """Wire both sides."""
        m = Module()
        width = len(self.i.payload.as_value())
        m.submodules.storage = storage = SyncFIFOBuffered(width=width, depth=self.depth)
        m.d.comb += [
            storage.w_data.eq(self.i.payload.as_value()),
            storage.w_en.eq(self.i.valid),
            self.i.ready.eq(storage.w_rdy),
            self.o.payload.as_value().eq(storage.r_data),
            self.o.valid.eq(storage.r_rdy),
            storage.r_en.eq(self.o.ready),
        ]
        return m


CASES = (
    Case(Fifo(3), (vector(6, -5, 6),)),
    Case(Fifo(5, width=2), (vector(6, 0, 6),)),
    Case(Fifo(16, width=3), (bipolar_vector(6),)),
    Case(Fifo(70, width=1), (vector(6, -100, 6),)),
    Case(Fifo(2000, 6, ultra_ram=True), (vector(6, -1000, 1000),)),
)
REJECTS = (Reject(Fifo(2), (vector(6, 0, 1),), "depth is 2, expected at least 3 beats"),)
