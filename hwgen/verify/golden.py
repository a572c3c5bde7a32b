"""The two references agree: `graph.evaluate` on codes, and the ONNX model run in floating point.

Hardware is compared with the graph; this file compares the graph with the model it came from,
through an executor that shares no code with the importer.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from hwgen.errors import VerificationError
from hwgen.frontend.execute import execute
from hwgen.frontend.reader import read
from hwgen.frontend.shapes import frame_shape
from hwgen.ir import Codes, Graph, Input

Reals = npt.NDArray[np.float32]
Executor = Callable[[Path, Reals], Reals]

_INVERSE = {"add": np.subtract, "multiply": np.divide, "divide": np.multiply}


@dataclass(frozen=True)
class Golden:
    """What the hardware must give.

    Parameters
    ----------
    inputs, outputs : codes, frames first
    float_differences : frames whose output codes differ from the float execution of the model;
        always 0 when every scale is a power of two
    """

    inputs: Codes
    outputs: Codes
    float_differences: int


def golden(graph: Graph, inputs: Codes, model: Path, executor: Executor) -> Golden:
    """Evaluate `inputs` both ways.

    Parameters
    ----------
    executor : (model file, float32 frames shaped as in the model) -> float32 outputs

    Raises
    ------
    VerificationError : when every scale is a power of two, so that both must agree, and they do not
    """
    reals = real_frames(graph.inputs[0], inputs)
    # Where preparing and rounding do not lead back to the same code, both see the same neighbour.
    codes = graph.evaluate(graph.inputs[0].quantize(reals))
    ours = graph.dequantize(codes)
    floats = np.asarray(executor(model, reals), dtype=np.float64).reshape(ours.shape)
    exact = exact_scales(graph)
    scale = graph.as_model(np.broadcast_to(graph.scale_of(graph.outputs[0]), codes.shape))
    wrong = (floats != ours) if exact else (np.rint(floats / scale) != graph.as_model(codes))
    frames = np.flatnonzero(wrong.reshape(len(codes), -1).any(axis=1))
    if exact and len(frames):
        at = tuple(int(k) for k in np.argwhere(wrong)[0])
        raise VerificationError(
            f"{graph.name}: the integer graph and the float execution of {model.name} differ in "
            f"{len(frames)} of {len(codes)} frames, though every scale is a power of two; first: "
            f"frame {at[0]}, element {list(at[1:])}: graph {float(ours[at])!r}, float "
            f"{float(floats[at])!r}. This is a fault of hwgen's importer or of a pass: please "
            "report it with the model"
        )
    return Golden(inputs, graph.evaluate(inputs), len(frames))


def execute_model(model: Path, frames: Reals) -> Reals:
    """Run the ONNX file on frames whose elements are in its order, whatever their shape."""
    file = read(model)
    stored = {tensor.name for tensor in file.graph.initializer}
    (source,) = (value for value in file.graph.input if value.name not in stored)
    return execute(file, frames.reshape(len(frames), *frame_shape(source)[1:]))


def real_frames(source: Input, codes: Codes) -> Reals:
    """Return real frames, shaped as in the model, that its input quantizer turns into `codes`."""
    streamed = codes if source.layout is None else source.layout.to_model(codes)
    reals = (streamed * source.scale).astype(np.float32)
    for name, constant in reversed(source.prepare):
        reals = _INVERSE[name](reals, np.float32(constant))
    return reals.astype(np.float32)


def exact_scales(graph: Graph) -> bool:
    """Whether every scale is a power of two, so that float32 holds every value exactly."""
    scales = {source.scale for source in graph.inputs}
    scales |= {scale for node in graph.nodes for scale in node.scale}
    prepared = any(source.prepare for source in graph.inputs)
    return not prepared and all(math.frexp(scale)[0] == 0.5 for scale in scales)
