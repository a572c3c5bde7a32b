"""`group_layers`: which nodes of a mapped graph become one hardware module.

A layer is a node that computes (a matrix-vector product, a window, a pool) and the finite functions
behind it; lane converters and FIFOs stand between layers, modules of their own.
"""

from __future__ import annotations

from dataclasses import dataclass

from hwgen.errors import MappingError
from hwgen.ir import Graph, Node
from hwgen.ops.convert_lanes import ConvertLanes
from hwgen.ops.fifo import Fifo
from hwgen.ops.requantize import Requantize
from hwgen.ops.table import Table
from hwgen.ops.thresholds import Thresholds

# What belongs to the layer in front of it; everything else starts one.
FUNCTIONS = (Requantize, Thresholds, Table)


@dataclass(frozen=True)
class Layer:
    """Nodes that follow each other, stream to stream.

    Parameters
    ----------
    name : of the matrix-vector node, else of the first node
    nodes : in stream order, at least one
    """

    name: str
    nodes: tuple[Node, ...]

    @property
    def is_plumbing(self) -> bool:
        """Whether it only moves codes: a lane converter or a FIFO."""
        return isinstance(self.nodes[0].op, ConvertLanes | Fifo)


def group_layers(graph: Graph) -> tuple[Layer, ...]:
    """Return the layers in stream order; every node is in exactly one.

    Raises
    ------
    MappingError : when the graph is not a chain from one input to one output
    """
    check_chain(graph)
    groups: list[list[Node]] = []
    for node in graph.nodes:
        follows = isinstance(node.op, FUNCTIONS)
        if not follows or not groups or isinstance(groups[-1][-1].op, ConvertLanes | Fifo):
            groups.append([node])
        else:
            groups[-1].append(node)
    return tuple(Layer(nodes[0].name, tuple(nodes)) for nodes in groups)


def check_chain(graph: Graph) -> None:
    """Check that each node reads the one before it.

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
    previous = graph.inputs[0].name
    for node in graph.nodes:
        origin = f" (from {node.source})" if node.source else ""
        if node.inputs != (previous,):
            raise MappingError(
                f"{node.name}{origin}: reads {', '.join(node.inputs)}, expected {previous}; "
                "only chains become hardware, remove the branch"
            )
        previous = node.name
    if graph.outputs[0] != previous:
        raise MappingError(
            f"graph {graph.name}: output {graph.outputs[0]} is not the last node {previous}; "
            "remove the nodes behind it"
        )
