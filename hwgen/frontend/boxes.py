"""Nodes that become operators of their own: one line each. All others are float steps, or moves.

Adding a node is a function from its `Site` to a `Flow`, in the file of its kind, and its line here.
"""

from __future__ import annotations

from collections.abc import Callable

from hwgen.frontend.borders import pad, resize
from hwgen.frontend.concatenation import concat
from hwgen.frontend.constants import MOVES
from hwgen.frontend.convolution import convolution
from hwgen.frontend.flow import Flow
from hwgen.frontend.integers import dequantize
from hwgen.frontend.joins import add
from hwgen.frontend.largest import arg_max, top_k
from hwgen.frontend.linear import gemm, matmul
from hwgen.frontend.network import Network
from hwgen.frontend.pooling import (
    average_pool,
    global_average_pool,
    global_max_pool,
    max_pool,
    reduction,
)
from hwgen.frontend.qlinear import conv_integer, matmul_integer, qlinear_conv, qlinear_matmul
from hwgen.frontend.qonnx_nodes import multi_threshold, truncate
from hwgen.frontend.selection import select
from hwgen.frontend.shuffles import depth_to_space, space_to_depth
from hwgen.frontend.site import Site
from hwgen.frontend.transposed_convolution import transposed_convolution

Result = Flow | tuple[Flow | None, ...]
Box = Callable[[Site, Network], Result]

# Nodes that become operators of their own, and what these are.
BOXES: dict[str, tuple[Box, str]] = {
    "ArgMax": (arg_max, "argmax, as the last node"),
    "AveragePool": (average_pool, "sum_pool, or windows and depthwise; the function divides"),
    "Concat": (concat, "concat over channels"),
    "Conv": (convolution, "sliding_window and matvec, or depthwise; quantized weights"),
    "ConvTranspose": (transposed_convolution, "as Conv, then depth_to_space; slice cuts off"),
    "ConvInteger": (conv_integer, "as Conv, on integers"),
    "DepthToSpace": (depth_to_space, "depth_to_space"),
    "DequantizeLinear": (dequantize, "nothing, or another zero point; constants keep their codes"),
    "Gather": (select, "slice, with constant indices"),
    "Gemm": (gemm, "matvec, with quantized weights"),
    "GlobalAveragePool": (global_average_pool, "sum_pool; the function that follows divides"),
    "GlobalMaxPool": (global_max_pool, "max_pool"),
    "MatMul": (matmul, "matvec, with quantized weights"),
    "MatMulInteger": (matmul_integer, "matvec, on integers"),
    "MaxPool": (max_pool, "max_pool, or windows and window_max"),
    "MultiThreshold": (multi_threshold, "thresholds"),
    "Pad": (pad, "pad, with one number"),
    "QLinearConv": (qlinear_conv, "as Conv, and the function of its sums"),
    "QLinearMatMul": (qlinear_matmul, "matvec, and the function of its sums"),
    "ReduceMax": (reduction, "max_pool, over rows and columns"),
    "ReduceMean": (reduction, "sum_pool, over rows and columns; the function divides"),
    "ReduceSum": (reduction, "sum_pool, over rows and columns"),
    "Resize": (resize, "upsample, nearest by whole factors"),
    "Slice": (select, "slice"),
    "SpaceToDepth": (space_to_depth, "sliding_window whose windows lie side by side"),
    "Split": (select, "slices"),
    "Sum": (add, "add, exactly aligned"),
    "Trunc": (truncate, "part of an exact integer function"),
    "TopK": (top_k, "top_k, as the last node; argmax with k = 1"),
    "Upsample": (resize, "upsample, nearest by whole factors"),
}
# Nodes that are boxes where several of their inputs flow, and float steps elsewhere.
JOINS: dict[str, Box] = {"Add": add, "Sub": add, "Concat": concat, "Sum": add}
# Of QONNX's own domain.
QONNX_BOXES = frozenset({"MultiThreshold", "Trunc"})
# Where one of these reads frames, they are images.
SPATIAL = frozenset(
    """AveragePool Conv ConvInteger ConvTranspose DepthToSpace GlobalAveragePool GlobalMaxPool
    MaxPool Pad QLinearConv Resize SpaceToDepth Upsample""".split()
)
# Products over the last axis.
PRODUCTS = frozenset({"MatMul", "MatMulInteger", "QLinearMatMul"})
# What these do must be known; products and convolutions say so themselves.
ONE_FLOW = (
    (BOXES.keys() | MOVES) - JOINS.keys() - {"Conv", "ConvTranspose", "Gemm", "Identity", "MatMul"}
)
# What may read tensors of integers besides nodes that only move elements.
READ_INTEGERS = frozenset(
    """Cast ConvInteger DepthToSpace DequantizeLinear Gather MatMulInteger MaxPool QLinearConv
    QLinearMatMul Slice SpaceToDepth Split""".split()
)
REDUCTIONS = frozenset({"ReduceMax", "ReduceMean", "ReduceSum"})
