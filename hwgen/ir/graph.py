"""`Graph`: a network as boxes of integer meaning; `evaluate` is the specification of the hardware.

A node and the value it computes share a name. Types are inferred, never stored, so that they
cannot contradict the operators.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
import numpy.typing as npt

from hwgen.errors import HwgenError, IRError
from hwgen.ir.op import Codes, Op
from hwgen.ir.tensor_type import TensorType
from hwgen.numeric import Rounding, round_real

IDENTIFIER = re.compile(r"[a-z][a-z0-9_]{0,62}")

PREPARE = {"add": np.add, "multiply": np.multiply, "divide": np.divide}

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
    """

    name: str
    type: TensorType
    scale: float = 1.0
    rounding: Rounding = Rounding.RND_CONV
    zero_point: int = 0
    prepare: tuple[tuple[str, float], ...] = ()
    source: str = ""

    def quantize(self, frames: npt.ArrayLike) -> Codes:
        """Turn real numbers shaped (frames, *shape) into codes, as the model's first node does."""
        real = np.asarray(frames, dtype=np.float32)
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
    """

    name: str
    op: Op
    inputs: tuple[str, ...]
    scale: Scale = (1.0,)
    source: str = ""


@dataclass(frozen=True)
class Graph:
    """Nodes in topological order.

    Parameters
    ----------
    name : identifier; also the name of the hardware's top module
    inputs, nodes, outputs : `outputs` are names of values
    """

    name: str
    inputs: tuple[Input, ...]
    nodes: tuple[Node, ...]
    outputs: tuple[str, ...]

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

    def trace(self, frames: Codes) -> dict[str, Codes]:
        """Return the codes of every value for `frames`, shaped (frames, *input shape).

        Raises
        ------
        IRError : when a code is not of the input's type
        """
        if len(self.inputs) != 1:
            raise IRError(f"graph {self.name} has {len(self.inputs)} inputs, expected 1")
        source = self.inputs[0]
        frames = np.asarray(frames, dtype=np.int64)
        if frames.shape[1:] != source.type.shape:
            raise IRError(f"frames are {frames.shape[1:]}, expected {source.type.shape}")
        if not source.type.codes.contains(frames):
            raise IRError(f"input codes leave {source.type.codes}")
        values = {source.name: frames}
        for node in self.nodes:
            values[node.name] = node.op.evaluate(*(values[name] for name in node.inputs))
        return values

    def evaluate(self, frames: Codes) -> Codes:
        """Return the output codes of `frames`: what the hardware must give."""
        return self.trace(frames)[self.outputs[0]]

    def dequantize(self, codes: Codes) -> npt.NDArray[np.float64]:
        """Return the real numbers that output `codes` stand for."""
        scale = np.array(self.scale_of(self.outputs[0]), dtype=np.float64)
        return np.multiply(codes, scale, dtype=np.float64)
