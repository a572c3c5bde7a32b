"""`step_of`: the power of two that all numbers of a tensor are multiples of.

hls4ml gives an average the type of its input; `pools.py` makes that fine enough, for which it has
to know how fine the input is.
"""

from __future__ import annotations

import math

import numpy as np
from onnx import NodeProto

from hwgen.errors import FrontendError
from hwgen.frontend.hls4ml.numbers import numbers_of
from hwgen.frontend.hls4ml.source import Source

EXACT_BITS = 24  # `hwgen.nn` exports no tensor with more units of its step than float32 holds

SAME = frozenset("Dropout Flatten Identity MaxPool Pad Relu Reshape Resize".split())
PRODUCTS = frozenset("Conv MatMul Mul".split())
SUMS = frozenset("Add Clip Concat Sub".split())


def step_of(source: Source, name: str) -> float:
    """Return the step of tensor `name`, which the model computes from its input or has as constant.

    Raises
    ------
    FrontendError : when numbers in it are no multiples of a power of two
    """
    node = source.makers.get(name)
    if name in source.constants:
        step = _of_constant(source, name)
    elif node is None:
        step = None
    else:
        step = _of_node(source, node)
    if step is None or math.frexp(step)[0] != 0.5:
        raise FrontendError(f"expected numbers on a grid in {name!r}; put a Quant before it")
    return step


def _of_constant(source: Source, name: str) -> float | None:
    numbers = numbers_of(source, name)
    if numbers.quantizer is not None:
        return numbers.quantizer.scale
    # The greatest power of two that divides them all.
    steps = [1 / float(each).as_integer_ratio()[1] for each in numbers.values.ravel()]
    return min(steps, default=1.0)


def _of_node(source: Source, node: NodeProto) -> float | None:
    inputs = [name for name in node.input if name]
    if node.op_type == "BipolarQuant":
        return 1.0
    if node.op_type == "Quant":
        scales = np.unique(source.values[node.input[1]])
        return float(scales[0]) if len(scales) == 1 else None
    if node.op_type == "AveragePool":
        kernel = next(each.ints for each in node.attribute if each.name == "kernel_shape")
        return step_of(source, inputs[0]) / float(math.prod(kernel))
    if node.op_type in SAME:
        return step_of(source, inputs[0])
    if node.op_type == "PRelu":
        first = step_of(source, inputs[0])
        return min(first, first * step_of(source, inputs[1]))
    if node.op_type in SUMS:
        return min(step_of(source, name) for name in inputs)
    if node.op_type in PRODUCTS:
        product = step_of(source, inputs[0]) * step_of(source, inputs[1])
        return min([product, *(step_of(source, name) for name in inputs[2:])])
    return None
