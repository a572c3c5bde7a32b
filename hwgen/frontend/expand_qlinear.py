"""QLinearConv and QLinearMatMul as the simpler nodes that define them, for the executor.

onnx's own evaluator adds the zero point before it rounds, so that ties of odd zero points go the
other way than the specification and onnxruntime have them.

Source: https://onnx.ai/onnx/operators/onnx__QLinearConv.html, onnx__QuantizeLinear.html
"""

from __future__ import annotations

import numpy as np
from onnx import AttributeProto, ModelProto, NodeProto, TensorProto, helper, numpy_helper

QLINEAR = {"QLinearConv": "ConvInteger", "QLinearMatMul": "MatMulInteger"}


def expanded(model: ModelProto) -> ModelProto:
    """Return `model` with integer products, float32 factors and QuantizeLinear."""
    if not any(node.op_type in QLINEAR for node in model.graph.node):
        return model
    result = ModelProto()
    result.CopyFrom(model)
    del result.graph.node[:]
    names = {name for node in model.graph.node for name in (*node.input, *node.output)}
    prefix = "expanded"
    while any(name.startswith(prefix) for name in names):
        prefix += "_"
    one = numpy_helper.from_array(np.ones((), dtype=np.float32), f"{prefix}_one")
    result.graph.initializer.append(one)
    ranks = {tensor.name: len(tensor.dims) for tensor in model.graph.initializer}
    for index, node in enumerate(model.graph.node):
        if node.op_type not in QLINEAR or node.domain not in ("", "ai.onnx"):
            result.graph.node.append(node)
            continue
        rank = ranks.get(node.input[3], 4) if node.op_type == "QLinearConv" else 0
        result.graph.node.extend(_nodes(node, f"{prefix}_{index}", f"{prefix}_one", rank))
    return result


def _nodes(node: NodeProto, prefix: str, one: str, rank: int) -> list[NodeProto]:
    """Return the nodes for one; channels are on axis 1 of `rank` axes, or the last if rank is 0."""
    x, x_scale, x_zero, w, w_scale, w_zero, y_scale, y_zero, *bias = node.input
    integer = NodeProto(op_type=QLINEAR[node.op_type], name=f"{prefix}_sums")
    integer.input.extend([x, w, x_zero, w_zero])
    integer.output.append(f"{prefix}_sums")
    integer.attribute.extend(node.attribute)
    made, sums = [integer], f"{prefix}_sums"

    def channels(name: str) -> str:
        if rank == 0:
            return name
        made.append(_constant([-1, *(1,) * (rank - 2)], f"{name}_{prefix}_shape"))
        output = f"{name}_{prefix}_channels"
        made.append(helper.make_node("Reshape", [name, made[-1].output[0]], [output]))
        return output

    if bias and bias[0]:
        made.append(helper.make_node("Add", [sums, channels(bias[0])], [f"{prefix}_biased"]))
        sums = f"{prefix}_biased"
    made += [
        helper.make_node("Mul", [x_scale, w_scale], [f"{prefix}_scales"]),
        helper.make_node("Div", [f"{prefix}_scales", y_scale], [f"{prefix}_factor"]),
        helper.make_node("Cast", [sums], [f"{prefix}_real"], to=TensorProto.FLOAT),
    ]
    factor = channels(f"{prefix}_factor")
    scaled = f"{prefix}_scaled"
    return [
        *made,
        helper.make_node("Mul", [f"{prefix}_real", factor], [scaled]),
        helper.make_node("QuantizeLinear", [scaled, one, y_zero], list(node.output), node.name),
    ]


def _constant(values: list[int], name: str) -> NodeProto:
    node = NodeProto(op_type="Constant", output=[name])
    value = AttributeProto(name="value", type=AttributeProto.TENSOR)
    value.t.CopyFrom(numpy_helper.from_array(np.array(values, dtype=np.int64), name))
    node.attribute.append(value)
    return node
