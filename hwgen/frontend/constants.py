"""Constants of the model: initializers, and nodes whose inputs are all constants, computed once.

A constant that went through a quantizer remembers its integer codes, also across a Transpose or a
Reshape: these are the weights of the linear boxes.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt
import onnx
from onnx import ModelProto, NodeProto, TensorProto, numpy_helper
from onnx.reference import ReferenceEvaluator

from hwgen.errors import FrontendError
from hwgen.frontend.quantizer import Quantizer
from hwgen.frontend.reader import MAX_ELEMENTS

Array = npt.NDArray

FOLDABLE = frozenset(
    """Abs Add And Cast Ceil Clip Concat Constant ConstantOfShape Div Equal Exp Expand Flatten Floor
    Gather Greater Identity Less Log Max Min Mod Mul Neg Not Or Pow Reciprocal ReduceProd Relu
    Reshape Round Shape Sign Size Slice Split Sqrt Squeeze Sub Transpose Unsqueeze Where""".split()
)
# Nodes that only move elements: applied to codes and scales as to the values themselves.
MOVES = frozenset("Flatten Identity Reshape Squeeze Transpose Unsqueeze".split())

DTYPES = frozenset(
    {TensorProto.FLOAT, TensorProto.DOUBLE, TensorProto.FLOAT16, TensorProto.BOOL}
    | {TensorProto.INT8, TensorProto.INT16, TensorProto.INT32, TensorProto.INT64}
    | {TensorProto.UINT8, TensorProto.UINT16, TensorProto.UINT32, TensorProto.UINT64}
    | {TensorProto.INT4, TensorProto.UINT4}
)
NARROW = frozenset({"int4", "uint4"})  # numpy knows them as extensions, not as numbers


@dataclass(frozen=True, eq=False)
class Constant:
    """A known tensor.

    Parameters
    ----------
    value : as ONNX computes it
    name : of the tensor in the file
    codes, scale : value = codes * scale, where a quantizer made it; both shaped like `value`
    bipolar : whether the codes are -1 and +1 of a one-bit quantizer
    """

    value: Array
    name: str
    codes: npt.NDArray[np.int64] | None = None
    scale: npt.NDArray[np.float32] | None = None
    bipolar: bool = False

    def reals(self) -> npt.NDArray[np.float32]:
        """Return the finite float32 values, or refuse."""
        narrow = self.value.dtype.name in NARROW
        if not narrow and not np.issubdtype(self.value.dtype, np.number):
            raise FrontendError(f"expected numbers in {self.name!r}, got {self.value.dtype}")
        if self.value.dtype in (np.float64, np.float16):
            raise FrontendError(
                f"expected float32 numbers in {self.name!r}, got {self.value.dtype}; "
                "export in float32"
            )
        finite = np.isfinite(self.value.astype(np.float32))
        if not finite.all():
            first = self.value[~finite].ravel()[0]
            raise FrontendError(
                f"expected finite numbers in {self.name!r}, got {first}; train or export again"
            )
        return self.value.astype(np.float32)

    def integer(self) -> int:
        """Return the one integer this holds, or refuse."""
        real = self.reals()
        if real.size != 1 or float(real.ravel()[0]) != round(float(real.ravel()[0])):
            raise FrontendError(f"expected one integer in {self.name!r}, got shape {real.shape}")
        return round(float(real.ravel()[0]))


def from_tensor(tensor: TensorProto, name: str) -> Constant:
    """Return the constant that `tensor` holds."""
    if tensor.data_type not in DTYPES:
        kind = tensor.data_type
        known = TensorProto.DataType.keys()
        word = TensorProto.DataType.Name(kind) if 0 <= kind < len(known) else str(kind)
        raise FrontendError(f"initializer {name!r}: expected numbers, got type {word}")
    try:
        return Constant(numpy_helper.to_array(tensor), name)
    except (ValueError, TypeError) as error:
        raise FrontendError(
            f"initializer {name!r}: its data do not fill shape {list(tensor.dims)}; export it again"
        ) from error


def fold(
    node: NodeProto, inputs: Sequence[Constant | None], model: ModelProto, output: int = 0
) -> Constant:
    """Return output `output` of a node whose inputs are all constants (None: one left out)."""
    if node.op_type not in FOLDABLE or node.domain not in ("", "ai.onnx"):
        raise FrontendError(f"cannot be computed from constants; expected one of {_some()}")
    if len(node.output) != 1 and node.op_type != "Split":
        raise FrontendError(f"expected one output, got {len(node.output)}")
    values = [None if given is None else given.value for given in inputs]
    _check_size(node.op_type, [v for v in values if v is not None])
    name = node.output[output]
    result = Constant(_execute(node, values, model, output), name)
    first = inputs[0] if inputs else None
    if node.op_type in MOVES and first is not None and first.codes is not None:
        codes = _execute(node, [first.codes, *values[1:]], model)
        scale = _execute(node, [first.scale, *values[1:]], model)
        return replace(result, codes=codes, scale=scale, bipolar=first.bipolar)
    return result


def quantize(constant: Constant, quantizer: Quantizer, name: str) -> Constant:
    """Return `constant` quantized, with its codes."""
    real = constant.reals()
    scale = _broadcast(quantizer.scale, real.shape)
    codes = quantizer.codes_of(real)
    with np.errstate(over="ignore", under="ignore"):  # infinity is refused where it is used
        value = codes.astype(np.float32) * scale
    return Constant(value, name, codes, scale, quantizer.bipolar)


def _broadcast(scale: npt.NDArray[np.float32], shape: tuple[int, ...]) -> Array:
    try:
        return np.broadcast_to(scale, shape)
    except ValueError as error:
        raise FrontendError(f"expected a scale for shape {shape}, got {scale.shape}") from error


def _execute(
    node: NodeProto, values: Sequence[Array | None], model: ModelProto, output: int = 0
) -> Array:
    """Run one node in ONNX's reference evaluator."""
    named = {n: v for n, v in zip(node.input, values, strict=True) if n and v is not None}
    graph = onnx.helper.make_graph(
        [node],
        "constant",
        [onnx.helper.make_value_info(n, onnx.TypeProto()) for n in named],
        [onnx.helper.make_value_info(n, onnx.TypeProto()) for n in node.output],
    )
    single = onnx.helper.make_model(graph, opset_imports=list(model.opset_import))
    try:
        with np.errstate(all="ignore"):  # infinities and NaN are refused where they are used
            results = ReferenceEvaluator(single).run(None, named)
        return np.asarray(results[output])
    except _EVALUATOR_ERRORS as error:
        raise FrontendError(f"its constant inputs do not fit: {error}") from error


# What ReferenceEvaluator raises on parameters that contradict each other.
_EVALUATOR_ERRORS: tuple[type[Exception], ...] = (
    ArithmeticError,
    AttributeError,
    IndexError,
    KeyError,
    MemoryError,
    NotImplementedError,
    RuntimeError,
    TypeError,
    ValueError,
)


def _check_size(op_type: str, values: Sequence[Array]) -> None:
    """Refuse before computing what would not fit in memory."""
    sizes = [value.size for value in values]
    at = _SHAPED.get(op_type, len(values))
    if at < len(values):
        if not np.issubdtype(values[at].dtype, np.integer):
            raise FrontendError(f"expected a shape of integers, got {values[at].dtype}")
        # Broadcast both ways, the result is no larger than this product.
        count = math.prod([max(abs(size), 1) for size in values[at].ravel()[:64].tolist()])
        fits = count * (max(values[0].size, 1) if at else 1) <= MAX_ELEMENTS
    else:
        bound: Callable[[Sequence[int]], int] = math.prod if op_type in _MULTIPLYING else sum
        fits = bound(sizes) <= MAX_ELEMENTS or _same_shapes(values)
    if not fits:
        raise FrontendError(f"expected a constant of at most {MAX_ELEMENTS} elements")


_MULTIPLYING = frozenset(
    """Add And Clip Div Equal Gather Greater Less Max Min Mod Mul Or Pow Sub Where""".split()
)
_SHAPED = {"ConstantOfShape": 0, "Expand": 1}  # which input is the result's shape


def _same_shapes(values: Sequence[Array]) -> bool:
    return max(v.size for v in values) <= MAX_ELEMENTS and all(
        v.shape == values[0].shape or v.size <= 1 for v in values
    )


def _some() -> str:
    return ", ".join(sorted(FOLDABLE)[:6]) + ", ..."
