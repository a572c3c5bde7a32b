"""Models as ONNX Runtime's quantizer writes them, and onnxruntime as executor without fusions."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import onnxruntime
from onnx import ModelProto, TensorProto

from tests.frontend.models import Builder


@dataclass
class Linear:
    """Parameters of a QuantizeLinear."""

    scale: float = 0.25
    zero: int = 0
    dtype: type = np.int8


class QdqBuilder(Builder):
    """`Builder` with pairs of QuantizeLinear and DequantizeLinear."""

    def __init__(self, shape: tuple[int | str, ...] = ("N", 4), opset: int = 21) -> None:
        super().__init__(shape, domain="", opset=opset)

    def parameters(self, linear: Linear) -> tuple[str, str]:
        zero = np.asarray(linear.zero)
        return self.constant(linear.scale), self.constant(zero, dtype=linear.dtype)

    def quantize(self, x: str, linear: Linear, name: str = "") -> str:
        return self.node("QuantizeLinear", x, *self.parameters(linear), name=name)

    def dequantize(self, x: str, linear: Linear, name: str = "", axis: int = 1) -> str:
        given = self.parameters(linear)
        return self.node("DequantizeLinear", x, *given, name=name, axis=axis)

    def pair(self, x: str, linear: Linear, name: str = "") -> str:
        return self.dequantize(self.quantize(x, linear, name), linear)

    def integers(self, codes, scale=0.25, zero=0, dtype=np.int8, axis: int = 0) -> str:
        """Stored integers and their DequantizeLinear."""
        stored = self.constant(codes, dtype=dtype)
        zeros = np.broadcast_to(zero, np.shape(scale))
        return self.dequantize(stored, Linear(scale, zeros, dtype), axis=axis)

    def integer_model(self, output: str, kind: int = TensorProto.FLOAT) -> ModelProto:
        """The model with an input of int8."""
        model = self.model(output, kind)
        model.graph.input[0].type.tensor_type.elem_type = TensorProto.INT8
        return model


def onnxruntime_outputs(model: ModelProto, frames: np.ndarray) -> np.ndarray:
    """What onnxruntime computes, node by node."""
    fixed = ModelProto()
    fixed.CopyFrom(model)
    fixed.graph.output[0].type.tensor_type.ClearField("shape")
    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    options.intra_op_num_threads = 1
    session = onnxruntime.InferenceSession(
        fixed.SerializeToString(), options, providers=["CPUExecutionProvider"]
    )
    return session.run(None, {session.get_inputs()[0].name: frames})[0].astype(np.float32)


def convolution(
    b: QdqBuilder, rng, x: str, scale, x_scale: float, inputs=2, outputs=3, **more
) -> str:
    """A Conv of 3x3 with weights of one or of several scales and a bias of 32 bits."""
    zero = more.pop("zero", 0)
    codes = rng.integers(-127, 128, (outputs, inputs, 3, 3))
    w = b.integers(codes, scale, zero)
    scales = np.broadcast_to(np.asarray(scale) * x_scale, (outputs,))
    bias = b.integers(rng.integers(-900, 900, outputs), scales, 0, np.int32)
    return b.node("Conv", x, w, bias, **({"pads": [1, 1, 1, 1]} | more))
