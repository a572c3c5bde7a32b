"""`group_layers`: which nodes of a mapped graph become one hardware module.

A layer is a node that computes (a matrix-vector product, a window, a pool, a join) and the
channel-wise functions behind it; lane converters and FIFOs stand between layers, modules of their
own. Where several layers read one value, the accelerator forks its stream.
"""

from __future__ import annotations

from dataclasses import dataclass

from hwgen.errors import MappingError
from hwgen.ir import Graph, Node, Schedule
from hwgen.ops.border_offset import BorderOffset
from hwgen.ops.convert_lanes import ConvertLanes
from hwgen.ops.fifo import Fifo
from hwgen.ops.requantize import Requantize
from hwgen.ops.table import Table
from hwgen.ops.thresholds import Thresholds

# What belongs to the layer in front of it, a beat out for each beat in; all else starts one.
FUNCTIONS = (Requantize, Thresholds, Table, BorderOffset)


@dataclass(frozen=True)
class Layer:
    """Nodes that follow each other, stream to stream.

    Parameters
    ----------
    name : of the first node
    nodes : in stream order, at least one
    """

    name: str
    nodes: tuple[Node, ...]

    @property
    def is_plumbing(self) -> bool:
        """Whether it only moves codes: a lane converter or a FIFO."""
        return isinstance(self.nodes[0].op, ConvertLanes | Fifo)

    @property
    def reads(self) -> tuple[str, ...]:
        """Names of the values that enter."""
        return self.nodes[0].inputs

    @property
    def gives(self) -> str:
        """Name of the value that leaves."""
        return self.nodes[-1].name

    @property
    def lanes(self) -> tuple[int, int]:
        """Codes in a beat of every input, and in an output beat."""
        return self.nodes[0].op.lanes[0], self.nodes[-1].op.lanes[1]

    def schedule(self, graph: Graph) -> Schedule:
        """Return the first node's schedule, deeper by the pipelines of its functions."""
        head, *functions = (n.op.schedule(*graph.input_types(n)) for n in self.nodes)
        depth = head.depth + sum(function.depth for function in functions)
        return Schedule(head.takes, head.gives, depth, head.joins)


def group_layers(graph: Graph) -> tuple[Layer, ...]:
    """Return the layers, each behind those it reads from; every node is in exactly one.

    Raises
    ------
    MappingError : when the graph is not a network from one input to one output
    """
    check_network(graph)
    groups: dict[str, list[Node]] = {}  # by the value that leaves so far
    for node in graph.nodes:
        before = groups.get(node.inputs[0])
        if before is not None and _follows(graph, node, before[-1]):
            del groups[node.inputs[0]]
            groups[node.name] = [*before, node]
        else:
            groups[node.name] = [node]
    order = {node.name: position for position, node in enumerate(graph.nodes)}
    ordered = sorted(groups.values(), key=lambda nodes: order[nodes[-1].name])
    return tuple(Layer(nodes[0].name, tuple(nodes)) for nodes in ordered)


def _follows(graph: Graph, node: Node, before: Node) -> bool:
    """Whether `node` becomes part of the layer that ends in `before`."""
    return (
        isinstance(node.op, FUNCTIONS)
        and not isinstance(before.op, ConvertLanes | Fifo)
        and len(graph.consumers(before.name)) == 1
    )


def check_network(graph: Graph) -> None:
    """Check that every value leads from the one input to the one output.

    Raises
    ------
    MappingError : naming the first node at fault
    """
    if len(graph.inputs) != 1 or len(graph.outputs) != 1:
        raise MappingError(
            f"graph {graph.name}: {len(graph.inputs)} inputs and {len(graph.outputs)} outputs, "
            "hardware takes one of each; split the model"
        )
    if not graph.nodes:
        raise MappingError(f"graph {graph.name}: no nodes, there is nothing to build")
    read = {name for node in graph.nodes for name in node.inputs}
    output = graph.outputs[0]
    if output in read:
        reader = graph.consumers(output)[0]
        raise MappingError(
            f"graph {graph.name}: output {output} is also read by {reader.name}; "
            "let the model give that value from a node of its own, or give the last one"
        )
    for node in graph.nodes:
        origin = f" (from {node.source})" if node.source else ""
        if node.name not in read and node.name != output:
            raise MappingError(f"{node.name}{origin}: nothing reads its result, remove it")
