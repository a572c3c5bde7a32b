"""Fit neighbours together: lane converters where beat widths differ, FIFOs where rhythms do."""

from __future__ import annotations

import math
from dataclasses import replace

from hwgen.ir import Graph, Node, Op, TensorType
from hwgen.mapping.timing import run, waiting_beats
from hwgen.ops.convert_lanes import ConvertLanes
from hwgen.ops.fifo import Fifo

MAX_TDATA_BITS = 1024  # AXI DMA and most interconnects stop here
FIFO_CYCLES = 2  # a beat spends these inside a FIFO in any case


def connect_lanes(graph: Graph) -> Graph:
    """Insert converters; the host's side is narrowed to at most `MAX_TDATA_BITS`."""
    nodes: list[Node] = []
    source = graph.inputs[0]
    name = source.name
    lanes = host_lanes(source.type, graph.nodes[0].op.lanes[0] if graph.nodes else 1)
    for node in graph.nodes:
        wanted, produced = node.op.lanes
        name = _convert(nodes, graph, name, lanes, wanted)
        nodes.append(replace(node, inputs=(name,)))
        name, lanes = node.name, produced
    out = graph.types[graph.outputs[0]]
    name = _convert(nodes, graph, name, lanes, host_lanes(out, lanes))
    return replace(graph, nodes=tuple(nodes), outputs=(name,))


def host_lanes(kind: TensorType, lanes: int) -> int:
    """Return the largest divisor of `lanes` whose beat fits the host's bus."""
    fitting = [
        d for d in range(1, lanes + 1) if lanes % d == 0 and d * kind.codes.width <= MAX_TDATA_BITS
    ]
    return max(fitting, default=1)


def _convert(nodes: list[Node], graph: Graph, name: str, lanes: int, wanted: int) -> str:
    """Append converters from `lanes` to `wanted`; through their common multiple if need be."""
    scale = graph.scale_of(name)
    base, steps = name, [wanted]
    if max(lanes, wanted) % min(lanes, wanted):
        steps = [math.lcm(lanes, wanted), wanted]
    for step in steps:
        if step != lanes:
            new = f"{base[:48]}_lanes{step}"
            nodes.append(Node(new, ConvertLanes(lanes, step), (name,), scale))
            name, lanes = new, step
    return name


def insert_fifos(graph: Graph) -> Graph:
    """Insert a FIFO wherever beats wait, deep enough that no producer is ever held back.

    Depths follow from the never-stalled schedule at the network's interval; a design with this
    much room keeps that interval under any host that keeps up.
    """
    # Enough frames for every stage to reach its steady state.
    traffic = run(graph, frames=len(graph.nodes) + 2)
    nodes: list[Node] = []
    producer: Op | None = None
    for node in graph.nodes:
        (name,) = node.inputs
        waiting = waiting_beats(traffic[name])
        if producer is not None and waiting > _slack_beats(producer):
            fifo = Fifo(max(waiting + FIFO_CYCLES, 3), node.op.lanes[0])
            nodes.append(Node(f"{name[:54]}_fifo", fifo, (name,), graph.scale_of(name)))
            name = nodes[-1].name
        nodes.append(replace(node, inputs=(name,)))
        producer = node.op
    return graph.with_nodes(tuple(nodes))


def _slack_beats(producer: Op) -> int:
    """Beats that may wait behind `producer` while it goes on.

    A layer ends in a register slice with room for one. A converter has none: while its beat
    waits, it cannot collect the next.
    """
    return 0 if isinstance(producer, ConvertLanes) else 1
