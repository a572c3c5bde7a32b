"""`Network`: the IR graph while the frontend builds it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from hwgen.errors import FrontendError
from hwgen.frontend.flow import Flow
from hwgen.frontend.layout import Image, image_of
from hwgen.frontend.names import Namer
from hwgen.frontend.site import Site
from hwgen.ir import Codes, Input, Node, Op, Scale, TensorType
from hwgen.numeric import CodeType
from hwgen.ops.float_steps import Step
from hwgen.ops.reshape import Reshape

Steps = tuple[Step, ...]


@dataclass
class Network:
    """Values so far, in order, with types and scales.

    Parameters
    ----------
    inputs, nodes : of the graph to be
    types, scales : of every value
    notes : what else to say about a value in the row of its node
    taken_off : zero point that the host takes off the integers of an input

    `settled` holds, for flows that several nodes read, the value with exactly their numbers.
    """

    inputs: list[Input] = field(default_factory=list)
    nodes: list[Node] = field(default_factory=list)
    types: dict[str, TensorType] = field(default_factory=dict)
    scales: dict[str, Scale] = field(default_factory=dict)
    namer: Namer = field(default_factory=Namer)
    notes: dict[str, str] = field(default_factory=dict)
    taken_off: dict[str, int] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self._reshaped: dict[tuple[str, tuple[int, ...]], str] = {}
        self.settled: dict[Flow, str] = {}
        self.pinned: set[str] = set()  # inputs whose codes a flow of real numbers relies on

    def enter(self, source: Input) -> None:
        """Add an input."""
        self.inputs.append(source)
        self.types[source.name] = source.type
        self.scales[source.name] = (source.scale,)

    def prepared(self, name: str, scale: float, zero_point: int) -> bool:
        """Let the host dequantize input `name`, if nothing reads it yet; return whether it does."""
        source = next((given for given in self.inputs if given.name == name), None)
        read = {value for node in self.nodes for value in node.inputs} | self.pinned
        if source is None or source.scale != 1 or source.prepare or name in read:
            return False
        prepare = (("add", float(-zero_point)),) if zero_point else ()
        prepare = (*prepare, ("multiply", scale)) if scale != 1 else prepare
        codes = source.type.codes
        kind = replace(source.type, codes=CodeType(codes.lo - zero_point, codes.hi - zero_point))
        done = replace(source, type=kind, scale=scale, prepare=prepare)
        self.inputs[self.inputs.index(source)] = done
        self.types[name], self.scales[name] = kind, (scale,)
        self.taken_off[name] = zero_point
        return True

    def emit(
        self,
        site: Site,
        op: Op,
        values: Sequence[str],
        scale: Scale,
        part: str = "",
        sources: Sequence[str] = (),
    ) -> str:
        """Append an operator that reads `values` and return the name of what it gives.

        Parameters
        ----------
        site : the node of the model it is made for
        part : what the operator is to the node, where the node becomes several
        sources : names of all nodes of the model it stands for, where these are more
        """
        kind = op.infer(*(self.types[value] for value in values))
        name = self.namer.name(site.node.name, site.node.op_type, site.index, part)
        shared = scale[:1] if len(set(scale)) == 1 else scale
        source = " ".join(filter(None, sources or (site.node.name,)))
        self.nodes.append(Node(name, op, tuple(values), shared, source))
        self.types[name], self.scales[name] = kind, shared
        return name

    def reshaped(self, site: Site, value: str, shape: tuple[int, ...]) -> str:
        """Return the value with the codes of `value` under another shape."""
        kind = self.types[value]
        if kind.shape == shape:
            return value
        known = self._reshaped.get((value, shape))
        if known is not None:
            return known
        scale = self.scales[value]
        if len(scale) > 1 and shape[-1] % len(scale):
            raise FrontendError(
                f"expected one scale to give {list(kind.shape)} the shape {list(shape)}, got "
                f"{len(scale)} scales; quantize per tensor"
            )
        if len(scale) > 1:  # channels are innermost: a vector repeats them
            scale = np.resize(np.array(scale), shape[-1]).tolist()
        name = self.emit(site, Reshape(shape), [value], tuple(scale), "reshape")
        self._reshaped[value, shape] = name
        return name

    def fitted(self, site: Site, flow: Flow, steps: Steps) -> Flow:
        """Return `flow` with as many channels as the constants of `steps` tell apart.

        Numbers for each element of a flattened image need the vector, not the image.
        """
        assert flow.value is not None
        channels, size = self.types[flow.value].channels, flow.order.size
        if size == channels or all(count in (1, channels) for count in _sizes(steps)):
            return flow
        if flow.pools:
            raise FrontendError(
                "expected a number a channel behind a MaxPool that has no quantizer yet, got one "
                "an element; put a Quant before it"
            )
        value = self.reshaped(site, flow.value, (size,))
        return replace(flow, value=value, steps=picked(flow.steps, np.arange(size) % channels))

    def image(self, site: Site, flow: Flow, value: str) -> tuple[str, Image]:
        """Return `value`, which holds the codes of image `flow`, as (H, W, C), and that shape."""
        shape = image_of(flow)
        return self.reshaped(site, value, shape), shape


def _sizes(steps: Steps) -> set[int]:
    return set().union(*(step.sizes() for step in steps))


def is_uniform(steps: Steps) -> bool:
    """Whether `steps` treat all channels alike."""
    return _sizes(steps) <= {1}


def picked(steps: Steps, channels: Codes) -> Steps:
    """Return `steps` for `channels`, which may repeat and leave out some."""
    return tuple(step.picked(channels) for step in steps)
