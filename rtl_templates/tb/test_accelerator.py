"""What the accelerator must do, through its AXI ports alone.

Every comparison is `==` on codes. A seed, printed by run.py, decides all idles and stalls.
"""

import cocotb
from cocotb.triggers import ClockCycles, RisingEdge
from cocotbext.axi import AxiResp, AxiStreamFrame
from harness import BENCH, CLOCK_NS, MEASURED, Bench, pauses


async def stream_frames(dut, name, part, idle, stall):
    """Send a quarter of the vectors and compare everything that comes out."""
    async with Bench(dut, name) as bench:
        total = len(bench.vectors.inputs)
        # Each of the four tests has its quarter, and at least two frames.
        indices = list(range(part, total, 4))
        while len(indices) < 2:
            indices.append((len(indices) + part) % total)
        if idle:
            bench.source.set_pause_generator(pauses(bench.chance, idle))
        if stall:
            bench.sink.set_pause_generator(pauses(bench.chance, stall))
            cocotb.start_soon(bench.watch_output())
        for index in indices:
            bench.send(index)
        await bench.check_frames(len(indices))
        await bench.expect_silence()


@cocotb.test()
async def frames_unhindered(dut):
    """No idle input cycle, output always ready."""
    await stream_frames(dut, "frames_unhindered", 0, idle=0, stall=0)


@cocotb.test()
async def frames_with_idles(dut):
    """The input pauses at random."""
    await stream_frames(dut, "frames_with_idles", 1, idle=0.5, stall=0)


@cocotb.test()
async def frames_with_backpressure(dut):
    """The output stalls at random."""
    await stream_frames(dut, "frames_with_backpressure", 2, idle=0, stall=0.5)


@cocotb.test()
async def frames_with_idles_and_backpressure(dut):
    """Both."""
    await stream_frames(dut, "frames_with_idles_and_backpressure", 3, idle=0.3, stall=0.3)


@cocotb.test()
async def full_rate(dut):
    """Measure the latency of a lone frame and the interval of frames back to back."""
    async with Bench(dut, "full_rate") as bench:
        monitor = bench.monitor_input()
        bench.send(0)
        lone = await bench.check_frames(1)
        if not lone:
            return
        first = monitor.recv_nowait().sim_time_start
        MEASURED["latency_cycles"] = cycles_between(first, lone[0].sim_time_end)
        count = BENCH["rate_frames"]
        for index in bench.pick(count):
            bench.send(index)
        ends = [frame.sim_time_end for frame in await bench.check_frames(count)]
        if len(ends) < count:
            return
        half = count // 2
        interval = cycles_between(ends[half], ends[-1]) / (count - 1 - half)
        MEASURED["interval_cycles"] = int(interval) if interval.is_integer() else interval
        if interval != BENCH["interval_cycles"]:
            bench.fault(f"a frame every {interval:g} cycles, {BENCH['interval_cycles']} promised")
        await bench.expect_silence()


@cocotb.test()
async def layer_cycles(dut):
    """Frames come at the interval: each layer ends them when its schedule says, the last as often.

    A layer may run ahead of its readers as far as the FIFOs let it, so that there is a first and a
    last cycle for the end of each frame; at the output they are the same.
    """
    async with Bench(dut, "layer_cycles") as bench:
        count = len(BENCH["probes"][-1]["earliest"])
        for index in bench.pick(count):
            bench.send(index)
            await ClockCycles(dut.aclk, BENCH["interval_cycles"])
        await bench.check_frames(count)
        await bench.expect_silence()
        bench.check_layers()


def cycles_between(start, end):
    """Return clock cycles between two simulation times, which are in steps of 1 ps."""
    return round((end - start) / (CLOCK_NS * 1000))


@cocotb.test()
async def identity(dut):
    """Identity, version, model hash; foreign addresses and read-only words answer SLVERR."""
    async with Bench(dut, "identity") as bench:
        for name, value in BENCH["register_values"].items():
            await bench.expect_register(name, value)
        free = max(BENCH["registers"].values()) + 4
        if (await bench.registers.read(free, 4)).resp != AxiResp.SLVERR:
            bench.fault(f"reading {free:#x}, where no register is, was not answered SLVERR")
        only = BENCH["registers"]["identity"]
        reply = await bench.registers.write(only, b"\xff\xff\xff\xff")
        if reply.resp != AxiResp.SLVERR:
            bench.fault("writing the identity was not answered SLVERR")
        await bench.expect_register("identity", BENCH["register_values"]["identity"])


async def count_stalls(dut, counts):
    """Count cycles with valid and not ready, at the input and at the output."""
    edge = RisingEdge(dut.aclk)
    while True:
        await edge
        counts["input"] += bool(dut.s_axis_tvalid.value and not dut.s_axis_tready.value)
        counts["output"] += bool(dut.m_axis_tvalid.value and not dut.m_axis_tready.value)


@cocotb.test()
async def counters(dut):
    """Frame and stall counters equal what the bench sees; the cycle counter is plausible."""
    async with Bench(dut, "counters") as bench:
        seen = {"input": 0, "output": 0}
        cocotb.start_soon(count_stalls(dut, seen))
        bench.sink.set_pause_generator(pauses(bench.chance, 0.4))
        for index in bench.pick(3):
            bench.send(index)
        await bench.check_frames(3)
        await bench.expect_silence()
        await bench.expect_register("frames_in", 3)
        await bench.expect_register("frames_out", 3)
        await bench.expect_register("tlast_errors", 0)
        await bench.expect_register("status", 0)
        for side in ("input", "output"):
            got = await bench.read_wide(f"{side}_stall_cycles")
            if got != seen[side]:
                bench.fault(f"{side}_stall_cycles is {got}, the bench saw {seen[side]}")
        cycles = await bench.read_wide("cycles")
        least = 3 * BENCH["interval_cycles"]
        if cycles < least:
            bench.fault(f"cycles is {cycles} after 3 frames, expected at least {least}")


async def wrong_tlast(dut, name, beats, answer):
    """Send `beats` with TLAST on the last only: vector `answer` comes out, an error is counted."""
    async with Bench(dut, name) as bench:
        bench.source.send_nowait(AxiStreamFrame(beats(bench.vectors.inputs)))
        bench.sent.append(answer % len(bench.vectors.inputs))
        for index in bench.pick(2):
            bench.send(index)
        await bench.check_frames(3)
        await bench.expect_silence()
        await bench.expect_register("tlast_errors", 1)
        await bench.expect_register("status", BENCH["status_tlast_error"])
        await bench.expect_register("frames_in", 3)


@cocotb.test(skip=BENCH["input"]["beats"] < 2)
async def early_tlast(dut):
    """TLAST on the first beat: the last vector is that beat and fill codes."""
    await wrong_tlast(dut, "early_tlast", lambda inputs: inputs[-1][:1], -1)


@cocotb.test()
async def missing_tlast(dut):
    """No TLAST at the end of a frame: it is complete; beats up to the next TLAST are dropped."""
    await wrong_tlast(dut, "missing_tlast", lambda inputs: [*inputs[0], *inputs[-1], 0], 0)


@cocotb.test()
async def reset_in_mid_frame(dut):
    """A reset at a random cycle leaves no trace of the frames that were inside."""
    async with Bench(dut, "reset_in_mid_frame") as bench:
        for _ in range(3):
            for index in bench.pick(3):
                bench.send(index)
            await ClockCycles(dut.aclk, bench.chance.randrange(2, 4 + 2 * BENCH["interval_cycles"]))
            await interrupt(bench)
            await bench.release_reset()
            discard(bench)
            for index in bench.pick(2):
                bench.send(index)
            await bench.check_frames(2)
            await bench.expect_silence()
            await bench.expect_register("frames_in", 2)
            await bench.expect_register("frames_out", 2)


@cocotb.test()
async def soft_reset(dut):
    """The same through the control register, and the counters start again."""
    async with Bench(dut, "soft_reset") as bench:
        for index in bench.pick(3):
            bench.send(index)
        await ClockCycles(dut.aclk, bench.chance.randrange(2, 4 + 2 * BENCH["interval_cycles"]))
        await interrupt(bench)
        control = BENCH["registers"]["control"]
        await bench.registers.write_dword(control, BENCH["control_soft_reset"])
        await ClockCycles(dut.aclk, 4)
        discard(bench)
        await bench.expect_register("control", 0)
        for counter in ("frames_in", "frames_out", "tlast_errors", "status"):
            await bench.expect_register(counter, 0)
        for index in bench.pick(2):
            bench.send(index)
        await bench.check_frames(2)
        await bench.expect_silence()
        await bench.expect_register("frames_in", 2)
        await bench.expect_register("frames_out", 2)


async def interrupt(bench):
    """Stop the source between two beats, as AXI4-Stream demands: valid waits for ready."""
    bench.source.pause = True
    for _ in range(bench.patience_cycles()):
        await RisingEdge(bench.dut.aclk)
        if not bench.dut.s_axis_tvalid.value:
            return
    bench.fault("the input never became ready")


def discard(bench):
    """Forget what was on its way, on both sides of the accelerator."""
    bench.source.assert_reset()
    bench.source.clear()
    bench.source.pause = False
    bench.sink.assert_reset()
    bench.sink.clear()
    bench.sent.clear()
    bench.checked = 0
    if bench.recorder:
        bench.recorder.restart()
