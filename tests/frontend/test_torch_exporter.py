"""What torch's own exporter writes of fake-quantized networks, the form of its QAT and of PT2E."""

import io
import warnings

import numpy as np
import onnx
import pytest

from hwgen.frontend import load_model
from hwgen.frontend.execute import execute
from tests.frontend.equality import integer_outputs, kinds
from tests.frontend.qdq_models import onnxruntime_outputs

pytestmark = pytest.mark.torch


def exported(network, frames, opset=17):
    """Write the network as TorchScript's exporter does."""
    import torch

    file = io.BytesIO()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of torch, about its own exporter
        options = {"opset_version": opset, "dynamo": False, "input_names": ["x"]}
        free = {"dynamic_axes": {"x": {0: "frames"}}}
        torch.onnx.export(network.eval(), (torch.from_numpy(frames),), file, **options, **free)
    return onnx.load_from_string(file.getvalue())


def activation(scale, zero=0):
    import torch
    from torch import nn

    class FakeQuantize(nn.Module):
        def forward(self, x):
            return torch.fake_quantize_per_tensor_affine(x, scale, zero, -128, 127)

    return FakeQuantize()


def quantized(layer):
    """A layer whose weights have a power-of-two scale for each output channel."""
    import torch
    from torch.nn.utils import parametrize

    class PerChannel(torch.nn.Module):
        def forward(self, w):
            axis = 1 if isinstance(layer, torch.nn.ConvTranspose2d) else 0
            scale = 2.0 ** (-7.0 - torch.arange(w.shape[axis]) % 3)
            zero = torch.zeros(w.shape[axis], dtype=torch.int32)
            return torch.fake_quantize_per_channel_affine(w, scale, zero, axis, -128, 127)

    with torch.no_grad():
        layer.bias.copy_(torch.round(layer.bias * 64) / 64)
    parametrize.register_parametrization(layer, "weight", PerChannel())
    return layer


def networks():
    import torch
    from torch import nn

    torch.manual_seed(0)
    conv = nn.Sequential(
        activation(0.0625, 3),
        quantized(nn.Conv2d(3, 8, 3, padding=1)),
        nn.ReLU(),
        activation(0.03125, -128),
        nn.MaxPool2d(2),
        quantized(nn.Conv2d(8, 8, 3, padding=1, groups=8)),
        nn.Hardswish(),
        activation(0.03125, -100),
        nn.AdaptiveAvgPool2d(1),
        activation(0.03125, -100),
        nn.Flatten(),
        quantized(nn.Linear(8, 5)),
        activation(0.0625),
    )
    upsampling = nn.Sequential(
        activation(0.0625, 3),
        quantized(nn.ConvTranspose2d(3, 4, 4, stride=2, padding=1)),
        nn.SiLU(),
        activation(0.03125, -100),
        quantized(nn.Conv2d(4, 8, 3, padding=1)),
        activation(0.0625),
        nn.PixelShuffle(2),
        nn.LeakyReLU(0.125),
        activation(0.0625, -20),
    )
    functions = nn.Sequential(
        activation(0.0625, 3),
        nn.GELU(),
        activation(0.03125, -90),
        nn.Mish(),
        activation(0.03125, -90),
        nn.GELU(approximate="tanh"),
        activation(0.03125, -90),
        nn.Softplus(),
        activation(0.03125, -90),
    )
    return {"conv": conv, "upsampling": upsampling, "functions": functions}


@pytest.mark.parametrize("name", ["conv", "upsampling", "functions"])
def test_equal_to_onnxruntime(rng, name):
    frames = (rng.integers(-80, 81, (4, 3, 8, 8)) / 32).astype(np.float32)
    model = exported(networks()[name], frames)
    ours, theirs = integer_outputs(model, frames), onnxruntime_outputs(model, frames)
    assert np.array_equal(ours.astype(np.float32), theirs)
    assert np.array_equal(execute(model, frames), theirs)
    wanted = {"conv": "depthwise", "upsampling": "depth_to_space", "functions": "elementwise"}
    assert wanted[name] in kinds(load_model(model))
