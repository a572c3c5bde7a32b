"""Products of integers: QLinearConv, QLinearMatMul, ConvInteger, MatMulInteger.

The sums are exact; behind them QLinear nodes multiply by one float32 number a channel, round half
to even, add the zero point and saturate, which is the finite function emitted here.

Source: https://onnx.ai/onnx/operators/onnx__QLinearConv.html, onnx__QLinearMatMul.html,
onnx__ConvInteger.html, onnx__MatMulInteger.html
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from hwgen.errors import FrontendError
from hwgen.frontend.constants import Constant
from hwgen.frontend.convolution import convolved
from hwgen.frontend.flow import Flow
from hwgen.frontend.integers import RANGES, along, kind_of, shifted, whole
from hwgen.frontend.linear import Operands, product
from hwgen.frontend.network import Network
from hwgen.frontend.quantizer import positive
from hwgen.frontend.site import Site
from hwgen.ir import Codes
from hwgen.numeric import CodeType, Rounding
from hwgen.ops.elementwise import Elementwise
from hwgen.ops.float_steps import Add, Multiply, Quantize, Step, reals

Reals = npt.NDArray[np.float32]


def _constant(site: Site, index: int, what: str) -> Constant:
    constant = site.given(index)
    if constant is None:
        raise FrontendError(f"expected a constant {what}, got none or a computed one")
    return constant


def _zero(site: Site, index: int) -> Codes:
    """Return the zero point at input `index`, 0 where it is left out."""
    if index >= len(site.node.input) or not site.node.input[index]:
        return np.zeros((), dtype=np.int64)
    return whole(_constant(site, index, "zero point"))


def _operands(site: Site, network: Network, at: tuple[int, int, int, int], axis: int) -> Operands:
    """Return activations and weights without zero points, on scales of 1.

    Parameters
    ----------
    at : indices of the inputs for activations' zero point, weights, their zero point; and of the
        activations' scale, or -1
    axis : of the weights' channels
    """
    activation_zero, weights, weight_zero, scale = at
    if site.flow_at != 0 or len(site.flows) > 1 or site.flow.zero_point is None:
        raise FrontendError(
            "expected integers as first input and constant weights, got something else; put a "
            "QuantizeLinear in front"
        )
    zero = _zero(site, activation_zero)
    if zero.size != 1:
        raise FrontendError("expected one zero point for activations, got several")
    real = 1.0 if scale < 0 else _number(site, scale, "scale")
    value = shifted(site, network, site.flow, real, int(zero.ravel()[0]))
    given = _constant(site, weights, "matrix of weights")
    codes = whole(given)
    codes = codes - along(_zero(site, weight_zero), axis, codes.shape)
    return Operands(value, 1.0, codes, np.ones(codes.shape, dtype=np.float32))


def _number(site: Site, index: int, what: str) -> float:
    values = positive(_constant(site, index, what).reals())
    if values.size != 1:
        raise FrontendError(f"expected one {what}, got {values.size}; quantize per tensor")
    return float(values.ravel()[0])


def _requantized(site: Site, network: Network, sums: Flow, at: int, bias: Codes | None) -> Flow:
    """Return the integers that a QLinear node makes of its sums.

    Parameters
    ----------
    at : index of the input with the activations' scale; weights, output follow three apart
    """
    assert sums.value is not None
    weight_scale = positive(_constant(site, at + 3, "weight scale").reals().reshape(-1))
    factor = np.float32(_number(site, at, "scale")) * weight_scale
    output_scale = _number(site, at + 5, "output scale")
    steps: tuple[Step, ...] = (Multiply(reals(factor / np.float32(output_scale))),)
    if bias is not None:
        steps = (Add(reals(bias.astype(np.float32))), *steps)
    zero_constant = _constant(site, at + 6, "output zero point")
    zero = whole(zero_constant)
    if zero.size != 1:
        raise FrontendError("expected one output zero point, got several; quantize per tensor")
    offset, codes = int(zero.ravel()[0]), RANGES[kind_of(zero_constant)]
    taken_off = CodeType(codes.lo - offset, codes.hi - offset)
    quantizer = Quantize(reals(1.0), 0, taken_off, Rounding.RND_CONV)
    op = Elementwise(np.ones(1), steps, quantizer)
    value = network.emit(site, op, [sums.value], (output_scale,), "codes")
    return Flow(value, sums.order, quantized=True, source=site.node.name, zero_point=offset)


def qlinear_conv(site: Site, network: Network) -> Flow:
    """Return the flow behind a QLinearConv."""
    sums = convolved(site, network, _operands(site, network, (2, 3, 5, 1), axis=0))
    bias = site.given(8)
    if bias is not None and bias.value.size != sums.shape[1]:
        raise FrontendError(f"expected {sums.shape[1]} biases, got {bias.value.size}")
    return _requantized(site, network, sums, 1, None if bias is None else whole(bias))


def qlinear_matmul(site: Site, network: Network) -> Flow:
    """Return the flow behind a QLinearMatMul."""
    given = _operands(site, network, (2, 3, 5, 1), axis=-1)
    sums = product(site, network, given, transpose=False)
    return _requantized(site, network, sums, 1, None)


def conv_integer(site: Site, network: Network) -> Flow:
    """Return the sums of a ConvInteger, integers of 32 bits."""
    return _summed(site, convolved(site, network, _operands(site, network, (2, 1, 3, -1), axis=0)))


def matmul_integer(site: Site, network: Network) -> Flow:
    """Return the sums of a MatMulInteger, integers of 32 bits."""
    given = _operands(site, network, (2, 1, 3, -1), axis=-1)
    return _summed(site, product(site, network, given, transpose=False))


def _summed(site: Site, sums: Flow) -> Flow:
    return Flow(sums.value, sums.order, source=site.node.name, zero_point=0)
