"""`Graph`: a network as boxes of integer meaning; `evaluate` is the specification of the hardware.

A node and the value it computes share a name. Types are inferred, never stored, so that they
cannot contradict the operators.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property

import numpy as np
import numpy.typing as npt

from hwgen.errors import HwgenError, IRError
from hwgen.ir.layout import Layout
from hwgen.ir.op import Codes, Op
from hwgen.ir.tensor_type import TensorType
from hwgen.numeric import Rounding, round_real

IDENTIFIER = re.compile(r"[a-z][a-z0-9_]{0,62}")

PREPARE = {"add": np.add, "multiply": np.multiply, "divide": np.divide}

_MOST_CODES = 1 << 25  # in memory at once while a graph is evaluated

Scale = tuple[float, ...]  # one number, or one per channel: real = scale * code


@dataclass(frozen=True)
class Input:
    """Where frames enter.

    Parameters
    ----------
    name : identifier
    type : shape and interval of the codes on the wire
    scale : real value of code 1
    rounding : how the host turns real numbers into codes
    zero_point : added before rounding and taken off the code again
    prepare : what the model does to real numbers first, as (name in PREPARE, float32 constant)
    source : the input's name in the model file
    layout : how frames of the model lie in the stream; None where they are shaped as they stream
    """

    name: str
    type: TensorType
    scale: float = 1.0
    rounding: Rounding = Rounding.RND_CONV
    zero_point: int = 0
    prepare: tuple[tuple[str, float], ...] = ()
    source: str = ""
    layout: Layout | None = None

    @property
    def frame_shape(self) -> tuple[int, ...]:
        """Shape of a frame in the model, without the batch."""
        return self.type.shape if self.layout is None else self.layout.model

    def quantize(self, frames: npt.ArrayLike) -> Codes:
        """Turn real numbers into codes, as the model's first node does.

        Parameters
        ----------
        frames : (frames, *frame_shape), or the same numbers in the same order under another shape

        Returns
        -------
        codes : (frames, *type.shape), in the order in which they stream
        """
        real = np.asarray(frames, dtype=np.float32)
        if real.ndim < 1 or math.prod(real.shape[1:]) != self.type.size:
            raise IRError(
                f"input {self.name}: frames are shaped {real.shape}, expected "
                f"(frames, {str(self.frame_shape)[1:-1]})"
            )
        if self.layout is not None:
            real = self.layout.to_stream(real, self.type.shape)
        real = real.reshape(len(real), *self.type.shape)
        if not np.isfinite(real).all():
            raise IRError(f"input {self.name}: NaN or infinity cannot be quantized")
        codes = self.type.codes
        with np.errstate(over="ignore", under="ignore"):  # infinity is clipped below
            for name, constant in self.prepare:
                real = PREPARE[name](real, np.float32(constant))
            shifted = real / np.float32(self.scale) + np.float32(self.zero_point)
        if codes.bipolar:
            return np.where(real >= 0, 1, -1).astype(np.int64)
        low, high = codes.lo + self.zero_point, codes.hi + self.zero_point
        clipped = np.clip(shifted.astype(np.float64), low, high)
        return round_real(clipped, self.rounding).astype(np.int64) - self.zero_point


@dataclass(frozen=True)
class Node:
    """One operator applied to named values.

    Parameters
    ----------
    name : identifier of the node and of its value
    op : what it computes
    inputs : names of values
    scale : real value of code 1 of the result
    source : names of the model's nodes it stands for, for people to read
    why : this operator and no other, for people to read; not part of the graph's meaning
    """

    name: str
    op: Op
    inputs: tuple[str, ...]
    scale: Scale = (1.0,)
    source: str = ""
    why: str = field(default="", compare=False)


@dataclass(frozen=True)
class Graph:
    """Nodes in topological order.

    Parameters
    ----------
    name : identifier; also the name of the hardware's top module
    inputs, nodes, outputs : `outputs` are names of values
    output_layout : how the model's output lies in the stream; None where it is shaped as it streams
    """

    name: str
    inputs: tuple[Input, ...]
    nodes: tuple[Node, ...]
    outputs: tuple[str, ...]
    output_layout: Layout | None = None

    @cached_property
    def types(self) -> Mapping[str, TensorType]:
        """Type of every value, inferred in order.

        Raises
        ------
        IRError : naming the first node whose inputs do not fit
        """
        known = {source.name: source.type for source in self.inputs}
        for node in self.nodes:
            try:
                known[node.name] = node.op.infer(*(known[name] for name in node.inputs))
            except HwgenError as error:
                origin = f" (from {node.source})" if node.source else ""
                raise IRError(f"{node.name}{origin}: {error}") from error
            except KeyError as error:
                raise IRError(f"{node.name}: reads {error}, which no earlier node gives") from error
        return known

    def scale_of(self, name: str) -> Scale:
        """Return the real value of code 1 of value `name`."""
        for source in self.inputs:
            if source.name == name:
                return (source.scale,)
        return self.node(name).scale

    def node(self, name: str) -> Node:
        """Return the node called `name`."""
        for node in self.nodes:
            if node.name == name:
                return node
        raise IRError(f"graph {self.name} has no node {name!r}")

    def input_types(self, node: Node) -> tuple[TensorType, ...]:
        """Return the types of what `node` reads."""
        return tuple(self.types[name] for name in node.inputs)

    def consumers(self, name: str) -> tuple[Node, ...]:
        """Return the nodes that read value `name`."""
        return tuple(node for node in self.nodes if name in node.inputs)

    def with_nodes(self, nodes: tuple[Node, ...]) -> Graph:
        """Return this graph with other nodes."""
        return replace(self, nodes=nodes)

    @cached_property
    def codes_per_frame(self) -> int:
        """Codes of all values together, for one frame."""
        return sum(kind.size for kind in self.types.values())

    def trace(self, frames: Codes) -> dict[str, Codes]:
        """Return the codes of every value for `frames`, shaped (frames, *input shape).

        Raises
        ------
        IRError : when a code is not of the input's type
        """
        source, frames = self._checked(frames)
        values = {source.name: frames}
        for node in self.nodes:
            values[node.name] = node.op.evaluate(*(values[name] for name in node.inputs))
        return values

    def evaluate(self, frames: Codes) -> Codes:
        """Return the output codes of `frames`: what the hardware must give.

        Frames are taken in portions, and values dropped after their last reader, so that memory
        does not grow with the number of frames.
        """
        source, frames = self._checked(frames)
        portion = max(_MOST_CODES // self.codes_per_frame, 1)
        last_reader = {name: node.name for node in self.nodes for name in node.inputs}
        outputs = []
        for begin in range(0, max(len(frames), 1), portion):
            values = {source.name: frames[begin : begin + portion]}
            for node in self.nodes:
                values[node.name] = node.op.evaluate(*(values[name] for name in node.inputs))
                for name in {*node.inputs} - {*self.outputs}:
                    if last_reader[name] == node.name:
                        del values[name]
            outputs.append(values[self.outputs[0]])
        return np.concatenate(outputs)

    def _checked(self, frames: Codes) -> tuple[Input, Codes]:
        if len(self.inputs) != 1:
            raise IRError(f"graph {self.name} has {len(self.inputs)} inputs, expected 1")
        source = self.inputs[0]
        frames = np.asarray(frames, dtype=np.int64)
        if frames.shape[1:] != source.type.shape:
            raise IRError(f"frames are {frames.shape[1:]}, expected {source.type.shape}")
        if not source.type.codes.contains(frames):
            raise IRError(f"input codes leave {source.type.codes}")
        return source, frames

    @property
    def output_shape(self) -> tuple[int, ...]:
        """Shape of an output frame in the model, without the batch."""
        layout = self.output_layout
        return self.types[self.outputs[0]].shape if layout is None else layout.model

    def dequantize(self, codes: Codes) -> npt.NDArray[np.float64]:
        """Return the real numbers that output `codes` stand for, (frames, *output_shape)."""
        scale = np.array(self.scale_of(self.outputs[0]), dtype=np.float64)
        return self.as_model(np.multiply(codes, scale, dtype=np.float64))

    def as_model(self, streamed: npt.NDArray) -> npt.NDArray:
        """Return outputs, shaped as they stream, shaped and ordered as in the model."""
        layout = self.output_layout
        return streamed if layout is None else layout.to_model(streamed)
