"""Execute an ONNX file in floating point: the golden that `hwgen verify` compares with.

Independent of the importer: ONNX's own reference evaluator runs the file's nodes, and QONNX's
quantizers are written here from their specification, not from `hwgen.numeric`.

Source: QONNX operators IntQuant and BipolarQuant,
https://github.com/fastmachinelearning/qonnx/tree/main/docs/qonnx-custom-ops
"""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path

import numpy as np
import numpy.typing as npt
from onnx import ModelProto, TensorProto, ValueInfoProto, helper
from onnx.reference import ReferenceEvaluator
from onnx.reference.op_run import OpRun, RuntimeContextError

from hwgen.errors import FrontendError
from hwgen.frontend.execute_spatial import ConvTranspose, DepthToSpace
from hwgen.frontend.expand_qlinear import expanded
from hwgen.frontend.reader import QONNX_DOMAIN, check, read
from hwgen.frontend.shapes import declared_batch, frame_shape

Reals = npt.NDArray[np.float32]


def execute(model: str | Path | ModelProto, frames: npt.ArrayLike) -> Reals:
    """Return the real outputs for `frames`, shaped (frames, *input shape).

    Raises
    ------
    FrontendError : when the file or the frames do not fit
    """
    checked, where = _checked(model)
    name = checked.graph.output[0].name
    return next(iter(_run(checked, where, frames, (name,)).values())).astype(np.float32)


def execute_tensors(
    model: str | Path | ModelProto, frames: npt.ArrayLike, names: Collection[str]
) -> dict[str, npt.NDArray]:
    """Return the tensors `names` of the model for `frames`."""
    checked, where = _checked(model)
    return _run(checked, where, frames, names)


def execute_once(checked: ModelProto, frame: npt.ArrayLike) -> dict[str, npt.NDArray]:
    """Return every tensor of a checked model for one frame, constants included.

    Raises
    ------
    FrontendError : when the model has not one input, or its nodes cannot be run
    """
    source = _only_input(checked, "model")
    try:
        evaluator = ReferenceEvaluator(expanded(checked), new_ops=list(OPERATORS))
        with np.errstate(all="ignore"):
            fed = {source.name: _as_input(source, frame)}
            values = evaluator.run(None, fed, intermediate=True)
    except _EVALUATOR_ERRORS as error:
        raise FrontendError(f"model: cannot be executed: {error}") from error
    return {name: np.asarray(value) for name, value in values.items() if value is not None}


def _checked(model: str | Path | ModelProto) -> tuple[ModelProto, str]:
    if isinstance(model, ModelProto):
        return check(model, "model"), "model"
    return read(model), Path(model).name


def _run(
    checked: ModelProto, where: str, frames: npt.ArrayLike, names: Collection[str]
) -> dict[str, npt.NDArray]:
    source = _only_input(checked, where)
    shape = frame_shape(source)[1:]
    given = _as_input(source, frames)
    if given.shape[1:] != shape:
        raise FrontendError(f"{where}: expected frames {shape}, got {given.shape[1:]}")
    # A file with a fixed batch may reshape to it: give it batches of that size.
    batch = declared_batch(source) or max(len(given), 1)
    padding = -len(given) % batch if len(given) else batch
    padded = np.concatenate([given, np.zeros((padding, *shape), dtype=given.dtype)])
    parts: dict[str, list[npt.NDArray]] = {name: [] for name in names}
    try:
        evaluator = ReferenceEvaluator(expanded(checked), new_ops=list(OPERATORS))
        with np.errstate(all="ignore"):
            for at in range(0, len(padded), batch):
                fed = {source.name: padded[at : at + batch]}
                values = evaluator.run(None, fed, intermediate=True)
                for name, results in parts.items():
                    results.append(np.asarray(values[name]))
    except _EVALUATOR_ERRORS as error:
        raise FrontendError(f"{where}: cannot be executed: {error}") from error
    return {name: np.concatenate(results)[: len(given)] for name, results in parts.items()}


def _as_input(source: ValueInfoProto, frames: npt.ArrayLike) -> npt.NDArray:
    """Return frames in the type of the model's input."""
    reals: Reals = np.asarray(frames, dtype=np.float32)
    dtype = helper.tensor_dtype_to_np_dtype(source.type.tensor_type.elem_type)
    if dtype == np.float32:
        return reals
    limits = np.iinfo(dtype)
    return np.asarray(np.clip(np.rint(reals), limits.min, limits.max).astype(dtype))


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


def _only_input(model: ModelProto, where: str) -> ValueInfoProto:
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


def _along(values: npt.NDArray, axis: int, rank: int) -> npt.NDArray:
    """Return numbers along `axis`, so that they broadcast."""
    if values.size == 1:
        return values.reshape(())
    return values.reshape([-1 if k == axis % rank else 1 for k in range(rank)])


class QuantizeLinear(OpRun):  # type: ignore[misc]  # onnx is untyped
    """Of every operator set; onnx's own has the newer ones only."""

    op_domain = ""

    def _run(  # type: ignore[no-untyped-def]
        self, x, scale, zero_point=None, axis=None, output_dtype=None, **others
    ) -> tuple[npt.NDArray]:
        if others.get("block_size"):
            raise ValueError("scales in blocks")
        kind = helper.tensor_dtype_to_np_dtype(output_dtype or TensorProto.UINT8)
        zero = np.zeros((), dtype=kind) if zero_point is None else zero_point
        axis = 1 if axis is None else axis
        limits = INTEGER_LIMITS[zero.dtype.name]
        rounded = np.rint(x / _along(scale, axis, x.ndim)).astype(np.float64)
        shifted = rounded + _along(zero.astype(np.int64), axis, x.ndim)
        return (np.clip(shifted, *limits).astype(np.int64).astype(zero.dtype),)


class DequantizeLinear(OpRun):  # type: ignore[misc]  # onnx is untyped
    """Of every operator set."""

    op_domain = ""

    def _run(  # type: ignore[no-untyped-def]
        self, x, scale, zero_point=None, axis=None, **others
    ) -> tuple[Reals]:
        if others.get("block_size"):
            raise ValueError("scales in blocks")
        axis = 1 if axis is None else axis
        zero = np.zeros(1, dtype=np.int64) if zero_point is None else zero_point
        codes = x.astype(np.int64) - _along(zero.astype(np.int64), axis, x.ndim)
        return (codes.astype(np.float32) * _along(scale, axis, x.ndim).astype(np.float32),)


class MultiThreshold(OpRun):  # type: ignore[misc]  # onnx is untyped
    """FINN's: how many thresholds [C or 1, K] a number has reached."""

    op_domain = QONNX_DOMAIN

    def _run(  # type: ignore[no-untyped-def]
        self, x, thresholds, out_scale=None, out_bias=None, data_layout=None, out_dtype=None
    ) -> tuple[Reals]:
        layout = data_layout or {2: "NC", 3: "NWC", 4: "NCHW"}[x.ndim]
        last = np.moveaxis(x, layout.index("C"), -1)
        count = (last[..., None] >= thresholds).sum(axis=-1)
        scale, bias = 1.0 if out_scale is None else out_scale, out_bias or 0.0
        return (np.moveaxis(count * scale + bias, -1, layout.index("C")).astype(np.float32),)


class FloatQuant(OpRun):  # type: ignore[misc]  # onnx is untyped
    """QONNX's minifloat quantizer, saturating."""

    op_domain = QONNX_DOMAIN

    def _run(  # type: ignore[no-untyped-def]
        self, x, scale, exponent, mantissa, bias, largest, rounding_mode=None, **others
    ) -> tuple[Reals]:
        real = (x / scale).astype(np.float32)
        tiny = np.finfo(np.float32).tiny
        finest = np.floor(np.log2(np.abs(real) + tiny)) - mantissa
        step = np.exp2(np.maximum(finest, 1 - bias - mantissa))
        top = (2 - 2.0**-mantissa) * 2.0 ** (2.0**exponent - 1 - bias)
        limit = np.minimum(top, largest)
        grid = _rounded(real / step, rounding_mode or "ROUND") * step
        return ((np.clip(grid, -limit, limit) * scale).astype(np.float32),)


class Trunc(OpRun):  # type: ignore[misc]  # onnx is untyped
    """QONNX's Trunc, version 1 with five inputs, version 2 with six."""

    op_domain = QONNX_DOMAIN

    def _run(  # type: ignore[no-untyped-def]
        self, x, scale, zero, width, *last, rounding_mode=None, signed=None, narrow=None
    ) -> tuple[Reals]:
        codes = np.round(x / scale + zero)
        if len(last) == 1:
            kept = _rounded(codes / 2.0 ** (width - last[0]), rounding_mode or "FLOOR")
            return (((kept - zero) * scale).astype(np.float32),)
        factor = 2.0 ** np.round(np.log2(last[0] / scale))
        bits, signed = float(last[1]), signed is None or signed
        low = -(2 ** (bits - 1)) + bool(narrow) if signed else 0.0
        high = 2 ** (bits - 1) - 1 if signed else 2**bits - 1 - bool(narrow)
        kept = _rounded(np.clip(codes / factor, low, high), rounding_mode or "FLOOR")
        return (((kept - zero / factor) * last[0]).astype(np.float32),)


INTEGER_LIMITS = {
    name: limits
    for bits in (4, 8, 16)
    for name, limits in (
        (f"int{bits}", (-(1 << bits - 1), (1 << bits - 1) - 1)),
        (f"uint{bits}", (0, (1 << bits) - 1)),
    )
}
OPERATORS = (
    *(Quant, IntQuant, BipolarQuant, FloatQuant, MultiThreshold, Trunc),
    *(BatchNormalization, QuantizeLinear, DequantizeLinear, ConvTranspose, DepthToSpace),
)
