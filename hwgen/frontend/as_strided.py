"""torch's as_strided of a whole tensor as the Reshape it is.

Exported with a batch of one, an adaptive average pool ends in it: a Reshape to one axis, batch and
all, and a Gather of every element in order.

Source: torch.onnx, the translation of aten.as_strided
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping

import numpy as np
from onnx import ModelProto, NodeProto, TensorProto, helper, numpy_helper

MAX_INDICES = 1 << 20


def without_as_strided(model: ModelProto) -> ModelProto:
    """Replace such pairs in `model`, which is changed."""
    graph = model.graph
    constants = {tensor.name: tensor for tensor in graph.initializer}
    batches = {dims[0].dim_value for v in graph.input if (dims := v.type.tensor_type.shape.dim)} - {
        0
    }
    reads = Counter(name for node in graph.node for name in node.input)
    reads.update(value.name for value in graph.output)
    flat: dict[str, NodeProto] = {}
    nodes: list[NodeProto] = []
    for node in graph.node:
        if _is_flat(node, constants) and reads[node.output[0]] == 1:
            flat[node.output[0]] = node
        source = flat.get(node.input[0]) if node.op_type == "Gather" and node.input else None
        shape = _shape_of_all(node, constants) if source is not None else None
        # With a batch of any size this would choose the first frame.
        if source is None or not shape or shape[0] not in batches:
            nodes.append(node)
            continue
        nodes.remove(source)
        name = f"{node.output[0]}.shape"
        while name in constants or reads[name]:
            name += "_"
        graph.initializer.append(numpy_helper.from_array(np.array(shape, dtype=np.int64), name))
        constants[name] = graph.initializer[-1]
        inputs = [source.input[0], name]
        nodes.append(helper.make_node("Reshape", inputs, list(node.output), node.name))
    if len(nodes) < len(graph.node):
        del graph.node[:]
        graph.node.extend(nodes)
    return model


def _is_flat(node: NodeProto, constants: Mapping[str, TensorProto]) -> bool:
    if node.op_type != "Reshape" or node.domain or len(node.input) != 2 or len(node.output) != 1:
        return False
    return _integers(constants.get(node.input[1])) == [-1]


def _shape_of_all(node: NodeProto, constants: Mapping[str, TensorProto]) -> list[int] | None:
    """Return the shape of a Gather's indices where these are 0, 1, 2, ... along axis 0."""
    if node.domain or len(node.input) != 2 or len(node.output) != 1:
        return None
    if any(a.name == "axis" and a.i for a in node.attribute):
        return None
    tensor = constants.get(node.input[1])
    indices = _integers(tensor)
    if tensor is None or not indices or indices != list(range(len(indices))):
        return None
    return list(tensor.dims)


def _integers(tensor: TensorProto | None) -> list[int] | None:
    """Return the integers of a small tensor; None where it holds something else."""
    if tensor is None or tensor.data_type != TensorProto.INT64 or min(tensor.dims, default=1) < 0:
        return None
    if np.prod(tensor.dims, dtype=float) > MAX_INDICES:
        return None
    try:
        return [int(k) for k in numpy_helper.to_array(tensor).ravel()]
    except (ValueError, TypeError):
        return None  # data that do not fill the shape: refused where it is read
