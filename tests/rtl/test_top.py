"""The accelerator in Amaranth's simulator: frames, stalls, TLAST errors, resets, counters."""

import math

import numpy as np
import pytest
from amaranth.sim import Simulator

from hwgen.accelerator.top import Accelerator, buildable_layers
from hwgen.errors import MappingError
from hwgen.ir import Graph, Input, Node
from hwgen.mapping.layers import group_layers
from hwgen.numeric import CodeType, Rounding
from hwgen.ops.case import integers, vector
from hwgen.ops.convert_lanes import ConvertLanes
from hwgen.ops.matvec import Kernel, MatVec
from hwgen.ops.requantize import Requantize
from hwgen.rtl.axi.axi_stream import fill_code
from hwgen.rtl.axi.registers import CONTROL_SOFT_RESET, OFFSETS, STATUS_TLAST_ERROR
from tests.ops.simulation import from_beats, to_beats
from tests.rtl.axi.drivers import LiteHost, Log, StreamPort, collect_packets, send_packets
from tests.rtl.designs import chain, lone, perceptron

DIGEST = bytes(range(32))


def random_frames(graph, count, seed=0):
    kind = graph.inputs[0].type
    codes = kind.codes.codes()
    return np.random.default_rng(seed).choice(codes, (count, *kind.shape)).astype(np.int64)


class Session:
    """An accelerator with its drivers; the bench gets the session itself."""

    def __init__(self, graph, idle=0.0, stall=0.0, seed=0):
        self.graph, self.idle, self.seed = graph, idle, seed
        self.top = Accelerator(graph, DIGEST, "0.1.0")
        self.host = LiteHost(self.top, "s_axil_", seed)
        self.sent, self.received = Log(), Log()
        self.stall = stall

    def packets(self, frames):
        kind, lanes = self.graph.inputs[0].type, self.graph.nodes[0].op.lanes[0]
        per_frame = kind.size // lanes
        beats = to_beats(frames, kind.codes, lanes)
        return [beats[k : k + per_frame] for k in range(0, len(beats), per_frame)]

    def outputs(self):
        """Return the frames received so far, flat."""
        last = self.graph.nodes[-1]
        kind, lanes = self.graph.types[last.name], last.op.lanes[1]
        beats = [word for packet in self.received.packets for word in packet]
        mask = (1 << lanes * kind.codes.width) - 1
        assert all(word <= mask for word in beats), "padding is not zero"
        assert all(len(packet) == kind.size // lanes for packet in self.received.packets)
        return from_beats(beats, kind.codes, lanes).reshape(-1, *kind.shape).tolist()

    async def send(self, ctx, packets):
        port = StreamPort.of(self.top, "s_axis_")
        await send_packets(ctx, port, packets, self.idle, self.seed, self.sent)

    async def until(self, ctx, frames, patience=3000):
        for _ in range(patience):
            if len(self.received.packets) >= frames:
                break
            await ctx.tick()
        await ctx.tick().repeat(3)

    async def counter(self, ctx, name):
        low = OFFSETS.get(name, OFFSETS.get(f"{name}_low"))
        value, _ = await self.host.read(ctx, low)
        if f"{name}_high" in OFFSETS:
            high, _ = await self.host.read(ctx, OFFSETS[f"{name}_high"])
            value |= high << 32
        return value

    def run(self, bench):
        async def main(ctx):
            ctx.set(self.top.aresetn, 0)
            await ctx.tick()
            ctx.set(self.top.aresetn, 1)
            await bench(ctx, self)

        async def sink(ctx):
            port = StreamPort.of(self.top, "m_axis_")
            await collect_packets(ctx, port, self.received, self.stall, self.seed + 1)

        simulator = Simulator(self.top)
        simulator.add_clock(1e-6)
        simulator.add_testbench(main)
        simulator.add_testbench(sink, background=True)
        simulator.run()


@pytest.mark.parametrize(("idle", "stall"), [(0, 0), (0.6, 0), (0, 0.6), (0.4, 0.4)])
@pytest.mark.parametrize("unrolled", [False, True])
@pytest.mark.parametrize("kernel", [Kernel.MAC, Kernel.XNOR])
def test_codes_equal_the_reference(kernel, unrolled, idle, stall):
    graph = perceptron(kernel, unrolled)
    frames = random_frames(graph, 6)
    session = Session(graph, idle, stall)

    async def bench(ctx, session):
        await session.send(ctx, session.packets(frames))
        await session.until(ctx, 6)
        assert await session.counter(ctx, "frames_in") == 6
        assert await session.counter(ctx, "frames_out") == 6
        assert await session.counter(ctx, "tlast_errors") == 0
        assert await session.counter(ctx, "status") == 0
        assert await session.counter(ctx, "input_stall_cycles") == session.sent.stalls
        assert await session.counter(ctx, "output_stall_cycles") == session.received.stalls

    session.run(bench)
    assert session.outputs() == graph.evaluate(frames).tolist()
    assert session.received.violations == []


def test_cycles_count_from_first_beat_to_last():
    """A lone frame through one layer: its promised latency, and the cycle of the first transfer."""
    op = MatVec(integers((4, 6), -9, 9), 2, 3)
    graph = lone(op, vector(6, -8, 7))
    session = Session(graph)
    latency = op.cost(graph.inputs[0].type).latency_cycles

    async def bench(ctx, session):
        await session.send(ctx, session.packets(random_frames(graph, 1)))
        await session.until(ctx, 1)
        assert await session.counter(ctx, "cycles") == latency + 1
        await session.send(ctx, session.packets(random_frames(graph, 1)))
        await session.until(ctx, 2)
        assert await session.counter(ctx, "cycles") == 2 * (latency + 1)

    session.run(bench)


@pytest.mark.parametrize(("idle", "stall"), [(0, 0), (0.5, 0.5)])
def test_wrong_tlast(idle, stall):
    """Short packets are filled up, long ones cut, and the frames around them are right."""
    graph = perceptron(Kernel.MAC)
    kind = graph.inputs[0].type
    frames = random_frames(graph, 5)
    session = Session(graph, idle, stall)
    packets = session.packets(frames)
    assert len(packets[0]) == 2
    packets[1] = packets[1][:1]
    packets[3] = packets[3] + packets[4] + packets[0]
    seen = frames.copy()
    seen[1, 3:] = fill_code(kind.codes)

    async def bench(ctx, session):
        await session.send(ctx, packets)
        await session.until(ctx, 5)
        assert await session.counter(ctx, "tlast_errors") == 2
        assert await session.counter(ctx, "status") == STATUS_TLAST_ERROR
        assert await session.counter(ctx, "frames_in") == 5
        await session.host.write(ctx, OFFSETS["control"], CONTROL_SOFT_RESET)
        assert await session.counter(ctx, "tlast_errors") == 0
        assert await session.counter(ctx, "status") == 0

    session.run(bench)
    assert session.outputs() == graph.evaluate(seen).tolist()


@pytest.mark.parametrize("soft", [False, True])
@pytest.mark.parametrize("beats_before", range(1, 14))
def test_reset_in_mid_frame(soft, beats_before):
    """After a reset at any point, whole frames come out as if nothing had been."""
    graph = perceptron(Kernel.MAC)
    frames = random_frames(graph, 3, seed=beats_before)
    session = Session(graph, stall=0.3, seed=beats_before)

    async def bench(ctx, session):
        before = session.packets(random_frames(graph, 8, seed=99))
        words = [word for packet in before for word in packet][:beats_before]
        port = StreamPort.of(session.top, "s_axis_")
        for k, word in enumerate(words):
            ctx.set(port.tdata, word)
            ctx.set(port.tvalid, 1)
            ctx.set(port.tlast, k % 2)
            ready = 0
            while not ready:
                _, _, ready = await ctx.tick().sample(port.tready)
        ctx.set(port.tvalid, 0)
        if soft:
            await session.host.write(ctx, OFFSETS["control"], CONTROL_SOFT_RESET)
        else:
            ctx.set(session.top.aresetn, 0)
            await ctx.tick()
            ctx.set(session.top.aresetn, 1)
        await ctx.tick()
        session.received.packets.clear()
        assert await session.counter(ctx, "frames_in") == 0
        assert await session.counter(ctx, "status") == 0
        await session.send(ctx, session.packets(frames))
        await session.until(ctx, 3)
        assert await session.counter(ctx, "frames_out") == 3

    session.run(bench)
    # The monitor keeps the beats of a frame that a soft reset cut; they stand before the first.
    assert len(session.received.packets) == 3
    session.received.packets = [packet[-3:] for packet in session.received.packets]
    assert session.outputs() == graph.evaluate(frames).tolist()


def test_soft_reset_takes_no_beat():
    """In the cycle of the reset neither stream moves, so no beat is half taken."""
    graph = perceptron(Kernel.MAC)
    moved = []

    async def bench(ctx, session):
        top = session.top
        ctx.set(top.s_axis_tvalid, 1)
        ctx.set(top.m_axis_tready, 1)
        ctx.set(top.s_axil_awaddr, OFFSETS["control"])
        ctx.set(top.s_axil_wdata, CONTROL_SOFT_RESET)
        for name in ("wstrb", "awvalid", "wvalid", "bready"):
            ctx.set(getattr(top, f"s_axil_{name}"), 1)
        for _ in range(60):
            _, _, pause, taken, given = await ctx.tick().sample(
                top.axi_lite.soft_reset, top.s_axis_tready, top.m_axis_tvalid
            )
            if pause:
                moved.append((taken, given))

    Session(graph).run(bench)
    assert len(moved) > 5
    assert set(moved) == {(0, 0)}


def test_layers():
    graph = perceptron(Kernel.MAC)
    layers = group_layers(graph)
    assert [(layer.name, [node.name for node in layer.nodes]) for layer in layers] == [
        ("fc1", ["fc1", "act1"]),
        ("to_fc2", ["to_fc2"]),
        ("fifo1", ["fifo1"]),
        ("fc2", ["fc2", "scale2"]),
    ]


def rescale(pe=1):
    return Requantize(np.array([3]), np.array([1]), 2, Rounding.RND, CodeType(-4, 4), pe)


def test_graph_without_matrix():
    graph = chain("g", vector(4, -9, 9), ("a", rescale(2), ""), ("b", rescale(2), ""))
    assert [layer.name for layer in group_layers(graph)] == ["a"]
    frames = random_frames(graph, 4)
    session = Session(graph, 0.3, 0.3)

    async def bench(ctx, session):
        await session.send(ctx, session.packets(frames))
        await session.until(ctx, 4)

    session.run(bench)
    ((_, unit),) = session.top.layers.values()
    assert [name for name, _ in unit.units] == ["requantize", "requantize_2"]
    assert session.outputs() == graph.evaluate(frames).tolist()


@pytest.mark.parametrize("name", ["axi_lite", "wire", "aclk", "s_axis_tdata", "network"])
def test_layer_names_that_are_taken(name):
    """Names of ports, of own instances, of the graph itself and keywords are legal node names."""
    graph = chain("network", vector(2, -9, 9), (name, rescale(2), ""))
    frames = random_frames(graph, 2)
    session = Session(graph)

    async def bench(ctx, session):
        await session.send(ctx, session.packets(frames))
        await session.until(ctx, 2)

    session.run(bench)
    assert session.outputs() == graph.evaluate(frames).tolist()


def test_ready_is_cut_in_every_layer():
    """`s_axis_tready` never follows `m_axis_tready` in the same cycle, converter or not."""
    graph = chain("g", vector(4, -9, 9), ("wide", ConvertLanes(2, 4), ""))
    for design in (graph, lone(rescale(2), vector(4, -9, 9)), perceptron(Kernel.MAC)):

        async def bench(ctx, session):
            top = session.top
            ctx.set(top.s_axis_tvalid, 1)
            for _ in range(100):
                answers = set()
                for ready in (0, 1):
                    ctx.set(top.m_axis_tready, ready)
                    answers.add(ctx.get(top.s_axis_tready))
                assert len(answers) == 1
                await ctx.tick()

        Session(design, stall=math.inf).run(bench)


def test_lanes_must_agree():
    graph = chain("g", vector(4, -9, 9), ("a", rescale(2), ""), ("b", rescale(4), ""))
    message = "b: takes 4 codes a beat, a gives 2; put convert_lanes between them"
    with pytest.raises(MappingError, match=message):
        buildable_layers(graph)


def test_only_networks():
    x = Input("x", vector(4, -9, 9))
    first, second = Node("a", rescale(), ("x",), source="Add_3"), Node("b", rescale(), ("x",))
    with pytest.raises(MappingError, match=r"a \(from Add_3\): nothing reads its result, remove"):
        group_layers(Graph("g", (x,), (first, second), ("b",)))
    with pytest.raises(MappingError, match="output a is also read by b"):
        group_layers(Graph("g", (x,), (first, Node("b", rescale(), ("a",))), ("a",)))
    with pytest.raises(MappingError, match="1 inputs and 2 outputs"):
        group_layers(Graph("g", (x,), (first,), ("a", "x")))
    with pytest.raises(MappingError, match="no nodes"):
        group_layers(Graph("g", (x,), (), ("x",)))
