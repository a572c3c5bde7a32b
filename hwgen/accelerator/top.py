"""`Accelerator`: the whole network between AXI4-Stream ports, with its AXI4-Lite registers.

The last module before Verilog; `build/emit.py` writes it out. The datapath has a reset of its own
that the host can pull; while it does, both streams pause. A frame that was on its way is lost, so
the host stops its DMA first.
"""

from __future__ import annotations

from collections.abc import Iterator

from amaranth import ClockDomain, DomainRenamer, Module, Signal
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out, connect

from hwgen.accelerator.layer import LayerUnit, check_lanes
from hwgen.ir import Graph, verify
from hwgen.mapping.layers import Layer, group_layers
from hwgen.ops.convert_lanes import ConvertLanes
from hwgen.rtl.axi.axi_lite import AXI_LITE_SIGNALS, AxiLiteRegisters, axi_lite_members
from hwgen.rtl.axi.axi_stream import StreamInput, StreamOutput
from hwgen.rtl.axi.counters import COUNTERS, FrameCounters
from hwgen.rtl.names import free_name
from hwgen.rtl.stream.component import StreamComponent
from hwgen.rtl.stream.fork import Fork

# Names of instances in the top module that no layer may take; its ports come on top.
OWN_NAMES = frozenset(
    {"stream_input", "stream_output", "axi_lite", "counters", "aclk", "aresetn"}
    | {f"{side}_axis_{wire}" for side in "sm" for wire in ("tdata", "tvalid", "tready", "tlast")}
    | {f"s_axil_{wire}" for wire in AXI_LITE_SIGNALS}
)
DATAPATH = DomainRenamer("datapath")


def buildable_layers(graph: Graph) -> tuple[Layer, ...]:
    """Return the layers of `graph`.

    Raises
    ------
    IRError, MappingError : when the graph is broken, or the lanes of neighbours differ
    """
    verify(graph)
    check_lanes(graph)
    return group_layers(graph)


class Accelerator(wiring.Component):
    """A mapped graph as hardware; ports are named as they appear in Verilog.

    Parameters
    ----------
    graph : from one input to one output; neighbours agree on the lanes of a beat
    model_sha256 : 32 bytes, readable by the host
    version : of hwgen, 'major.minor.patch'

    Raises
    ------
    MappingError : when values lead nowhere or the lanes of neighbours differ
    """

    aclk: Signal
    aresetn: Signal
    s_axis_tdata: Signal
    s_axis_tvalid: Signal
    s_axis_tready: Signal
    s_axis_tlast: Signal
    m_axis_tdata: Signal
    m_axis_tvalid: Signal
    m_axis_tready: Signal
    m_axis_tlast: Signal

    def __init__(self, graph: Graph, model_sha256: bytes, version: str) -> None:
        self.graph = graph
        self.groups = buildable_layers(graph)
        # By the name of their instance.
        self.layers: dict[str, tuple[Layer, StreamComponent]] = {}
        for group in self.groups:
            name = free_name(group.name, {*self.layers, *OWN_NAMES}, "layer")
            self.layers[name] = (group, self._unit(group))
        # Instance names by the value whose stream they fork.
        self.forks: dict[str, str] = {}
        for value in (graph.inputs[0].name, *(group.gives for group in self.groups)):
            if sum(group.reads.count(value) for group in self.groups) > 1:
                taken = {*self.layers, *OWN_NAMES, *self.forks.values()}
                self.forks[value] = free_name(f"{value}_fork", taken, "stream")
        first, last = graph.nodes[0], graph.nodes[-1]
        self.stream_input = StreamInput(graph.inputs[0].type, first.op.lanes[0])
        self.stream_output = StreamOutput(graph.types[last.name], last.op.lanes[1])
        self.axi_lite = AxiLiteRegisters(model_sha256, version)
        super().__init__(
            {
                "aclk": In(1),
                "aresetn": In(1),
                "s_axis_tdata": In(len(self.stream_input.tdata)),
                "s_axis_tvalid": In(1),
                "s_axis_tready": Out(1),
                "s_axis_tlast": In(1),
                "m_axis_tdata": Out(len(self.stream_output.tdata)),
                "m_axis_tvalid": Out(1),
                "m_axis_tready": In(1),
                "m_axis_tlast": Out(1),
                **axi_lite_members("s_axil_"),
            }
        )

    def _unit(self, group: Layer) -> StreamComponent:
        """Return a layer with its register slice, or plumbing as it is.

        A converter between two layers needs no slice: the path of ready through it ends in those
        of its neighbours. In front of `m_axis` it gets one.
        """
        (node, *_), last = group.nodes, group is self.groups[-1]
        if group.is_plumbing and not (last and isinstance(node.op, ConvertLanes)):
            return node.op.hardware(*self.graph.input_types(node))
        return LayerUnit(self.graph, group)

    def elaborate(self, platform: object) -> Module:
        """Clocks, streams, registers."""
        m = Module()
        self._clock_domains(m)
        self._streams(m)
        self._counters(m)
        return m

    def _clock_domains(self, m: Module) -> None:
        """Both domains run on `aclk`; sharing the signal keeps simulation free of delta races."""
        m.domains.sync = sync = ClockDomain("sync")
        m.domains.datapath = datapath = ClockDomain("datapath")
        reset = Signal()
        datapath_reset = Signal()
        # The stubs leave out what a ClockDomain consists of.
        sync.clk = datapath.clk = self.aclk  # type: ignore[attr-defined]
        sync.rst, datapath.rst = reset, datapath_reset  # type: ignore[attr-defined]
        m.d.comb += [
            reset.eq(~self.aresetn),
            datapath_reset.eq(reset | self.axi_lite.soft_reset),
        ]

    def _streams(self, m: Module) -> None:
        source, sink, pause = self.stream_input, self.stream_output, self.axi_lite.soft_reset
        m.submodules.stream_input = DATAPATH(source)
        readers = {self.graph.inputs[0].name: self._readers(m, self.graph.inputs[0].name, source.o)}
        for name, (layer, unit) in self.layers.items():
            m.submodules[name] = DATAPATH(unit)
            for value, port in zip(layer.reads, unit.streams_in, strict=True):
                connect(m, next(readers[value]), port)
            readers[layer.gives] = self._readers(m, layer.gives, unit.o)
        m.submodules.stream_output = DATAPATH(sink)
        connect(m, next(readers[self.graph.outputs[0]]), sink.i)
        m.d.comb += [
            source.tdata.eq(self.s_axis_tdata),
            source.tlast.eq(self.s_axis_tlast),
            source.tvalid.eq(self.s_axis_tvalid & ~pause),
            self.s_axis_tready.eq(source.tready & ~pause),
            self.m_axis_tdata.eq(sink.tdata),
            self.m_axis_tlast.eq(sink.tlast),
            self.m_axis_tvalid.eq(sink.tvalid & ~pause),
            sink.tready.eq(self.m_axis_tready & ~pause),
        ]

    def _readers(
        self, m: Module, value: str, produced: stream.Interface
    ) -> Iterator[stream.Interface]:
        """Return a stream of `value` for each of its readers; a fork where there are several."""
        if value not in self.forks:
            return iter((produced,))
        readers = sum(group.reads.count(value) for group in self.groups)
        fork = Fork(self.graph.types[value].codes, len(produced.payload), readers)
        m.submodules[self.forks[value]] = DATAPATH(fork)
        connect(m, produced, fork.i)
        return iter(fork.streams_out)

    def _counters(self, m: Module) -> None:
        registers, counters = self.axi_lite, FrameCounters()
        m.submodules.axi_lite = registers
        m.submodules.counters = DATAPATH(counters)
        source, sink = self.stream_input, self.stream_output
        m.d.comb += [
            counters.input_beat.eq(source.o.valid & source.o.ready),
            counters.input_stall.eq(self.s_axis_tvalid & ~self.s_axis_tready),
            counters.output_stall.eq(self.m_axis_tvalid & ~self.m_axis_tready),
            counters.frame_taken.eq(source.frame_taken),
            counters.frame_begun.eq(source.frame_begun),
            counters.tlast_error.eq(source.tlast_error),
            counters.frame_given.eq(sink.frame_given),
        ]
        for name in (*COUNTERS, "busy", "tlast_seen_wrong"):
            m.d.comb += getattr(registers, name).eq(getattr(counters, name))
        for name, (direction, _) in AXI_LITE_SIGNALS.items():
            outside, inside = getattr(self, f"s_axil_{name}"), getattr(registers, name)
            m.d.comb += inside.eq(outside) if direction == "in" else outside.eq(inside)
