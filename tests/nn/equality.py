"""One model, its executions: PyTorch in eval mode, the file in qonnx, the imported graph.

Where there is a GPU, PyTorch on it as well.
"""

import copy

import numpy as np
import onnx
import torch

import hwgen.nn as hnn
from hwgen import frontend

from .qonnx_execution import execute


def assert_equal_everywhere(model, x, folder, **options):
    """Every output is the same number in all of them; return outputs, graph and file."""
    path = hnn.export(model, x, folder / "model.onnx", **options)
    model.eval()
    with torch.no_grad():
        expected = model(x).numpy()
        if torch.cuda.is_available():
            assert (copy.deepcopy(model).cuda()(x.cuda()).cpu().numpy() == expected).all()
    found = execute(path, x.numpy())
    assert found.shape == expected.shape
    assert (found == expected).all()
    graph = frontend.load(path)
    real = graph.dequantize(graph.evaluate(graph.inputs[0].quantize(x.numpy())))
    assert real.shape == expected.shape
    # A free scale is a float64 number in the graph and was rounded to float32 in the others.
    assert (real.astype(np.float32) == expected).all()
    return expected, graph, onnx.load(path)
