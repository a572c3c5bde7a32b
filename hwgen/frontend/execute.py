"""Execute an ONNX file in floating point: the golden that `hwgen verify` compares with.

Independent of the importer: ONNX's own reference evaluator runs the file's nodes, and QONNX's
quantizers are written here from their specification, not from `hwgen.numeric`.

Source: QONNX operators IntQuant and BipolarQuant,
https://github.com/fastmachinelearning/qonnx/tree/main/docs/qonnx-custom-ops
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import numpy.typing as npt
from onnx import ModelProto
from onnx.reference import ReferenceEvaluator
from onnx.reference.op_run import OpRun, RuntimeContextError

from hwgen.errors import FrontendError
from hwgen.frontend.reader import QONNX_DOMAIN, check, read
from hwgen.frontend.shapes import declared_batch, frame_shape

Reals = npt.NDArray[np.float32]


def execute(model: str | Path | ModelProto, frames: npt.ArrayLike) -> Reals:
    """Return the real outputs for `frames`, shaped (frames, *input shape).

    Raises
    ------
    FrontendError : when the file or the frames do not fit
    """
    if isinstance(model, ModelProto):
        checked, where = check(model, "model"), "model"
    else:
        checked, where = read(model), Path(model).name
    source = _only_input(checked, where)
    shape = frame_shape(source)[1:]
    frames = np.asarray(frames, dtype=np.float32)
    if frames.shape[1:] != shape:
        raise FrontendError(f"{where}: expected frames {shape}, got {frames.shape[1:]}")
    # A file with a fixed batch may reshape to it: give it batches of that size.
    batch = declared_batch(source) or max(len(frames), 1)
    padding = -len(frames) % batch if len(frames) else batch
    padded = np.concatenate([frames, np.zeros((padding, *shape), dtype=np.float32)])
    try:
        evaluator = ReferenceEvaluator(
            checked, new_ops=[Quant, IntQuant, BipolarQuant, BatchNormalization]
        )
        with np.errstate(all="ignore"):
            outputs = [
                evaluator.run(None, {source.name: padded[at : at + batch]})[0]
                for at in range(0, len(padded), batch)
            ]
    except _EVALUATOR_ERRORS as error:
        raise FrontendError(f"{where}: cannot be executed: {error}") from error
    return np.concatenate(outputs).astype(np.float32)[: len(frames)]


# What the evaluator raises on unknown operators and on parameters that contradict each other.
_EVALUATOR_ERRORS = (
    ArithmeticError,
    AttributeError,
    LookupError,
    NotImplementedError,
    RuntimeContextError,
    RuntimeError,
    TypeError,
    ValueError,
)


def _only_input(model: ModelProto, where: str):  # type: ignore[no-untyped-def]  # onnx is untyped
    known = {tensor.name for tensor in model.graph.initializer}
    free = [value for value in model.graph.input if value.name not in known]
    if len(free) != 1:
        raise FrontendError(f"{where}: expected one input, got {len(free)}")
    return free[0]


def _rounded(x: Reals, mode: str) -> npt.NDArray[np.float64]:
    """Round as QONNX's table says; in float64, where adding one half is exact."""
    wide, mode = x.astype(np.float64), mode.upper()
    magnitude = np.abs(wide)
    if mode in ("ROUND", "HALF_EVEN"):
        return np.round(wide)
    if mode == "CEIL":
        return np.ceil(wide)
    if mode == "FLOOR":
        return np.floor(wide)
    away = {
        "UP": np.ceil(magnitude),
        "DOWN": np.floor(magnitude),
        "HALF_UP": np.floor(magnitude + 0.5),
        "HALF_DOWN": np.ceil(magnitude - 0.5),
    }
    if mode not in away:
        raise ValueError(f"rounding mode {mode!r} is unknown")
    return np.sign(wide) * away[mode]


class Quant(OpRun):  # type: ignore[misc]  # onnx is untyped
    """QONNX's Quant: clip, then round, then back to real numbers."""

    op_domain = QONNX_DOMAIN

    def _run(  # type: ignore[no-untyped-def]
        self, x, scale, zero_point, bit_width, narrow=None, rounding_mode=None, signed=None
    ) -> tuple[Reals]:
        signed = 1 if signed is None else signed
        narrow = 1 if narrow is None else narrow
        width = int(np.asarray(bit_width).ravel()[0])
        shifted = (x / scale + zero_point).astype(np.float32)
        if signed and width == 1:
            codes = np.where(shifted >= 0, 1.0, -1.0)
        else:
            low = -(2.0 ** (width - 1)) + bool(narrow) if signed else 0.0
            high = 2.0 ** (width - 1) - 1 if signed else 2.0**width - 1 - bool(narrow)
            codes = _rounded(
                np.clip(shifted.astype(np.float64), low, high), rounding_mode or "ROUND"
            )
        return (((codes - zero_point).astype(np.float32) * scale).astype(np.float32),)


class IntQuant(Quant):
    """The newer name of Quant."""

    op_domain = QONNX_DOMAIN


class BatchNormalization(OpRun):  # type: ignore[misc]  # onnx is untyped
    """Inference only: onnx's own takes any node with a momentum for training, up to opset 13."""

    op_domain = ""

    def _run(  # type: ignore[no-untyped-def]
        self, x, scale, bias, mean, variance, epsilon=None, **training
    ) -> tuple[Reals]:
        if training.get("training_mode"):
            raise ValueError("BatchNormalization in training mode")
        axes = (-1, *(1,) * (x.ndim - 2))
        deviation = np.sqrt(variance + np.float32(1e-5 if epsilon is None else epsilon))
        centered = x - mean.reshape(axes)
        y = scale.reshape(axes) * centered / deviation.reshape(axes) + bias.reshape(axes)
        return (y.astype(np.float32),)


class BipolarQuant(OpRun):  # type: ignore[misc]  # onnx is untyped
    """QONNX's BipolarQuant: the sign, with sign(0) = +1."""

    op_domain = QONNX_DOMAIN

    def _run(self, x, scale) -> tuple[Reals]:  # type: ignore[no-untyped-def]
        return (np.where(x >= 0, scale, -scale).astype(np.float32),)
