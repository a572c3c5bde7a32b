"""MatMul and Gemm with quantized constant weights become a matrix-vector product.

Behind a Flatten the weights are permuted to the order in which the image streams.

Source: https://onnx.ai/onnx/operators/onnx__Gemm.html, onnx__MatMul.html
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from hwgen.errors import FrontendError
from hwgen.frontend.flow import Flow
from hwgen.frontend.layout import vectors_of
from hwgen.frontend.network import Network
from hwgen.frontend.settle import on_codes
from hwgen.frontend.site import Site
from hwgen.ir import Codes, Scale
from hwgen.ops.float_steps import Add, Multiply, Step, reals
from hwgen.ops.matvec import MatVec

Reals = npt.NDArray[np.float32]


def activation(site: Site, network: Network) -> tuple[str, float]:
    """Return the value a linear box reads, and the real value of its code 1.

    Behind a quantizer, a Relu or a Clip leaves codes of the same scale.

    Raises
    ------
    FrontendError : when it is not quantized, or channels differ in scale
    """
    flow = on_codes(site, network, site.flow)
    if not flow.settled or not flow.quantized or flow.value is None:
        raise FrontendError(
            f"unquantized activation: expected an input that ends in a Quant or BipolarQuant, "
            f"got {flow.ending()}; try a quantizer after it"
        )
    scale = network.scales[flow.value]
    if len(scale) > 1:
        raise FrontendError(
            f"expected one input scale, got {len(scale)} of {flow.value!r}; "
            "put a quantizer before it, and quantize activations per tensor"
        )
    return flow.value, scale[0]


def weight_codes(site: Site, index: int) -> tuple[Codes, Reals]:
    """Return codes and scales of the constant weights, both shaped as in the file."""
    weights = site.given(index)
    if site.flow_at != 0 or len(site.flows) > 1 or weights is None:
        raise FrontendError(
            "expected constant weights as second input, got the flowing tensor there; transpose it"
        )
    weights.reals()  # refuses NaN and infinity first: the more telling message
    if weights.codes is None or weights.scale is None:
        raise FrontendError(
            f"unquantized weights: expected integer codes, got {weights.value.dtype} "
            f"{weights.name!r}; wrap in Quant"
        )
    return weights.codes, weights.scale


@dataclass(frozen=True, eq=False)
class Operands:
    """What a product multiplies.

    Parameters
    ----------
    value, scale : IR value of the activations, and the real value of its code 1
    codes, scales : of the weights, both shaped as in the file
    """

    value: str
    scale: float
    codes: Codes
    scales: Reals


def operands(site: Site, network: Network) -> Operands:
    """Return activation and weights, or say all that is missing."""
    problems = []
    try:
        value, scale = activation(site, network)
    except FrontendError as error:
        problems.append(str(error))
    try:
        codes, scales = weight_codes(site, 1)
    except FrontendError as error:
        problems.append(str(error))
    if problems:
        raise FrontendError("; and ".join(problems))
    return Operands(value, scale, codes, scales)


def row_scales(scale: Reals) -> Scale:
    """Return one scale, or one a row, of scales [O, ...] that must not differ within a row."""
    if not (scale == scale[:, :1]).all():
        raise FrontendError(
            "expected one weight scale, or one per output channel, got one per input channel; "
            "quantize along the output axis"
        )
    rows = scale[:, 0].astype(np.float64).tolist()
    return tuple(rows[:1] if len(set(rows)) == 1 else rows)


def product(site: Site, network: Network, given: Operands, transpose: bool) -> Flow:
    """Emit the product of the last axis with the weights [I, O], or transposed."""
    value, codes, scales = given.value, given.codes, given.scales
    if codes.ndim != 2 or codes.size == 0:
        raise FrontendError(f"expected a matrix of weights, got shape {codes.shape}")
    if not transpose:
        codes, scales = codes.T, scales.T
    rows, columns = codes.shape
    weight_scale = row_scales(scales)
    places = vectors_of(site.flow, columns)
    streamed = np.empty_like(codes)
    streamed[:, places] = codes
    vectors = site.flow.order.size // columns
    shape = network.types[value].shape
    if vectors == 1 or shape[-1] != columns:
        value = network.reshaped(site, value, (columns,) if vectors == 1 else (vectors, columns))
    sums = tuple(given.scale * s for s in weight_scale)
    name = network.emit(site, MatVec(streamed), [value], sums)
    firsts = site.flow.order.reshape(-1, columns)[:, 0] // columns
    order = firsts[:, None] * rows + np.arange(rows)
    return Flow(name, order.reshape(*site.shape[:-1], rows), source=site.node.name)


def matmul(site: Site, network: Network) -> Flow:
    """Return the flow behind a MatMul."""
    return product(site, network, operands(site, network), transpose=False)


def gemm(site: Site, network: Network) -> Flow:
    """Return the flow behind a Gemm; alpha and bias are pending."""
    if site.attributes.get("transA"):
        raise FrontendError("expected transA 0, got 1: it would mix frames; remove the transpose")
    transpose = bool(site.attributes.get("transB"))
    flow = product(site, network, operands(site, network), transpose)
    alpha, beta = site.number("alpha", 1.0), site.number("beta", 1.0)
    steps: tuple[Step, ...] = () if alpha == 1 else (Multiply(reals(alpha)),)
    if site.given(2) is not None and beta != 0:
        bias = site.at(flow, flow.shape[-1]).channelwise(2)
        steps = (*steps, Add(bias if beta == 1 else reals(bias * np.float32(beta))))
    return flow.then(steps, site.node.name)
