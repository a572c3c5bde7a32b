"""The manifest: what was built, from what, and what it is predicted to take.

Other programs rely on its keys: more may be added, none renamed (`hwgen/README.md` lists them).
"""

from __future__ import annotations

import math

from hwgen import __version__
from hwgen.board import Board
from hwgen.cost import Resources
from hwgen.ir import Graph, Node, TensorType
from hwgen.mapping.layer_cycles import layer_cycles
from hwgen.mapping.layers import Layer, group_layers
from hwgen.mapping.menus import folding_of
from hwgen.mapping.timing import interval_cycles, latency_cycles
from hwgen.ops.matvec_threshold import MatVecThreshold

# The AXI4-Lite block and the two stream adapters, measured on small designs.
BOUNDARY = Resources(lut=450, ff=800)


def manifest_of(
    graph: Graph, board: Board, clock_mhz: float, model_name: str, model_sha256: str
) -> dict[str, object]:
    """Return the manifest of a mapped `graph`; numbers are predictions until measured."""
    layers = group_layers(graph)
    interval = interval_cycles(graph)
    ends = {name: cycles.earliest[0] for name, cycles in layer_cycles(graph).items()}
    source, out = graph.inputs[0], graph.types[graph.outputs[0]]
    return {
        "hwgen_version": __version__,
        "model": {"name": model_name, "sha256": model_sha256},
        "graph": graph.name,
        "board": board.name,
        "part": board.part,
        "family": board.family,
        "clock_mhz": clock_mhz,
        "interval_cycles": interval,
        "latency_cycles": latency_cycles(graph),
        "throughput_fps": clock_mhz * 1e6 / interval,
        "bottleneck": _bottleneck(graph, layers, interval),
        "input": {
            "shape": list(source.type.shape),
            "codes": str(source.type.codes),
            "scale": source.scale,
            "rounding": source.rounding.value,
            "lanes": graph.nodes[0].op.lanes[0],
        },
        "output": {
            "shape": list(out.shape),
            "codes": str(out.codes),
            "scale": list(graph.scale_of(graph.outputs[0])),
            "lanes": graph.nodes[-1].op.lanes[1],
        },
        "resources": {
            "budget": _counts(board.resources),
            "predicted": _counts(sum((_predict(graph, la) for la in layers), BOUNDARY)),
        },
        "layers": [
            _layer(graph, layer) | {"latency_cycles": ends[layer.name]}
            for layer in layers
            if not layer.is_plumbing
        ],
        "streams": [_stream(graph, layer.nodes[0]) for layer in layers if layer.is_plumbing],
    }


def _predict(graph: Graph, layer: Layer) -> Resources:
    parts = (node.op.resources(*graph.input_types(node)) for node in layer.nodes)
    return sum(parts, Resources())


def _counts(resources: Resources) -> dict[str, float]:
    """Whole numbers, block RAMs in halves."""
    return {
        name: math.ceil(2 * value) / 2 if name == "bram36" else math.ceil(value)
        for name, value in resources.as_dict().items()
    }


def _cycles(graph: Graph, node: Node) -> int:
    return node.op.schedule(*graph.input_types(node)).interval_cycles


def _bottleneck(graph: Graph, layers: tuple[Layer, ...], interval: int) -> dict[str, object]:
    """Return the layer that sets the frame rate, and how busy it is then."""
    slowest = max(layers, key=lambda layer: layer.schedule(graph).interval_cycles)
    cycles = slowest.schedule(graph).interval_cycles
    return {"layer": slowest.name, "cycles": cycles, "utilization": cycles / interval}


def folding_file(graph: Graph) -> dict[str, dict[str, int | str]]:
    """Return the folding of every layer, in the form that `--folding` reads."""
    layers = (layer for layer in group_layers(graph) if not layer.is_plumbing)
    return {layer.name: folding_of(layer.nodes[0].op) for layer in layers}


def _layer(graph: Graph, layer: Layer) -> dict[str, object]:
    head = layer.nodes[0]
    folding = folding_of(head.op)
    return {
        "name": layer.name,
        "op": " + ".join(node.op.name for node in layer.nodes),
        "source": ", ".join(node.source for node in layer.nodes if node.source),
        "why": "; ".join(dict.fromkeys(node.why for node in layer.nodes if node.why)),
        "kernel": folding.get("kernel", head.op.name),
        "pe": folding.get("pe", head.op.lanes[1]),
        "simd": folding.get("simd", head.op.lanes[0]),
        "folding": folding,
        "cycles": max(_cycles(graph, node) for node in layer.nodes),
        "input": ", ".join(map(str, graph.input_types(head))),
        "accumulator": str(_accumulator(graph, head)),
        "output": str(graph.types[layer.nodes[-1].name]),
        "memory_bits": sum(n.op.memory_bits(*graph.input_types(n)) for n in layer.nodes),
        "resources": _counts(_predict(graph, layer)),
    }


def _accumulator(graph: Graph, head: Node) -> TensorType:
    """Return the type of what a layer's head adds up, also where it gives only its sign."""
    if isinstance(head.op, MatVecThreshold):
        return head.op.sums(*graph.input_types(head))
    return graph.types[head.name]


def _stream(graph: Graph, node: Node) -> dict[str, object]:
    row: dict[str, object] = {"name": node.name, "op": node.op.name, "lanes": list(node.op.lanes)}
    depth = getattr(node.op, "depth", None)
    return row if depth is None else {**row, "depth": depth}
