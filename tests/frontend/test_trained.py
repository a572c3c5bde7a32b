"""Networks of hwgen.nn layers, exported: the file, the graph and the operators are equal."""

import numpy as np
import onnx
import pytest

from hwgen.frontend import load
from hwgen.frontend.execute import execute
from hwgen.passes import PASSES, run_passes
from hwgen.verify.golden import exact_scales, execute_model, golden
from tests.frontend.equality import kinds

pytestmark = pytest.mark.torch


def residual_network():
    import torch
    from torch import nn

    import hwgen.nn as hnn

    act = hnn.FixedPointConfig(4, signed=False)

    class Block(nn.Module):
        def __init__(self, inputs, outputs, stride):
            super().__init__()
            self.conv1 = hnn.Conv2d(
                inputs, outputs, 3, stride=stride, padding=1, bias=False, output=None
            )
            self.bn1 = hnn.BatchNorm2d(outputs, output=None)
            self.act1 = hnn.ReLU(output=act)
            self.conv2 = hnn.Conv2d(outputs, outputs, 3, padding=1, bias=False, output=None)
            self.bn2 = hnn.BatchNorm2d(outputs)
            self.shortcut = nn.Identity()
            if stride > 1 or inputs != outputs:
                self.shortcut = hnn.Conv2d(inputs, outputs, 1, stride=stride)
            self.add = hnn.Add(output=None)
            self.act2 = hnn.ReLU(output=act)

        def forward(self, x):
            y = self.bn2(self.conv2(self.act1(self.bn1(self.conv1(x)))))
            return self.act2(self.add(y, self.shortcut(x)))

    torch.manual_seed(0)
    return nn.Sequential(
        hnn.Identity(output=hnn.FixedPointConfig(6)),
        Block(3, 4, 1),
        Block(4, 6, 2),
        hnn.AdaptiveAvgPool2d(1),
        hnn.Flatten(),
        hnn.Linear(6, 5, output=None),
    )


def vgg():
    import torch
    from torch import nn

    import hwgen.nn as hnn

    torch.manual_seed(1)
    bits = hnn.BinaryConfig()
    return nn.Sequential(
        hnn.Sign(),
        hnn.Conv2d(3, 8, 3, padding=1, bias=False, weight=bits, output=None),
        hnn.BatchNorm2d(8, output=None),
        hnn.MaxPool2d(2),
        hnn.Sign(),
        hnn.Conv2d(8, 4, 3, bias=False, weight=bits, output=None),
        hnn.BatchNorm2d(4, output=None),
        hnn.Sign(),
        hnn.Flatten(),
        hnn.Linear(16, 5, weight=bits, output=None),
    )


def mobile():
    import torch
    from torch import nn

    import hwgen.nn as hnn

    torch.manual_seed(2)
    four = hnn.FixedPointConfig(4)
    small = {"weight": four, "output": four}
    return nn.Sequential(
        hnn.Identity(output=four),
        hnn.Conv2d(3, 6, 3, padding=1, groups=3, **small),
        hnn.AvgPool2d(2, output=four),
        hnn.Conv2d(6, 6, 3, padding=1, groups=6, **small),
        hnn.PReLU(output=four),
        hnn.Upsample(scale_factor=2),
        hnn.Conv2d(6, 2, 1, weight=four, output=None),
    )


@pytest.mark.parametrize("network", [residual_network, vgg, mobile])
def test_network(network, tmp_path, rng):
    import torch

    import hwgen.nn as hnn

    model = network()
    frames = torch.from_numpy(rng.integers(-16, 17, (12, 3, 8, 8)).astype(np.float32) / 8)
    model(frames)  # the running statistics of the normalizations
    path = hnn.export(model, frames, tmp_path / "net.onnx")
    expected = model.eval()(frames).detach().numpy()
    graph = run_passes(load(path), PASSES)
    codes = graph.inputs[0].quantize(frames.numpy())
    outputs = graph.dequantize(graph.evaluate(codes))
    assert outputs.shape == expected.shape
    assert np.array_equal(outputs, expected)
    assert np.array_equal(outputs, execute(onnx.load(path), frames.numpy()))
    if exact_scales(graph):
        result = golden(graph, codes, path, execute_model)
        assert result.float_differences == 0
    assert "sliding_window" in kinds(graph)
