"""QONNX's channels-last wrappers as the plain nodes they wrap, between two Transposes.

Its ConvertToChannelsLast writes them; a Conv has its weights channels last too.

Source: https://github.com/fastmachinelearning/qonnx/tree/main/src/qonnx/custom_op/channels_last
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from onnx import GraphProto, ModelProto, NodeProto, helper

DOMAIN = "qonnx.custom_op.channels_last"
WRAPPED = frozenset({"AveragePool", "BatchNormalization", "Conv", "MaxPool"})


def without_channels_last(model: ModelProto) -> ModelProto:
    """Replace the wrappers above in `model`, which is changed."""
    graph = model.graph
    if not any(node.domain == DOMAIN and node.op_type in WRAPPED for node in graph.node):
        return model
    taken = {name for node in graph.node for name in (*node.input, *node.output)}
    prefix = "channels_last"
    while any(name.startswith(prefix) for name in taken):
        prefix += "_"
    ranks = _ranks(graph)
    nodes: list[NodeProto] = []
    for index, node in enumerate(graph.node):
        nodes += _nodes(node, f"{prefix}_{index}", ranks)
    del graph.node[:]
    graph.node.extend(nodes)
    return model


def _ranks(graph: GraphProto) -> Mapping[str, int]:
    """Return how many axes the tensors have, as far as the file says so or a kernel shows it."""
    ranks = {
        value.name: len(value.type.tensor_type.shape.dim)
        for value in (*graph.input, *graph.value_info, *graph.output)
        if value.type.tensor_type.HasField("shape")
    }
    ranks |= {tensor.name: len(tensor.dims) for tensor in graph.initializer}
    for node in graph.node:
        sizes = [len(a.ints) for a in node.attribute if a.name == "kernel_shape"]
        known = sizes[0] + 2 if sizes else ranks.get(node.input[0] if node.input else "", 0)
        keeps = node.domain == DOMAIN or node.op_type in ("Quant", "Relu", "MultiThreshold")
        if known and keeps:
            for name in (*node.input[:1], *node.output):
                ranks.setdefault(name, known)
    return ranks


def _nodes(node: NodeProto, prefix: str, ranks: Mapping[str, int]) -> list[NodeProto]:
    rank = ranks.get(node.input[0], 0) if node.input else 0
    if node.domain != DOMAIN or node.op_type not in WRAPPED or rank not in (3, 4):
        return [node]
    if len(node.output) != 1:
        return [node]
    first = [0, rank - 1, *range(1, rank - 1)]  # where each axis of channels first comes from
    moved = 2 if node.op_type == "Conv" else 1
    inner = NodeProto()
    inner.CopyFrom(node)
    inner.domain = ""
    before = []
    for k in range(min(moved, len(node.input))):
        inner.input[k] = f"{prefix}_input{k}"
        before.append(_transpose(node.input[k], inner.input[k], first))
    inner.output[0] = f"{prefix}_output"
    after = _transpose(inner.output[0], node.output[0], [0, *range(2, rank), 1])
    return [*before, inner, after]


def _transpose(given: str, result: str, axes: Sequence[int]) -> NodeProto:
    return helper.make_node("Transpose", [given], [result], f"{result}_transposed", perm=axes)
