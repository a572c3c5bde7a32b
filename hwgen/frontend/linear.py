"""Linear boxes: MatMul and Gemm with quantized constant weights become a matrix-vector product.

Source: https://onnx.ai/onnx/operators/onnx__Gemm.html, onnx__MatMul.html
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from hwgen.errors import FrontendError
from hwgen.frontend.constants import Constant
from hwgen.frontend.nodes import Site, Steps
from hwgen.ir import Codes
from hwgen.ops.float_steps import Add, Multiply, reals
from hwgen.ops.matvec import MatVec


@dataclass(frozen=True)
class LinearBox:
    """The integer product and the float32 steps that the node applies to it.

    Parameters
    ----------
    op : the product of codes
    weight_scale : real value of weight code 1, one or one per row
    rows : output channels
    steps : alpha and bias
    """

    op: MatVec
    weight_scale: tuple[float, ...]
    rows: int
    steps: Steps = ()


def _weights(site: Site, index: int, transpose: bool) -> tuple[Codes, tuple[float, ...]]:
    """Return codes [O, I] and scales of the constant weight matrix."""
    weights = site.given(index)
    if site.flow_at != 0 or weights is None:
        raise FrontendError("expected the weights as second input, got them first; transpose it")
    codes, scale = _codes(weights)
    if codes.ndim != 2 or codes.size == 0:
        raise FrontendError(f"expected a matrix of weights, got shape {codes.shape}")
    if not transpose:
        codes, scale = codes.T, scale.T
    if not (scale == scale[:, :1]).all():
        raise FrontendError(
            "expected one weight scale, or one per output channel, got one per input channel; "
            "quantize along the output axis"
        )
    columns = codes.shape[1]
    if site.shape[-1] != columns or math.prod(site.shape) != columns:
        raise FrontendError(
            f"expected a vector of {columns} numbers a frame, got {site.shape[1:]}; try Flatten"
        )
    rows = scale[:, 0].astype(np.float64).tolist()
    return codes, tuple(rows[:1] if len(set(rows)) == 1 else rows)


def _codes(weights: Constant) -> tuple[Codes, np.ndarray[tuple[int, ...], np.dtype[np.float32]]]:
    weights.reals()  # refuses NaN and infinity first: the more telling message
    if weights.codes is None or weights.scale is None:
        raise FrontendError(
            f"unquantized weights: expected integer codes, got {weights.value.dtype} "
            f"{weights.name!r}; wrap in Quant"
        )
    return weights.codes, weights.scale


def _matmul(site: Site) -> LinearBox:
    codes, scale = _weights(site, 1, transpose=False)
    return LinearBox(MatVec(codes), scale, len(codes))


def _gemm(site: Site) -> LinearBox:
    if site.attributes.get("transA"):
        raise FrontendError("expected transA 0, got 1: it would mix frames; remove the transpose")
    codes, scale = _weights(site, 1, transpose=bool(site.attributes.get("transB")))
    alpha, beta = site.number("alpha", 1.0), site.number("beta", 1.0)
    steps: Steps = () if alpha == 1 else (Multiply(reals(alpha)),)
    if site.given(2) is not None and beta != 0:
        after = Site(site.node, (*site.shape[:-1], len(codes)), 0, site.inputs)
        bias = after.channelwise(2)
        steps = (*steps, Add(bias if beta == 1 else reals(bias * np.float32(beta))))
    return LinearBox(MatVec(codes), scale, len(codes), steps)


TRANSLATORS: dict[str, Callable[[Site], LinearBox]] = {"Gemm": _gemm, "MatMul": _matmul}
