"""Small ONNX models for tests: a builder, a random perceptron, and QONNX's own execution."""

from __future__ import annotations

import warnings
from dataclasses import dataclass, field
from itertools import pairwise

import numpy as np
import onnx
from numpy.typing import ArrayLike
from onnx import ModelProto, NodeProto, TensorProto, helper, numpy_helper

QONNX = "qonnx.custom_op.general"
ROUNDINGS = ("ROUND", "CEIL", "FLOOR", "UP", "DOWN", "HALF_UP", "HALF_DOWN")


@dataclass
class Builder:
    """Nodes and initializers of a model with one input `x` and one output."""

    shape: tuple[int | str, ...] = ("N", 4)
    domain: str = QONNX
    opset: int = 17
    nodes: list[NodeProto] = field(default_factory=list)
    initializers: list[TensorProto] = field(default_factory=list)

    def constant(self, value: ArrayLike, name: str = "", dtype: type = np.float32) -> str:
        name = name or f"c{len(self.initializers)}"
        self.initializers.append(numpy_helper.from_array(np.asarray(value, dtype=dtype), name))
        return name

    def node(self, op_type: str, *inputs: str, name: str = "", **attributes: object) -> str:
        output = f"v{len(self.nodes)}"
        domain = self.domain if op_type in ("Quant", "IntQuant", "BipolarQuant") else ""
        name = name or f"{op_type.lower()}{len(self.nodes)}"
        self.nodes.append(
            helper.make_node(op_type, list(inputs), [output], name, domain=domain, **attributes)
        )
        return output

    def quant(
        self,
        x: str,
        scale: ArrayLike = 0.25,
        bits: float = 4,
        signed: int = 1,
        narrow: int = 0,
        zero_point: ArrayLike = 0,
        rounding: str = "ROUND",
        name: str = "",
        op_type: str = "Quant",
    ) -> str:
        inputs = (x, self.constant(scale), self.constant(zero_point), self.constant(bits))
        attributes = {"signed": signed, "narrow": narrow, "rounding_mode": rounding}
        return self.node(op_type, *inputs, name=name, **attributes)

    def bipolar(self, x: str, scale: ArrayLike = 1.0, name: str = "") -> str:
        return self.node("BipolarQuant", x, self.constant(scale), name=name)

    def weights(self, codes: ArrayLike, scale: ArrayLike = 0.25, bits: float = 8) -> str:
        """Quantized weights [I, O] with the given codes; `scale` per tensor or per output."""
        real = np.asarray(codes, dtype=np.float32) * np.asarray(scale, dtype=np.float32)
        return self.quant(self.constant(real), scale, bits)

    def model(self, output: str, kind: int = TensorProto.FLOAT) -> ModelProto:
        x = helper.make_tensor_value_info("x", TensorProto.FLOAT, self.shape)
        y = helper.make_tensor_value_info(output, kind, ("N", "M"))
        graph = helper.make_graph(self.nodes, "tiny", [x], [y], self.initializers)
        opsets = [helper.make_opsetid("", self.opset)]
        if self.domain:
            opsets.append(helper.make_opsetid(self.domain, 1))
        return helper.make_model(graph, opset_imports=opsets, ir_version=8)


def perceptron(
    rng: np.random.Generator, *, widths: tuple[int, ...], **options: object
) -> ModelProto:
    """A random network; see `_layer` for the options."""
    b = Builder(("N", widths[0]))
    x = b.quant("x", 0.25, 4, signed=int(rng.integers(2)), zero_point=int(rng.integers(-2, 3)))
    for inputs, outputs in pairwise(widths):
        x = _layer(b, rng, x, inputs, outputs, **options)
    return b.model(x)


def _layer(
    b: Builder,
    rng: np.random.Generator,
    x: str,
    inputs: int,
    outputs: int,
    rounding: str = "ROUND",
    batch_normalization: bool = False,
    per_channel: bool = False,
    bipolar: bool = False,
    activation: str = "Relu",
) -> str:
    if bipolar:
        w = b.bipolar(b.constant(rng.standard_normal((inputs, outputs))), 0.5)
    else:
        scale = 2.0 ** rng.integers(-4, 0, (1, outputs) if per_channel else ())
        w = b.weights(rng.integers(-7, 8, (inputs, outputs)), scale, 4)
    x = b.node("MatMul", x, w)
    if batch_normalization:
        gamma = rng.standard_normal(outputs)
        gamma[0] = 0.0
        beta, mean = rng.standard_normal(outputs), rng.standard_normal(outputs)
        parameters = (gamma, beta, mean, rng.random(outputs) + 0.1)
        x = b.node("BatchNormalization", x, *(b.constant(p) for p in parameters))
    else:
        x = b.node("Add", x, b.constant(rng.integers(-40, 41, outputs) / 32))
    if bipolar:
        return b.bipolar(x)
    x = b.node(activation, x)
    signed, zero = int(rng.integers(2)), int(rng.integers(-2, 3))
    return b.quant(x, 0.5, int(rng.integers(2, 6)), signed, 0, zero, rounding)


def execute_with_qonnx(model: ModelProto, frames: np.ndarray) -> np.ndarray:
    """What the qonnx package computes, frame by frame."""
    from qonnx.core.modelwrapper import ModelWrapper
    from qonnx.core.onnx_exec import execute_onnx
    from qonnx.transformation.infer_shapes import InferShapes

    fixed = onnx.ModelProto()
    fixed.CopyFrom(model)
    dim = fixed.graph.input[0].type.tensor_type.shape.dim[0]
    dim.Clear()
    dim.dim_value = len(frames)
    fixed.graph.output[0].type.tensor_type.ClearField("shape")  # the builder knows none
    wrapper = ModelWrapper(fixed).transform(InferShapes())
    with warnings.catch_warnings():
        # Its shape inference misses shapes that are computed, and counts pooling windows that
        # start behind the image; its execution is right.
        warnings.filterwarnings("ignore", "Output shapes disagree", UserWarning)
        outputs = execute_onnx(wrapper, {wrapper.graph.input[0].name: frames})
    return next(iter(outputs.values()))


def grid_frames(rng: np.random.Generator, shape: tuple[int, ...], count: int = 24) -> np.ndarray:
    """Frames on multiples of 1/8, so that ties occur, partly outside the quantizer's range."""
    return (rng.integers(-40, 41, (count, *shape)) / 8).astype(np.float32)
