"""The independent executor of channels-last files: qonnx, with an AveragePool for its domain."""

import numpy as np
from onnx import ModelProto
from qonnx.core.modelwrapper import ModelWrapper
from qonnx.core.onnx_exec import execute_onnx
from qonnx.custom_op.channels_last.max_pool import MaxPool_v1
from qonnx.custom_op.registry import add_op_to_domain


class AveragePool_v11(MaxPool_v1):
    """qonnx wraps Conv, MaxPool and BatchNormalization; its wrapper runs any such node.

    It reads operator and version from the name of the class.
    """


add_op_to_domain("qonnx.custom_op.channels_last", AveragePool_v11)


def execute_channels_last(model: ModelProto, frames: np.ndarray) -> np.ndarray:
    """Return the outputs for float32 `frames`; qonnx wants the batch size in every shape."""
    given = ModelProto()
    given.CopyFrom(model)
    for value in [*given.graph.input, *given.graph.output, *given.graph.value_info]:
        for dimension in value.type.tensor_type.shape.dim:
            if dimension.dim_param == "N":
                dimension.dim_value = len(frames)
    name = given.graph.input[0].name
    (output,) = execute_onnx(ModelWrapper(given), {name: frames}).values()
    return output
