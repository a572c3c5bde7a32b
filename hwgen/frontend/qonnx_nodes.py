"""QONNX's MultiThreshold, as FINN writes it, and Trunc.

Source: https://github.com/fastmachinelearning/qonnx, src/qonnx/custom_op/general/multithreshold.py
and trunc.py (both versions, told apart by their number of inputs)
"""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt

from hwgen.errors import FrontendError, NumericError
from hwgen.frontend.flow import Flow
from hwgen.frontend.network import Network
from hwgen.frontend.quantizer import positive
from hwgen.frontend.settle import settled
from hwgen.frontend.site import Site
from hwgen.ir import Codes, Scale
from hwgen.numeric import CodeType, Rounding, rounding_from_qonnx
from hwgen.ops.elementwise import Elementwise
from hwgen.ops.float_steps import Divide, Quantize, reals
from hwgen.ops.thresholds import Thresholds

MAX_THRESHOLDS = 1 << 16


def multi_threshold(site: Site, network: Network) -> Flow:
    """Return the flow behind a MultiThreshold: how many thresholds a number has reached."""
    table = _thresholds(site)
    scale, bias = site.number("out_scale", 1.0), site.number("out_bias", 0.0)
    first = round(bias / scale) if scale > 0 else 0
    if scale <= 0 or np.float32(first * scale) != np.float32(bias):
        raise FrontendError(
            f"expected a positive out_scale and an out_bias that is a multiple of it, got "
            f"{scale:g} and {bias:g}; move them into a Mul and an Add behind the node"
        )
    value = settled(site, network, site.flow, advice="put a Quant before it")
    shape = _channel_shape(site)
    columns = [site.spread(column.reshape(shape), "thresholds") for column in table.T]
    real = np.stack(np.broadcast_arrays(*columns), axis=1)
    steps = _reached_at(real, network.scales[value])
    codes = CodeType(first, first + table.shape[1])
    op = Thresholds(steps, np.zeros(1, dtype=np.int64), codes)
    name = network.emit(site, op, [value], (scale,))
    return Flow(name, site.flow.order, quantized=True, source=site.node.name)


def _thresholds(site: Site) -> npt.NDArray[np.float32]:
    constant = site.given(1)
    if constant is None or constant.value.ndim != 2 or constant.value.size == 0:
        raise FrontendError("expected a constant matrix of thresholds, [C, K]")
    if constant.value.size > MAX_THRESHOLDS:
        raise FrontendError(f"expected at most {MAX_THRESHOLDS} thresholds; use fewer bits")
    # How many are reached does not depend on their order.
    return np.sort(constant.reals(), axis=1)


def _channel_shape(site: Site) -> tuple[int, ...]:
    """Return the shape in which numbers a channel broadcast to the tensor."""
    rank = len(site.shape)
    layout = site.attributes.get("data_layout", b"")
    words = layout.decode("ascii", "replace") if isinstance(layout, bytes) else str(layout)
    words = words or {2: "NC", 3: "NWC", 4: "NCHW"}.get(rank, "NC")
    if len(words) != rank or words.count("C") != 1:
        raise FrontendError(f"expected a data_layout of {rank} axes with one C, got {words!r}")
    return tuple(-1 if axis == "C" else 1 for axis in words)


def _reached_at(thresholds: npt.NDArray[np.float32], scale: Scale) -> Codes:
    """Return the first code whose real number, in float32, reaches each threshold."""
    unit = np.array(scale)[:, None]
    codes = np.ceil(np.clip(thresholds / unit, -(2.0**40), 2.0**40)).astype(np.int64)
    # Rounding to float32 may move a number over the threshold, by one code at most.
    for _ in range(2):
        codes = np.where(((codes - 1) * unit).astype(np.float32) >= thresholds, codes - 1, codes)
        codes = np.where((codes * unit).astype(np.float32) < thresholds, codes + 1, codes)
    return np.asarray(codes, dtype=np.int64)


def truncate(site: Site, network: Network) -> Flow:
    """Return the flow behind a Trunc: codes with low bits dropped.

    Inputs are, of version 1, the tensor, scale, zero point, bit widths in and out; of version 2
    the output scale stands before the output's bit width, and results are clipped to that.
    """
    flow, count = site.flow, len(site.node.input)
    if count not in (5, 6) or any(site.given(k) is None for k in range(1, count)):
        raise FrontendError("expected constant scale, zero point and widths, got computed ones")
    given = [constant.reals().ravel() for constant in site.inputs[1:] if constant is not None]
    if any(values.size != 1 for values in given):
        raise FrontendError("expected one scale and width for all channels, got several")
    scale, zero = float(positive(given[0])[0]), float(given[1][0])
    if zero or not flow.settled or flow.value is None or network.scales[flow.value] != (scale,):
        raise FrontendError(
            f"expected codes of a quantizer with scale {scale:g} and zero point 0, got another "
            "tensor; put a Quant in front with the Trunc's own scale"
        )
    codes = network.types[flow.value].codes
    if count == 5:
        bits, last = round(float(given[2][0] - given[3][0])), scale
    else:
        bits, last = round(math.log2(float(given[3][0]) / scale)), float(given[3][0])
        codes = _clipped(site, round(float(given[4][0])))
    if not 0 <= bits < 32:
        raise FrontendError(f"expected 0 to 31 bits to drop, got {bits}")
    quantizer = Quantize(reals(1.0), 0, codes, _rounding(site))
    # In units of the input's code: divide, then round.
    op = Elementwise(np.ones(1), (Divide(reals(2.0**bits)),), quantizer)
    name = network.emit(site, op, [flow.value], (last,))
    return Flow(name, flow.order, quantized=True, source=site.node.name)


def _clipped(site: Site, width: int) -> CodeType:
    signed, narrow = bool(site.attributes.get("signed", 1)), bool(site.attributes.get("narrow", 0))
    if not 2 <= width <= 32:
        raise FrontendError(f"expected 2 to 32 output bits, got {width}")
    if signed:
        return CodeType(-(1 << (width - 1)) + narrow, (1 << (width - 1)) - 1)
    return CodeType(0, (1 << width) - 1 - narrow)


def _rounding(site: Site) -> Rounding:
    mode = site.attributes.get("rounding_mode", b"FLOOR")
    try:
        return rounding_from_qonnx(mode.decode("ascii") if isinstance(mode, bytes) else str(mode))
    except (NumericError, UnicodeDecodeError) as error:
        raise FrontendError(f"expected a rounding_mode of QONNX, got {mode!r}: {error}") from error
