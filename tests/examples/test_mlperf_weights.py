"""The loader of MLPerf's int8 weights: its float network is what the QDQ file dequantizes to."""

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from onnx import TensorProto, helper, numpy_helper

pytestmark = pytest.mark.torch


class Builder:
    """Writes Conv and MatMul with int8 weights behind DequantizeLinear, as tf2onnx does."""

    def __init__(self, rng):
        self.rng, self.nodes, self.initializers = rng, [], []

    def constant(self, array):
        name = f"c{len(self.initializers)}"
        self.initializers.append(numpy_helper.from_array(array, name))
        return name

    def node(self, kind, *inputs, **attributes):
        name = f"t{len(self.nodes)}"
        self.nodes.append(helper.make_node(kind, [*inputs], [name], **attributes))
        return name

    def dequantized(self, shape, kind=np.int8, scale=0.01, per_channel=True):
        codes = self.rng.integers(-100, 100, shape).astype(kind)
        sizes = shape[0] if per_channel else ()
        scales = self.rng.uniform(scale / 2, scale, sizes).astype(np.float32)
        zeros = np.zeros(sizes, kind)
        names = [self.constant(np.asarray(array)) for array in (codes, scales, zeros)]
        return self.node("DequantizeLinear", *names, axis=0)

    def conv(self, x, outputs, inputs, size=3, stride=1, scale=0.01):
        weight = self.dequantized((outputs, inputs, size, size), scale=scale)
        bias = self.dequantized((outputs,), np.int32)
        begin = 0 if size == 1 or stride == 2 else 1
        pads = [begin, begin, int(size > 1), int(size > 1)]
        return self.node("Conv", x, weight, bias, pads=pads, strides=[stride] * 2)

    def model(self, result):
        value = helper.make_tensor_value_info
        graph = helper.make_graph(
            self.nodes,
            "resnet8",
            [value("image", TensorProto.FLOAT, ["N", 3, 32, 32])],
            [value(result, TensorProto.FLOAT, ["N", 10])],
            initializer=self.initializers,
        )
        return helper.make_model(graph, ir_version=8, opset_imports=[helper.make_opsetid("", 13)])


def write_resnet8(path, rng):
    b = Builder(rng)
    x = b.node("Relu", b.conv("image", 16, 3, scale=0.0001))
    inner = b.conv(b.node("Relu", b.conv(x, 16, 16)), 16, 16)
    x = b.node("Relu", b.node("Add", x, inner))
    for inputs, outputs in ((16, 32), (32, 64)):
        around = b.conv(x, outputs, inputs, size=1, stride=2)  # in the file before the others
        inner = b.node("Relu", b.conv(x, outputs, inputs, stride=2))
        x = b.node("Relu", b.node("Add", around, b.conv(inner, outputs, outputs)))
    x = b.node("AveragePool", x, kernel_shape=[8, 8], strides=[8, 8])
    x = b.node("Reshape", x, b.constant(np.array([-1, 64])))
    x = b.node("MatMul", x, b.dequantized((64, 10), per_channel=False))
    onnx.save(b.model(b.node("Add", x, b.dequantized((10,), np.int32, per_channel=False))), path)


def test_float_network_is_that_of_the_file(example, rng, tmp_path):
    module = example("cifar10_resnet8")
    path = tmp_path / "resnet8_int8.onnx"
    write_resnet8(path, rng)
    images = rng.integers(0, 256, (3, 3, 32, 32), dtype=np.uint8)
    options = onnxruntime.SessionOptions()
    # Its optimizations would make integer products of what the file says in floats.
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
    (expected,) = session.run(None, {"image": images.astype(np.float32)})
    with torch.no_grad():
        scores = module.load_mlperf(path)(module.pixels(torch.from_numpy(images)))
    tolerance = float(np.abs(expected).max()) * 1e-4  # floats on both sides
    torch.testing.assert_close(scores, torch.from_numpy(expected), rtol=0, atol=tolerance)


def test_another_network_is_refused(example, rng, tmp_path):
    b = Builder(rng)
    x = b.node("Reshape", b.conv("image", 8, 3), b.constant(np.array([-1, 64])))
    x = b.node("MatMul", x, b.dequantized((64, 10), per_channel=False))
    x = b.node("Add", x, b.dequantized((10,), np.int32, per_channel=False))
    path = tmp_path / "other.onnx"
    onnx.save(b.model(x), path)
    module = example("cifar10_resnet8")
    with pytest.raises(example("public_data").DataError, match="expected MLPerf Tiny's ResNet-8"):
        module.load_mlperf(path)
