"""A mapped graph as one stream component: what lies between the AXI ports."""

from __future__ import annotations

from collections.abc import Iterator

from amaranth import Module
from amaranth.lib import stream

from hwgen.accelerator.layer import LayerUnit
from hwgen.ir import Graph
from hwgen.mapping.layers import group_layers
from hwgen.rtl.stream.component import StreamComponent
from hwgen.rtl.stream.fork import Fork


class Network(StreamComponent):
    """The layers of a graph, forked and joined, without the AXI boundary."""

    def __init__(self, graph: Graph) -> None:
        self.graph, self.layers = graph, group_layers(graph)
        self.units = {la.name: LayerUnit(graph, la) for la in self.layers}
        source, last = graph.inputs[0].type, self.units[self.layers[-1].name]
        super().__init__(source.codes, self.layers[0].lanes[0], last.o_codes, last.o_lanes)

    def elaborate(self, platform: object) -> Module:
        m = Module()
        readers = {self.graph.inputs[0].name: self.fork(m, self.graph.inputs[0].name, self.i)}
        for layer in self.layers:
            unit = self.units[layer.name]
            m.submodules[layer.name] = unit
            for value, port in zip(layer.reads, unit.streams_in, strict=True):
                join(m, next(readers[value]), port)
            readers[layer.gives] = self.fork(m, layer.gives, unit.o)
        join(m, next(readers[self.graph.outputs[0]]), self.o)
        return m

    def fork(self, m: Module, value: str, produced: stream.Interface) -> Iterator:
        readers = sum(layer.reads.count(value) for layer in self.layers)
        if readers < 2:
            return iter((produced,))
        codes = self.graph.types[value].codes
        fork = Fork(codes, len(produced.payload), readers)
        m.submodules[f"{value}_fork"] = fork
        join(m, produced, fork.i)
        return iter(fork.streams_out)


def join(m: Module, a: stream.Interface, b: stream.Interface) -> None:
    m.d.comb += [b.payload.eq(a.payload), b.valid.eq(a.valid), a.ready.eq(b.ready)]
