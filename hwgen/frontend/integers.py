"""Tensors of integers: QuantizeLinear, DequantizeLinear and what lies between them.

Codes in the graph have no zero point: a code is the model's integer minus the zero point, so that
the number 0, which pads images, is always the code 0. `Flow.zero_point` remembers the difference.

Source: https://onnx.ai/onnx/operators/onnx__QuantizeLinear.html, onnx__DequantizeLinear.html
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt
from onnx import NodeProto, TensorProto

from hwgen.errors import FrontendError
from hwgen.frontend.constants import Constant
from hwgen.frontend.flow import Flow
from hwgen.frontend.network import Network
from hwgen.frontend.quantizer import Quantizer, positive
from hwgen.frontend.site import Site, attributes
from hwgen.ir import Codes
from hwgen.numeric import CodeType, Rounding
from hwgen.ops.float_steps import Add, Multiply, Step, reals
from hwgen.ops.requantize import Requantize

Reals = npt.NDArray[np.float32]

RANGES = {
    "int4": CodeType(-8, 7),
    "uint4": CodeType(0, 15),
    "int8": CodeType(-(1 << 7), (1 << 7) - 1),
    "uint8": CodeType(0, (1 << 8) - 1),
    "int16": CodeType(-(1 << 15), (1 << 15) - 1),
    "uint16": CodeType(0, (1 << 16) - 1),
    "int32": CodeType(-(1 << 31), (1 << 31) - 1),
}
OUTPUT_TYPES = {
    TensorProto.INT4: "int4",
    TensorProto.UINT4: "uint4",
    TensorProto.INT8: "int8",
    TensorProto.UINT8: "uint8",
    TensorProto.INT16: "int16",
    TensorProto.UINT16: "uint16",
}


@dataclass(frozen=True, eq=False)
class Linear:
    """real = (integer - zero_point) * scale.

    Parameters
    ----------
    scale : float32, broadcasts to the tensor
    zero_point : int64, broadcasts to the tensor
    kind : name of the integers' type, a key of RANGES
    """

    scale: Reals
    zero_point: Codes
    kind: str

    @property
    def zero(self) -> int:
        """The zero point of a tensor that has only one."""
        if self.zero_point.min() != self.zero_point.max():
            raise FrontendError("expected one zero point, got several; quantize per tensor")
        return int(self.zero_point.ravel()[0])

    def quantizer(self) -> Quantizer:
        """Return what QuantizeLinear does: round half to even, then add, then saturate."""
        codes, zero = RANGES[self.kind], self.zero
        # Whole numbers pass a clip to whole bounds before or after rounding alike.
        taken_off = CodeType(codes.lo - zero, codes.hi - zero)
        return Quantizer(self.scale, 0, taken_off, Rounding.RND_CONV)


def kind_of(constant: Constant) -> str:
    """Return the name of an integer type."""
    name = constant.value.dtype.name
    if name not in RANGES:
        raise FrontendError(
            f"expected integers of 4, 8, 16 or 32 bits in {constant.name!r}, got {name}"
        )
    return name


def whole(constant: Constant) -> Codes:
    """Return integers as they are in the file."""
    kind_of(constant)
    return np.asarray(constant.value).astype(np.int64)


def linear(node: NodeProto, known: Sequence[Constant | None], shape: tuple[int, ...]) -> Linear:
    """Return the checked parameters of a QuantizeLinear or DequantizeLinear of a tensor."""
    scale = known[1] if len(known) > 1 else None
    zero = known[2] if len(known) > 2 else None
    if scale is None or (len(node.input) > 2 and node.input[2] and zero is None):
        raise FrontendError("expected a constant scale and zero point, got computed ones")
    if attributes(node).get("block_size"):
        raise FrontendError(
            "expected scales per tensor or per channel, got blocks; quantize per channel"
        )
    if not np.issubdtype(scale.value.dtype, np.floating):
        raise FrontendError(f"expected a scale of real numbers, got {scale.value.dtype}")
    wanted = attributes(node).get("output_dtype", 0)
    other = OUTPUT_TYPES.get(wanted or TensorProto.UINT8, "") if isinstance(wanted, int) else ""
    kind = other if zero is None else kind_of(zero)
    if not kind:
        raise FrontendError(f"expected integers of 4, 8 or 16 bits, got output_dtype {wanted}")
    offsets = whole(zero) if zero is not None else np.zeros(1, dtype=np.int64)
    axis = attributes(node).get("axis", 1)
    return Linear(positive(along(scale.reals(), axis, shape)), along(offsets, axis, shape), kind)


def along(values: npt.NDArray, axis: object, shape: tuple[int, ...]) -> npt.NDArray:
    """Return one number, or one a place of `axis`, so that it broadcasts to `shape`."""
    if values.size == 1:
        return values.reshape(())
    rank = len(shape)
    if not isinstance(axis, int) or not -rank <= axis < rank or values.shape != (shape[axis],):
        raise FrontendError(
            f"expected one scale and zero point, or one for each place of axis {axis} of shape "
            f"{shape}, got shape {values.shape}"
        )
    return values.reshape([-1 if k == axis % rank else 1 for k in range(rank)])


# constants -------------------------------------------------------------------------------------


def quantize_constant(node: NodeProto, known: Sequence[Constant | None]) -> Constant:
    """Return the integers behind a QuantizeLinear of a constant."""
    given = known[0]
    assert given is not None
    real = given.reals()
    parameters = linear(node, known, real.shape)
    codes = RANGES[parameters.kind]
    with np.errstate(over="ignore", under="ignore"):
        shifted = np.rint(real / parameters.scale).astype(np.float64) + parameters.zero_point
    integers = np.clip(shifted, codes.lo, codes.hi).astype(np.int64)
    wide = "int8" if parameters.kind == "int4" else parameters.kind.replace("uint4", "uint8")
    return Constant(integers.astype(wide), node.output[0])


def dequantize_constant(node: NodeProto, known: Sequence[Constant | None]) -> Constant:
    """Return real numbers with their codes."""
    given = known[0]
    assert given is not None
    parameters = linear(node, known, given.value.shape)
    return coded(given, parameters, node.output[0])


def coded(given: Constant, parameters: Linear, name: str) -> Constant:
    """Return the real numbers of the integers `given`, and remember the codes."""
    codes = whole(given) - parameters.zero_point
    scale = np.broadcast_to(parameters.scale, codes.shape)
    with np.errstate(over="ignore", under="ignore"):  # infinity is refused where it is used
        value = codes.astype(np.float32) * scale
    return Constant(value, name, codes, scale)


# flows -----------------------------------------------------------------------------------------


def zero_of(network: Network, flow: Flow) -> int:
    """Return what the model's integers are more than the codes."""
    assert flow.value is not None
    return (flow.zero_point or 0) + network.taken_off.get(flow.value, 0)


def shifted(site: Site, network: Network, flow: Flow, scale: float, zero_point: int) -> str:
    """Return a value with the codes of integers `flow` for another zero point and scale."""
    value = flow.value
    assert value is not None
    if zero_of(network, flow) == 0 and network.prepared(value, scale, zero_point):
        return value
    offset = zero_of(network, flow) - zero_point
    if offset == 0 and network.scales[value] == (scale,):
        return value
    codes = network.types[value].codes
    op = Requantize(
        np.ones(1, dtype=np.int64),
        np.array([offset]),
        0,
        Rounding.TRN,
        CodeType(codes.lo + offset, codes.hi + offset),
    )
    return network.emit(site, op, [value], (scale,), "shifted")


@dataclass(frozen=True, eq=False)
class Tensor:
    """How a value of the graph holds a quantized tensor of the model.

    Parameters
    ----------
    value : of the graph
    order : shaped like the tensor with batch 1: the place at which each element streams
    zero_point : the tensor's integers are the codes plus this; None where it holds real numbers
    """

    value: str
    order: Codes
    zero_point: int | None


def tensor_of(network: Network, flow: Flow) -> Tensor | None:
    """Return how `flow` is held, None where it is not exactly a value."""
    if not flow.settled or not flow.quantized or flow.value is None:
        return None
    zero = None if flow.zero_point is None else zero_of(network, flow)
    return Tensor(flow.value, flow.order, zero)


def dequantize(site: Site, network: Network) -> Flow:
    """Return the flow behind a DequantizeLinear."""
    flow = site.flow
    if flow.zero_point is None or flow.value is None:
        raise FrontendError(
            f"expected integers, got {flow.ending()}; try a QuantizeLinear in front of it"
        )
    parameters = linear(site.node, site.inputs, site.shape)
    if not flow.quantized or parameters.scale.size > 1:
        steps: tuple[Step, ...] = (Multiply(site.spread(parameters.scale, "scale")),)
        if parameters.zero:
            steps = (Add(reals(float(-parameters.zero))), *steps)
        plain = as_numbers(site, network, flow)
        return network.fitted(site, plain, steps).then(steps, site.node.name)
    scale = float(parameters.scale)
    value = shifted(site, network, flow, scale, parameters.zero)
    return Flow(value, flow.order, quantized=True, source=site.node.name)


def as_numbers(site: Site, network: Network, flow: Flow) -> Flow:
    """Return integers `flow` as the real numbers they are: a Cast, or the end of the model."""
    assert flow.value is not None
    network.pinned.add(flow.value)
    value = shifted(site, network, flow, 1.0, 0)
    return replace(flow, value=value, zero_point=None)
