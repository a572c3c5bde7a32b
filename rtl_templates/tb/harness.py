"""The bench around the accelerator: clock, reset, AXI models, comparison, layer probes.

Everything about the design comes from bench.json, the frames from input.npy and output.npy.
"""

import itertools
import json
import logging
import os
import random
from dataclasses import dataclass, field
from pathlib import Path

import cocotb
import numpy as np
from cocotb.clock import Clock
from cocotb.triggers import ClockCycles, RisingEdge, SimTimeoutError, with_timeout
from cocotb.utils import get_sim_time
from cocotbext.axi import (
    AxiLiteBus,
    AxiLiteMaster,
    AxiStreamBus,
    AxiStreamFrame,
    AxiStreamMonitor,
    AxiStreamSink,
    AxiStreamSource,
)
from packing import BeatFormat

HERE = Path(__file__).resolve().parent
CLOCK_NS = 10
BENCH = json.loads((HERE / "bench.json").read_text())
RESULTS = Path(os.environ.get("HWGEN_RESULTS", HERE / "results"))
VECTORS = Path(os.environ.get("HWGEN_VECTORS", HERE.parent / "reference"))
SEED = os.environ.get("HWGEN_SEED", "0")
INPUT = BeatFormat(**BENCH["input"]["format"])
OUTPUT = BeatFormat(**BENCH["output"]["format"])
OUTPUT_BEATS = BENCH["output"]["beats"]
MEASURED = {"seed": int(SEED), "codes_compared": 0, "mismatches": 0, "tests": {}, "first": None}


@dataclass
class Vectors:
    """Frames as beats, with the beats that must come out."""

    inputs: list = field(default_factory=lambda: INPUT.pack(np.load(VECTORS / "input.npy")))
    outputs: list = field(default_factory=lambda: OUTPUT.pack(np.load(VECTORS / "output.npy")))


def pauses(chance, probability):
    """Yield, cycle by cycle, whether to pause, in runs of pauses and of activity.

    Most are short. Every few frames comes one long enough to fill every layer, or to drain it.
    """
    interval = BENCH["interval_cycles"]
    longest = 2 * interval + BENCH["latency_cycles"]
    fill, until_long = True, chance.randrange(1, interval + 1)
    while True:
        if until_long > 0:
            paused = chance.random() < probability
            length = chance.choice((1, 1, 1, 2, 3, chance.randrange(4, 24)))
            until_long -= length
        else:
            paused, length = fill, chance.randrange(1, longest + 1)
            fill, until_long = not fill, chance.randrange(1, 4 * interval + 1)
        yield from itertools.repeat(paused, length)


class Bench:
    """One test's surroundings; use as `async with Bench(dut, "name") as bench`."""

    def __init__(self, dut, name):
        self.dut, self.name = dut, name
        self.chance = random.Random(f"{SEED} {name}")
        self.vectors = Vectors()
        self.sent = []  # indices of the vectors sent since reset
        self.checked = 0  # how many of them have been compared
        self.faults = []
        self.recorder = None
        self.record = {"frames": self.sent, "mismatches": 0}
        MEASURED["tests"][name] = self.record

    async def __aenter__(self):
        dut = self.dut
        dut.aresetn.value = 0
        Clock(dut.aclk, CLOCK_NS, unit="ns").start()
        ports = (dut, dut.aclk, dut.aresetn)
        # One "byte" a beat: the models then handle whole beats as integers.
        self.source = AxiStreamSource(
            AxiStreamBus.from_prefix(dut, "s_axis"), *ports[1:], False, byte_lanes=1
        )
        self.sink = AxiStreamSink(
            AxiStreamBus.from_prefix(dut, "m_axis"), *ports[1:], False, byte_lanes=1
        )
        self.registers = AxiLiteMaster(
            AxiLiteBus.from_prefix(dut, "s_axil"), dut.aclk, dut.aresetn, False
        )
        for model in (self.source, self.sink):
            model.log.setLevel(logging.WARNING)
        for log in (self.registers.write_if.log, self.registers.read_if.log):
            log.setLevel(logging.WARNING)
        await self.release_reset()
        if os.environ.get("HWGEN_PROBE"):
            self.recorder = Recorder(dut, self.released_ns)
            cocotb.start_soon(self.recorder.run())
        return self

    async def __aexit__(self, kind, error, trace):
        if self.recorder:
            self.recorder.save()
        MEASURED["mismatches"] += self.record["mismatches"]
        (RESULTS / "measured.json").write_text(json.dumps(MEASURED, indent=1))
        if kind is None and self.faults:
            more = len(self.faults) - 2
            raise AssertionError(
                "; ".join(self.faults[:2]) + (f"; and {more} more" if more > 0 else "")
            )

    async def release_reset(self):
        """Hold reset a few cycles, then let go between two clock edges' samples."""
        self.dut.aresetn.value = 0
        await ClockCycles(self.dut.aclk, 4)
        self.dut.aresetn.value = 1
        self.released_ns = get_sim_time("ns")
        await ClockCycles(self.dut.aclk, 2)

    def monitor_input(self):
        """Return a monitor that sees when input beats are really taken."""
        bus = AxiStreamBus.from_prefix(self.dut, "s_axis")
        monitor = AxiStreamMonitor(bus, self.dut.aclk, self.dut.aresetn, False, byte_lanes=1)
        monitor.log.setLevel(logging.WARNING)
        return monitor

    async def watch_output(self):
        """Fault a beat on m_axis that changes or goes away before it has been taken."""
        dut, edge, waiting = self.dut, RisingEdge(self.dut.aclk), None
        while True:
            await edge
            if not dut.m_axis_tvalid.value:
                if waiting is not None:
                    self.fault("m_axis_tvalid fell before its beat was taken")
                waiting = None
                continue
            beat = int(dut.m_axis_tdata.value), bool(dut.m_axis_tlast.value)
            if waiting not in (None, beat):
                self.fault(f"m_axis changed from {waiting} to {beat} before it was taken")
            waiting = None if dut.m_axis_tready.value else beat

    def fault(self, text):
        """Note what is wrong; the test goes on and fails at its end."""
        self.faults.append(text)
        self.dut._log.warning("%s: %s", self.name, text)

    def pick(self, count):
        """Return the indices of `count` vectors, all of them in turn."""
        return [k % len(self.vectors.inputs) for k in range(count)]

    def send(self, index):
        """Queue vector `index` for the source."""
        self.sent.append(index)
        self.source.send_nowait(AxiStreamFrame(list(self.vectors.inputs[index])))

    def patience_cycles(self):
        """Return for how many cycles a frame may be waited for."""
        return 2000 + 20 * (BENCH["interval_cycles"] + BENCH["latency_cycles"])

    async def receive(self):
        """Return the next output frame, or None, noting the fault, when none comes in time."""
        cycles = self.patience_cycles()
        try:
            return await with_timeout(self.sink.recv(), cycles * CLOCK_NS, "ns")
        except SimTimeoutError:
            return None

    async def check_frames(self, count):
        """Receive and compare `count` frames, in the order sent; return them."""
        frames = []
        for done in range(count):
            frame = await self.receive()
            if frame is None:
                self.fault(f"frame {self.checked} did not come in {self.patience_cycles()} cycles")
                for _ in range(count - done):
                    self.compare([])
                break
            self.compare([int(beat) for beat in frame.tdata])
            frames.append(frame)
        return frames

    def compare(self, beats):
        """Compare the beats of one output frame with `==`, code by code."""
        position = self.checked
        self.checked += 1
        expected = self.vectors.outputs[self.sent[position]]
        MEASURED["codes_compared"] += len(expected) * OUTPUT.lanes
        if beats == expected:
            return
        if beats and len(beats) != len(expected):
            self.fault(
                f"frame {position}: TLAST after {len(beats)} beats, expected {len(expected)}"
            )
        if any(OUTPUT.padding(beat) for beat in beats):
            self.fault(f"frame {position}: bits of TDATA above the codes are not zero")
        want, got = OUTPUT.unpack(expected), OUTPUT.unpack(beats)
        common = min(len(want), len(got))
        wrong = np.flatnonzero(want[:common] != got[:common])
        count = len(wrong) + len(want) - common
        self.record["mismatches"] += count
        if count:
            first = int(wrong[0]) if len(wrong) else common
            seen = int(got[first]) if first < common else None
            self.note_mismatch(position, first, int(want[first]), seen)

    def note_mismatch(self, position, code, expected, got):
        """Keep the first mismatch of the run; name each one's frame once."""
        self.fault(f"frame {position}, code {code}: expected {expected}, got {got}")
        if MEASURED["first"] is None:
            MEASURED["first"] = {
                "test": self.name,
                "frame": position,
                "vector": self.sent[position],
                "code": code,
                "expected": expected,
                "got": got,
            }

    def check_layers(self):
        """Hold the end of every frame at every layer against its schedule; note what they were."""
        begin = int(self.dut.Monitor0.first.value)
        MEASURED["layers"] = {}
        for number, probe in list(enumerate(BENCH["probes"]))[1:]:
            noted = getattr(self.dut, f"Monitor{number}").ends
            spans = list(zip(probe["earliest"], probe["latest"], strict=True))
            ends = [int(noted[k].value) - begin for k in range(len(spans))]
            interval = ends[-1] - ends[-2]
            name = probe["layer"]
            MEASURED["layers"][name] = {"latency_cycles": ends[0], "interval_cycles": interval}
            if interval != BENCH["interval_cycles"]:
                self.fault(
                    f"{name}: a frame after {interval} cycles, {BENCH['interval_cycles']} promised"
                )
            for frame, (end, (earliest, latest)) in enumerate(zip(ends, spans, strict=True)):
                if not earliest <= end <= latest:
                    self.fault(
                        f"{name}: frame {frame} ended in cycle {end}, promised for cycle "
                        f"{earliest}{f' to {latest}' if latest > earliest else ''}"
                    )

    async def expect_silence(self):
        """Nothing but what was sent may come out."""
        await ClockCycles(self.dut.aclk, 20 + 2 * BENCH["latency_cycles"])
        if not self.sink.empty() or self.sink.active or self.dut.m_axis_tvalid.value:
            self.fault("more beats came out than frames went in for")

    async def read(self, name):
        """Return register `name`."""
        return await self.registers.read_dword(BENCH["registers"][name])

    async def read_wide(self, name):
        """Return a 64-bit counter: its low word first, which latches the high one."""
        low = await self.read(f"{name}_low")
        return low | await self.read(f"{name}_high") << 32

    async def expect_register(self, name, expected):
        """Compare register `name`."""
        got = await self.read(name)
        if got != expected:
            self.fault(f"register {name} is {got:#x}, expected {expected:#x}")


class Recorder:
    """Writes down every transfer between layers, for the mismatch finder."""

    def __init__(self, dut, start_ns):
        self.clock, self.start_ns = dut.aclk, start_ns
        self.probes = []
        for probe in BENCH["probes"]:
            unit = getattr(dut, probe["instance"])
            valid, ready, payload = unit.o_valid, unit.o_ready, unit.o_payload
            self.probes.append((valid, ready, payload, [], []))

    def restart(self):
        """Forget everything: the design has just been reset."""
        self.start_ns = get_sim_time("ns")
        for _, _, _, beats, cycles in self.probes:
            beats.clear()
            cycles.clear()

    async def run(self):
        """Sample each probe at each clock edge."""
        edge = RisingEdge(self.clock)
        while True:
            await edge
            cycle = round((get_sim_time("ns") - self.start_ns) / CLOCK_NS)
            for valid, ready, payload, beats, cycles in self.probes:
                if valid.value and ready.value:
                    beats.append(int(payload.value))
                    cycles.append(cycle)

    def save(self):
        """Write probes.json: for each probe its beats, their cycles and the final handshake."""
        rows = [
            {
                "layer": probe["layer"],
                "beats": [format(beat, "x") for beat in beats],
                "cycles": cycles,
                "valid": bool(valid.value),
                "ready": bool(ready.value),
            }
            for probe, (valid, ready, _, beats, cycles) in zip(
                BENCH["probes"], self.probes, strict=True
            )
        ]
        (RESULTS / "probes.json").write_text(json.dumps(rows))
