"""A Softmax at the end of a classifier stays on the host: it keeps the order of the numbers.

The model's output becomes the Softmax's input, for the importer and for the executor alike, so that
`argmax` is the same and every output can be compared. Its quantizer goes with it.
"""

from __future__ import annotations

from onnx import ModelProto, TensorProto

FINAL = frozenset({"Softmax", "LogSoftmax"})
# What may follow it: these keep the order too, though they may make neighbours equal.
FOLLOWERS = frozenset(
    "BipolarQuant Cast DequantizeLinear Identity IntQuant Quant QuantizeLinear".split()
)


def without_final_softmax(model: ModelProto) -> ModelProto:
    """Let `model`, which is changed, end before a Softmax that only quantizers follow."""
    graph = model.graph
    makers = {name: node for node in graph.node for name in node.output}
    if len(graph.output) != 1:
        return model
    node = makers.get(graph.output[0].name)
    seen = 0
    while node is not None and node.op_type in FOLLOWERS and node.input and seen < len(graph.node):
        node, seen = makers.get(node.input[0]), seen + 1
    if node is None or node.op_type not in FINAL or node.domain not in ("", "ai.onnx"):
        return model
    if not node.input or node.input[0] not in makers:
        return model
    graph.output[0].name = node.input[0]
    graph.output[0].type.tensor_type.elem_type = TensorProto.FLOAT
    return model
