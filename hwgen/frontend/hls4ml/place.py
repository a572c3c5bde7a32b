"""`Place`: a node of the source beside what its inputs have become, and the means to write.

Tensors of images and sequences lie channels last in the converted model; vectors lie as in the
source, but for those behind a Flatten, whose `order` the next matrix takes in. Used by the
conversions in `products.py`, `pools.py`, `elementwise.py` and `moves.py`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt
from onnx import NodeProto

from hwgen.errors import FrontendError
from hwgen.frontend.hls4ml.numbers import Numbers, Quantizer, numbers_of
from hwgen.frontend.hls4ml.source import Shape, Source
from hwgen.frontend.hls4ml.writer import Writer
from hwgen.frontend.site import attributes

Order = npt.NDArray[np.intp]


@dataclass(frozen=True)
class Tensor:
    """A tensor of the converted model.

    Parameters
    ----------
    name : in the converted model
    shape : as it lies there, batch 1 first
    order : of a vector: element k is element order[k] in the source; None where nothing moved
    """

    name: str
    shape: Shape
    order: Order | None = None


@dataclass
class Conversion:
    """What is done so far.

    Parameters
    ----------
    source, writer : from, to
    tensors : of the source, by name, in the converted model
    """

    source: Source
    writer: Writer = field(default_factory=Writer)
    tensors: dict[str, Tensor] = field(default_factory=dict)


@dataclass(frozen=True)
class Place:
    """A node of the source in the conversion."""

    node: NodeProto
    conversion: Conversion

    @property
    def source(self) -> Source:
        """The model that is converted."""
        return self.conversion.source

    @property
    def writer(self) -> Writer:
        """Where nodes go."""
        return self.conversion.writer

    @property
    def name(self) -> str:
        """Of the node, or of what it computes."""
        return str(self.node.name or self.node.output[0])

    @property
    def attributes(self) -> Mapping[str, object]:
        """Attributes by name."""
        return attributes(self.node)

    def integers(self, name: str, default: Sequence[int]) -> list[int]:
        """Return attribute `name`, a list of integers."""
        value = self.attributes.get(name, list(default))
        if not isinstance(value, list) or len(value) != len(default):
            raise FrontendError(f"expected {len(default)} integers as {name}, got {value!r}")
        return [int(each) for each in value]

    def has(self, index: int) -> bool:
        """Whether the node has input `index`."""
        return index < len(self.node.input) and bool(self.node.input[index])

    def is_constant(self, index: int) -> bool:
        """Whether input `index` does not depend on the frame."""
        return self.node.input[index] in self.source.constants

    def tensor(self, index: int = 0) -> Tensor:
        """Return what input `index`, which depends on the frame, has become."""
        if self.is_constant(index):
            raise FrontendError(f"expected a constant as another input than the {index + 1}. one")
        return self.conversion.tensors[self.node.input[index]]

    def numbers(self, index: int) -> Numbers:
        """Return constant input `index`, laid out as in the source."""
        if not self.is_constant(index):
            raise FrontendError(f"expected a constant as input {index + 1}")
        return numbers_of(self.source, self.node.input[index])

    def aligned(self, index: int, tensor: Tensor) -> Numbers:
        """Return constant input `index` as it is broadcast to `tensor`, without a batch axis."""
        given = self.numbers(index)
        values, rank = given.values, len(tensor.shape)
        if values.size == 1:
            return given.moved(values.reshape(()))
        values = values.reshape((1,) * (rank - values.ndim) + values.shape)
        if len(values) != 1:
            raise FrontendError(f"expected a constant for all frames, got shape {values.shape}")
        values = np.moveaxis(values, 1, -1)[0]
        if all(size == 1 for size in values.shape[:-1]):
            values = values.reshape(-1)
        if tensor.order is not None:
            values = np.broadcast_to(values, (len(tensor.order),))[tensor.order]
        return given.moved(values)

    def result(self, tensor: Tensor) -> Tensor:
        """Say that `tensor` is what the node computes, and return it."""
        self.conversion.tensors[self.node.output[0]] = tensor
        return tensor


def channels_last(shape: Shape) -> Shape:
    """Return a shape (N, C, ...) as (N, ..., C)."""
    return (*shape[:1], *shape[2:], *shape[1:2])


def reshaped(place: Place, what: str, given: Tensor, shape: Shape) -> Tensor:
    """Write a Reshape; `what` tells it from other nodes of this place."""
    wanted = f"{place.name}_{what}" if what else place.name
    target = place.writer.integers(f"{wanted}_shape", (0, *shape[1:]))
    name = place.writer.node("Reshape", wanted, [given.name, target], shape)
    return Tensor(name, shape, given.order if shape == given.shape else None)


def kept_apart(place: Place, given: Tensor) -> Tensor:
    """Return the same numbers behind a node with which hls4ml merges no other."""
    return reshaped(place, "apart", given, given.shape)


def activation_quantizer(place: Place) -> Quantizer | None:
    """Return the quantizer of a Quant that has one scale and no zero point, None of another."""
    scale, zero, width = (np.unique(place.numbers(index).values) for index in (1, 2, 3))
    if len(scale) != 1 or len(width) != 1 or zero.any():
        return None
    said = place.attributes
    mode = said.get("rounding_mode", b"ROUND")
    return Quantizer(
        float(scale[0]),
        int(np.ceil(width[0])),
        signed=bool(said.get("signed", 1)),
        narrow=bool(said.get("narrow", 0)),
        rounding_mode=mode.decode().upper() if isinstance(mode, bytes) else str(mode),
    )
