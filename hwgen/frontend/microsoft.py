"""ONNX Runtime's own quantized operators as DequantizeLinear, the operator, and QuantizeLinear.

Its quantizer writes them in the format QOperator, and such pairs of 4 and 16 bits in its domain.

Source: https://github.com/microsoft/onnxruntime/blob/main/docs/ContribOperators.md
"""

from __future__ import annotations

from onnx import ModelProto, NodeProto, TensorProto, helper

DOMAIN = "com.microsoft"
# The same operator in ONNX's own domain.
RENAMED = frozenset({"QuantizeLinear", "DequantizeLinear"})
# Tensor, scale and zero point of each input, then scale and zero point of the output.
TERMS = {"QLinearAdd": ("Add", 2)}
SINGLE = {
    "QLinearAveragePool": "AveragePool",
    "QLinearGlobalAveragePool": "GlobalAveragePool",
    "QLinearLeakyRelu": "LeakyRelu",
    "QLinearReduceMean": "ReduceMean",
    "QLinearSigmoid": "Sigmoid",
    "QLinearSoftmax": "Softmax",
}
OPERATORS = RENAMED | TERMS.keys() | SINGLE.keys() | {"QLinearConcat"}
DROPPED = frozenset({"channels_last", "opset"})


def without_microsoft(model: ModelProto) -> ModelProto:
    """Replace the operators above in `model`, which is changed."""
    if not any(n.domain == DOMAIN and n.op_type in OPERATORS for n in model.graph.node):
        return model
    taken = {name for node in model.graph.node for name in (*node.input, *node.output)}
    prefix = "microsoft"
    while any(name.startswith(prefix) for name in taken):
        prefix += "_"
    nodes: list[NodeProto] = []
    for index, node in enumerate(model.graph.node):
        nodes += _nodes(node, f"{prefix}_{index}")
    del model.graph.node[:]
    model.graph.node.extend(nodes)
    return model


def _nodes(node: NodeProto, prefix: str) -> list[NodeProto]:
    if node.domain != DOMAIN or node.op_type not in OPERATORS or _channels_last(node):
        return [node]
    if node.op_type in RENAMED:
        plain = NodeProto()
        plain.CopyFrom(node)
        plain.domain = ""
        return [plain]
    if node.op_type == "QLinearConcat":
        kind, output, inputs = "Concat", list(node.input[:2]), list(node.input[2:])
    else:
        kind, terms = TERMS.get(node.op_type, (SINGLE.get(node.op_type, ""), 1))
        inputs, output = list(node.input[: 3 * terms]), list(node.input[3 * terms :])
    if len(inputs) % 3 or not inputs or not 1 <= len(output) <= 2:
        return [node]
    made = [
        helper.make_node("DequantizeLinear", inputs[k : k + 3], [f"{prefix}_real{k // 3}"])
        for k in range(0, len(inputs), 3)
    ]
    inner = NodeProto(op_type=kind, name=node.name)
    inner.input.extend(each.output[0] for each in made)
    inner.output.append(f"{prefix}_result")
    inner.attribute.extend(a for a in node.attribute if a.name not in DROPPED)
    before: list[NodeProto] = []
    result = inner.output[0]
    if node.op_type == "QLinearAdd" and len(output) == 2:
        result, output[1], before = _moved(prefix, result, output)
    last = helper.make_node(
        "QuantizeLinear", [result, *output], list(node.output), f"{node.name}.quant"
    )
    return [*made, inner, *before, last]


def _moved(prefix: str, result: str, output: list[str]) -> tuple[str, str, list[NodeProto]]:
    """Add the zero point before rounding, as onnxruntime's sum does: ties to even then differ."""
    scale, zero = output
    names = [f"{prefix}_{part}" for part in ("zero", "offset", "moved", "none")]
    nodes = [
        helper.make_node("Cast", [zero], [names[0]], to=TensorProto.FLOAT),
        helper.make_node("Mul", [names[0], scale], [names[1]]),
        helper.make_node("Add", [result, names[1]], [names[2]]),
        helper.make_node("Sub", [zero, zero], [names[3]]),
    ]
    return names[2], names[3], nodes


def _channels_last(node: NodeProto) -> bool:
    return any(a.name == "channels_last" and a.i for a in node.attribute)
