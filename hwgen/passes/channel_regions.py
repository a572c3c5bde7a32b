"""`Region`: the way of channels from the product that gives them to the products that read them.

In between, windows, pools and functions keep channels apart, so a channel is there or not there on
the whole way. Used by `remove_dead_channels.py`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from hwgen.ir import Codes, Graph, TensorType
from hwgen.ops.matvec import MatVec
from hwgen.passes.constant_channels import constants
from hwgen.passes.narrow_operator import SHIFTABLE, Mask, paths


@dataclass(frozen=True)
class Region:
    """A product, what keeps its channels apart behind it, and the products that read them.

    Parameters
    ----------
    root : name of the product
    channels : by value, the channel of the root that each of its channels comes from
    readers : by name, the weights of the products at the end
    takes : the readers whose sums nothing but functions read, which can take a constant over
    """

    root: str
    channels: Mapping[str, Codes]
    readers: Mapping[str, Codes]
    takes: frozenset[str]


def region_of(graph: Graph, root: str) -> Region | None:
    """Return the region of a product, None where a join or an output needs all its channels."""
    channels = {root: np.arange(graph.types[root].channels)}
    readers: dict[str, Codes] = {}
    for node in graph.nodes:
        if not set(node.inputs) & set(channels):
            continue
        if isinstance(node.op, MatVec):
            readers[node.name] = node.op.weights
            continue
        found = paths(node.op, channels[node.inputs[0]]) if len(node.inputs) == 1 else None
        if found is None:
            return None
        channels[node.name] = found
    if set(channels) & set(graph.outputs):
        return None
    takes = frozenset(name for name in readers if _only_functions_read(graph, name))
    return Region(root, channels, readers, takes)


def needed_channels(graph: Graph, region: Region, types: Mapping[str, TensorType]) -> Mask:
    """Return which channels of the root say something to a reader.

    Parameters
    ----------
    graph, region : where
    types : of `channel_types`
    """
    needed = np.zeros(len(region.channels[region.root]), dtype=bool)
    for name, weights in region.readers.items():
        (source,) = graph.node(name).inputs
        constant, code = constants(types[source])
        free = constant if name in region.takes else constant & (code == 0)
        needed[region.channels[source][weights.any(axis=0) & ~free]] = True
    return needed


def _only_functions_read(graph: Graph, name: str) -> bool:
    functions = all(isinstance(node.op, SHIFTABLE) for node in graph.consumers(name))
    return functions and name not in graph.outputs
