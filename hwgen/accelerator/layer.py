"""`LayerUnit`: the hardware of one layer, its operators wired stream to stream.

A register slice at the end cuts the combinational path of ready through the layer.
"""

from __future__ import annotations

from itertools import pairwise

from amaranth import Module
from amaranth.lib.wiring import connect, flipped

from hwgen.errors import MappingError
from hwgen.ir import Graph
from hwgen.mapping.layers import Layer
from hwgen.rtl.stream.component import StreamComponent
from hwgen.rtl.stream.register_slice import RegisterSlice


class LayerUnit(StreamComponent):
    """The units of `layer`, each feeding the next.

    Parameters
    ----------
    graph : where the nodes' input types come from
    layer : nodes in stream order
    """

    def __init__(self, graph: Graph, layer: Layer) -> None:
        self.layer = layer
        self.units: list[tuple[str, StreamComponent]] = []
        for node in layer.nodes:
            earlier = sum(n.op.name == node.op.name for n in layer.nodes[: len(self.units)])
            name = f"{node.op.name}_{earlier + 1}" if earlier else node.op.name
            self.units.append((name, node.op.hardware(*graph.input_types(node))))
        first, last = self.units[0][1], self.units[-1][1]
        super().__init__(first.i_codes, first.i_lanes, last.o_codes, last.o_lanes, first.joined)

    def elaborate(self, platform: object) -> Module:
        """Chain the units."""
        m = Module()
        chain = list(self.units)
        chain.append(("register_slice", RegisterSlice(self.o_codes, self.o_lanes)))
        for name, unit in chain:
            m.submodules[name] = unit
        units = [unit for _, unit in chain]
        for outside, inside in zip(self.streams_in, units[0].streams_in, strict=True):
            connect(m, flipped(outside), inside)
        for before, after in pairwise(units):
            connect(m, before.o, after.i)
        connect(m, units[-1].o, flipped(self.o))
        return m


def check_lanes(graph: Graph) -> None:
    """Check that every node takes the beats that those before it give.

    Raises
    ------
    MappingError : naming both nodes
    """
    lanes = {node.name: node.op.lanes for node in graph.nodes}
    for node in graph.nodes:
        for name in node.inputs:
            takes = node.op.lanes[0]
            gives = lanes[name][1] if name in lanes else graph.nodes[0].op.lanes[0]
            if gives != takes:
                raise MappingError(
                    f"{node.name}: takes {takes} codes a beat, {name} gives {gives}; "
                    "put convert_lanes between them"
                )
