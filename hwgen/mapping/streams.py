"""Fit neighbours together: lane converters where beat widths differ, FIFOs where rhythms do."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import replace

from hwgen.ir import Graph, Node, TensorType
from hwgen.mapping.timing import (
    Edge,
    Traffic,
    room_needed,
    steady_timeline,
    takes_within,
)
from hwgen.ops.convert_lanes import ConvertLanes
from hwgen.ops.fifo import Fifo
from hwgen.rtl.names import free_name

MAX_TDATA_BITS = 1024  # AXI DMA and most interconnects stop here
MIN_FIFO = 3  # fewer beats cannot pass one a cycle
FIFO_CYCLES = 2  # a beat spends these inside a FIFO in any case


def connect_lanes(graph: Graph) -> Graph:
    """Insert converters; the host's side is narrowed to at most `MAX_TDATA_BITS`."""
    source = graph.inputs[0]
    nodes: list[Node] = []
    lanes = {source.name: host_lanes(source.type, graph.nodes[0].op.lanes[0] if graph.nodes else 1)}
    converted: dict[tuple[str, int], str] = {}
    for node in graph.nodes:
        wanted, produced = node.op.lanes
        inputs = []
        for name in node.inputs:
            if (name, wanted) not in converted:
                converted[name, wanted] = _convert(nodes, graph, name, lanes[name], wanted)
            inputs.append(converted[name, wanted])
        nodes.append(replace(node, inputs=tuple(inputs)))
        lanes[node.name] = produced
    output = graph.outputs[0]
    wide = lanes[output]
    name = _convert(nodes, graph, output, wide, host_lanes(graph.types[output], wide))
    return replace(graph, nodes=tuple(nodes), outputs=(name,))


def host_lanes(kind: TensorType, lanes: int) -> int:
    """Return the largest divisor of `lanes` whose beat fits the host's bus."""
    fitting = [
        d for d in range(1, lanes + 1) if lanes % d == 0 and d * kind.codes.width <= MAX_TDATA_BITS
    ]
    return max(fitting, default=1)


def _convert(nodes: list[Node], graph: Graph, name: str, lanes: int, wanted: int) -> str:
    """Append converters from `lanes` to `wanted`; through their common multiple if need be."""
    scale, base = graph.scale_of(name), name
    for step in converter_steps(lanes, wanted):
        if step != lanes:
            new = _new_name(graph, nodes, f"{base[:48]}_lanes{step}")
            nodes.append(Node(new, ConvertLanes(lanes, step), (name,), scale))
            name, lanes = new, step
    return name


def converter_steps(lanes: int, wanted: int) -> list[int]:
    """Return the lanes on the way: through the common multiple where neither divides the other."""
    if max(lanes, wanted) % min(lanes, wanted) == 0:
        return [wanted]
    return [math.lcm(lanes, wanted), wanted]


def insert_fifos(graph: Graph) -> Graph:
    """Insert a FIFO wherever beats wait in the relaxed schedule, deep enough for it.

    With this much room the network keeps the interval and the latency of the earliest schedule
    under any host that keeps up, and cannot deadlock: the relaxed schedule is a proof. A layer
    that is held back keeps the bubbles in its pipeline; room for the beats that its reader takes
    in as many cycles makes up for them.
    """
    while True:
        network = _Network(graph)
        crowded = [edge for edge in network.edges() if network.needs_fifo(edge)]
        if not crowded:
            return network.with_depths()
        graph = network.with_fifos(crowded)


class _Network:
    """A connected graph and its relaxed schedule."""

    def __init__(self, graph: Graph) -> None:
        self.graph = graph
        self.timeline = timeline = steady_timeline(graph)
        relaxed = timeline.relaxed()
        self.traffic = relaxed.traffic
        self.even = timeline.paced - relaxed.held  # producers that never stall
        self.depths = {la.gives: timeline.schedules[la.name].depth for la in timeline.layers}
        self.fifos = {node.name for node in graph.nodes if isinstance(node.op, Fifo)}

    def edges(self) -> Iterator[Edge]:
        """Yield every edge on which there is no FIFO yet."""
        for edge in self.traffic:
            if self.fifos.isdisjoint(edge[:2]):
                yield edge

    def margin(self, edge: Edge, value: str) -> int:
        """Return the beats that bubbles in the pipeline behind `value` may be short of."""
        if value in self.even or value not in self.depths:  # the host has no pipeline
            return 0
        return max(takes_within(self.traffic[edge], self.depths[value]) - 1, 0)

    def needs_fifo(self, edge: Edge) -> bool:
        """Whether more beats may wait on `edge` than its ends hold."""
        return not self.timeline.passes(edge[0], self.traffic[edge], self.margin(edge, edge[0]))

    def with_fifos(self, crowded: list[Edge]) -> Graph:
        """Return the graph with FIFOs on edges, their depths still open."""
        places = {(reader, k): value for value, reader, k in crowded}
        nodes: list[Node] = []
        for node in self.graph.nodes:
            inputs = list(node.inputs)
            for k, name in enumerate(node.inputs):
                if places.get((node.name, k)) == name:
                    forked = len(self.graph.consumers(name)) > 1
                    stem = f"{name[:28]}_to_{node.name[:24]}" if forked else name[:54]
                    inputs[k] = _new_name(self.graph, nodes, f"{stem}_fifo")
                    fifo = Fifo(MIN_FIFO, node.op.lanes[0])
                    nodes.append(Node(inputs[k], fifo, (name,), self.graph.scale_of(name)))
            nodes.append(replace(node, inputs=tuple(inputs)))
        return self.graph.with_nodes(tuple(nodes))

    def with_depths(self) -> Graph:
        """Return the graph with every FIFO as deep as it must be."""
        depths = {}
        for edge, out in self.traffic.items():
            value = edge[0]
            if value in self.fifos:
                (before,) = self.graph.node(value).inputs
                given = self.traffic[before, value, 0].given
                room = room_needed(Traffic(given, out.taken)) + self.margin(edge, before)
                depths[value] = max(room + FIFO_CYCLES, MIN_FIFO)
        return self.graph.with_nodes(
            tuple(
                replace(node, op=replace(node.op, depth=depths[node.name]))  # type: ignore[call-arg]
                if node.name in depths
                else node
                for node in self.graph.nodes
            )
        )


def _new_name(graph: Graph, nodes: list[Node], wanted: str) -> str:
    """Return a name that neither the graph nor what has been inserted uses."""
    return free_name(wanted, {*graph.types, *(node.name for node in nodes)}, "2")
