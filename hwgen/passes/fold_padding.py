"""Let windows pad by themselves: PyTorch's ZeroPad2d before a convolution needs no hardware."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import ClassVar

from hwgen.errors import IRError
from hwgen.ir import Graph, Node
from hwgen.ops.pad import Pad
from hwgen.ops.sliding_window import SlidingWindow
from hwgen.passes.base import Pass


@dataclass(frozen=True)
class FoldPadding(Pass):
    """Move the border that a pad puts around an image into the windows that read it.

    1. A sliding window that reads a pad reads what the pad reads, and pads on each side by as much
       as both did.  # window(pad(x, p), q) -> window(x, p + q)
    2. A pad that nobody reads any more goes away.

    Left alone when: both pad, by different codes; or the window would lie in its padding alone, or
    cover the image.
    Numeric effect: none.
    """

    name: ClassVar[str] = "fold_padding"

    def run(self, graph: Graph) -> Graph:
        """Visit each pad once, the last first: of two in a row, both go."""
        for node in reversed(graph.nodes):
            if isinstance(node.op, Pad):
                graph = _folded(graph, node)
        return graph


def _folded(graph: Graph, pad: Node) -> Graph:
    nodes = [_over(graph, node, pad) if pad.name in node.inputs else node for node in graph.nodes]
    read = any(pad.name in node.inputs for node in nodes) or pad.name in graph.outputs
    return replace(graph, nodes=tuple(n for n in nodes if read or n.name != pad.name))


def _over(graph: Graph, node: Node, pad: Node) -> Node:
    """Return a reader of `pad` as a reader of what that reads, or as it is."""
    border, window = pad.op, node.op
    assert isinstance(border, Pad)
    if not isinstance(window, SlidingWindow):
        return node
    if any(window.padding) and window.pad_code != border.pad_code:
        return node
    top, left, bottom, right = (p + q for p, q in zip(border.padding, window.padding, strict=True))
    wider = replace(window, padding=(top, left, bottom, right), pad_code=border.pad_code)
    try:
        wider.infer(*graph.input_types(pad))
    except IRError:  # windows have rules of their own
        return node
    return replace(node, op=wider, inputs=pad.inputs)
