"""The independent executor: runs a file with the qonnx package, which knows nothing of hwgen."""

import numpy as np
import onnx
from qonnx.core.modelwrapper import ModelWrapper
from qonnx.core.onnx_exec import execute_onnx


def execute(path, inputs):
    """Return the outputs for float32 `inputs`; qonnx wants the batch size in every shape."""
    model = onnx.load(path)
    for value in [*model.graph.input, *model.graph.output, *model.graph.value_info]:
        for dimension in value.type.tensor_type.shape.dim:
            if dimension.dim_param == "N":
                dimension.dim_value = len(inputs)
    (output,) = execute_onnx(ModelWrapper(model), {"input": inputs}).values()
    assert output.dtype == np.float32
    return output
