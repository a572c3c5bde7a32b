"""`Site`: a node of the model where it stands, with its constants and what flows into it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt
import onnx
from onnx import ModelProto, NodeProto

from hwgen.errors import FrontendError
from hwgen.frontend.constants import Constant
from hwgen.frontend.flow import Flow
from hwgen.ops.float_steps import Reals, reals


@dataclass(frozen=True, eq=False)
class Site:
    """A node of the model where its inputs are known.

    Parameters
    ----------
    model : the file
    index : of the node in it
    node : as in the file
    inputs : constants; None for flowing tensors and for inputs left out
    flows : the flowing tensors, in the order of the inputs
    flow_at : which input is the first of them
    channels : of the first one's IR value
    batch : that the file fixes, 0 when it leaves it open
    """

    model: ModelProto
    index: int
    node: NodeProto
    inputs: Sequence[Constant | None]
    flows: tuple[Flow, ...]
    flow_at: int
    channels: int
    batch: int = 0

    @property
    def flow(self) -> Flow:
        """The first flowing tensor."""
        return self.flows[0]

    @property
    def shape(self) -> tuple[int, ...]:
        """Of the first flowing tensor, batch 1 first."""
        return self.flow.shape

    @property
    def attributes(self) -> Mapping[str, object]:
        """Attributes by name."""
        return attributes(self.node)

    def number(self, name: str, default: float) -> float:
        """Return a float attribute."""
        value = self.attributes.get(name, default)
        if not isinstance(value, int | float) or not np.isfinite(value):
            raise FrontendError(f"expected a finite number as attribute {name!r}, got {value!r}")
        return float(value)

    def given(self, index: int) -> Constant | None:
        """Return input `index`, None where it is left out."""
        return self.inputs[index] if index < len(self.inputs) else None

    def integers(self, name: str, index: int) -> list[int] | None:
        """Return the integers of attribute `name`, or since a later operator set of an input."""
        value = self.attributes.get(name)
        if value is None:
            constant = self.given(index)
            if constant is None:
                return None
            if not np.issubdtype(constant.value.dtype, np.integer):
                raise FrontendError(f"expected integers as {name}, got {constant.value.dtype}")
            value = constant.value.ravel().tolist()
        if isinstance(value, int):
            return [value]
        if not isinstance(value, list) or not all(isinstance(v, int) for v in value):
            raise FrontendError(f"expected integers as {name}, got {value!r}")
        return value

    def channelwise(self, index: int) -> Reals:
        """Return constant input `index`, one number or one for each channel of the frame."""
        constant = self.given(index)
        if constant is None:
            raise FrontendError(
                f"expected a constant as input {index}, got none; "
                "only one input of an element-wise node may depend on the model's input"
            )
        truth = constant.value.dtype == np.bool_
        values = constant.value.astype(np.float32) if truth else constant.reals()
        return self.spread(values, constant.name)

    def spread(self, values: npt.NDArray[np.float32], name: str) -> Reals:
        """Return `values` for each channel that streams, or one where they are all equal.

        Where they differ within a vector that streams as an image, one for each of its elements.
        """
        if values.size == 1:
            return reals(values)
        try:
            full = np.broadcast_to(values, self.shape)
        except ValueError as error:
            raise FrontendError(
                f"expected {name!r} to fit shape {self.shape}, got {values.shape}; use a number a "
                "channel"
            ) from error
        if values.min() == values.max():
            return reals(values.ravel()[0])
        streamed = np.empty(full.size, dtype=np.float32)
        streamed[self.flow.order.ravel()] = full.ravel()
        pixels = streamed.reshape(-1, self.channels)
        if (pixels == pixels[0]).all() or np.isnan(pixels).any():
            return reals(pixels[0])
        if sum(size > 1 for size in self.shape) > 1:
            raise FrontendError(
                f"expected a number a channel in {name!r}, got numbers that vary over the image of "
                f"shape {self.shape}; use a shape like {_channel_shape(self.shape)}"
            )
        return reals(streamed)

    def at(self, flow: Flow, channels: int) -> Site:
        """Return this site with another flowing tensor."""
        return replace(self, flows=(flow, *self.flows[1:]), channels=channels)


def _channel_shape(shape: tuple[int, ...]) -> tuple[int, ...]:
    return (1, shape[1], *(1,) * (len(shape) - 2))


def attributes(node: NodeProto) -> Mapping[str, object]:
    """Return the attributes of `node` by name."""
    try:
        return {a.name: onnx.helper.get_attribute_value(a) for a in node.attribute}
    except (ValueError, TypeError) as error:
        raise FrontendError(f"expected readable attributes, got: {error}") from error
