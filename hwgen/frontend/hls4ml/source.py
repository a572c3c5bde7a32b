"""`Source`: the model that is converted, with the shape of every tensor and all constants.

Both come from running the model once on a frame of zeros, so nothing is inferred. Next in the
flow: `place.py`, which shows a node of it to its conversion.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt
from onnx import ModelProto, NodeProto

from hwgen.frontend.execute import execute_once
from hwgen.frontend.shapes import frame_shape

Shape = tuple[int, ...]


@dataclass(frozen=True)
class Source:
    """A checked model.

    Parameters
    ----------
    model : as `reader.read` gives it
    values : every tensor, for one frame of zeros
    """

    model: ModelProto
    values: Mapping[str, npt.NDArray]

    @classmethod
    def of(cls, model: ModelProto) -> Source:
        """Run `model` once."""
        return cls(model, execute_once(model, np.zeros(frame_shape(model.graph.input[0]))))

    @cached_property
    def constants(self) -> frozenset[str]:
        """Initializers, and what is computed from them alone."""
        known = {tensor.name for tensor in self.model.graph.initializer}
        for node in self.model.graph.node:
            if all(name in known or not name for name in node.input):
                known |= set(node.output)
        return frozenset(known)

    @cached_property
    def makers(self) -> Mapping[str, NodeProto]:
        """The node that computes each tensor."""
        return {name: node for node in self.model.graph.node for name in node.output}

    def readers(self, name: str) -> list[NodeProto]:
        """Return the nodes that read tensor `name`, once for each time they do."""
        return [node for node in self.model.graph.node for given in node.input if given == name]

    def only_reader(self, name: str) -> NodeProto | None:
        """Return the node that alone reads tensor `name`; None too where it leaves the model."""
        readers = self.readers(name)
        return readers[0] if len(readers) == 1 and not self.leaves(name) else None

    def leaves(self, name: str) -> bool:
        """Whether tensor `name` is an output of the model."""
        return any(output.name == name for output in self.model.graph.output)

    def shape(self, name: str) -> Shape:
        """Return the shape of tensor `name`, with batch 1."""
        return tuple(self.values[name].shape)
