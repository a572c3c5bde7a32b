"""Borders of zeros: in the file a Pad, in hardware part of the windows that read it."""

import pytest
import torch
from torch import nn

import hwgen.nn as hnn
from hwgen import frontend
from hwgen.errors import FrontendError
from hwgen.passes import PASSES, run_passes

from .equality import assert_equal_everywhere
from .qonnx_execution import execute

pytestmark = pytest.mark.torch


def padded_on_one_side(axes):
    """As TensorFlow pads an even map for stride 2: none before, one behind."""
    if axes == 1:
        return [hnn.ZeroPad1d((0, 1)), hnn.Conv1d(4, 3, 3, 2)], torch.randn(3, 4, 8)
    return [hnn.ZeroPad2d((0, 1, 0, 1)), hnn.Conv2d(4, 3, 3, 2)], torch.randn(3, 4, 6, 8)


@pytest.mark.parametrize("axes", [1, 2])
def test_a_border_before_a_convolution_costs_no_hardware(axes, tmp_path):
    torch.manual_seed(7)
    layers, x = padded_on_one_side(axes)
    model = nn.Sequential(hnn.Identity(output=hnn.FixedPointConfig(4, frac=2)), *layers)
    model(x)
    expected, graph, file = assert_equal_everywhere(model, x, tmp_path)
    assert [node.op_type for node in file.graph.node].count("Pad") == 1
    assert "pad" in [node.op.name for node in graph.nodes]
    mapped = run_passes(graph, PASSES)
    assert "pad" not in [node.op.name for node in mapped.nodes]
    codes = mapped.evaluate(mapped.inputs[0].quantize(x.numpy()))
    assert (mapped.dequantize(codes).astype("float32") == expected).all()


def test_bits_take_no_zeros(tmp_path):
    """Zero is a third number beside -1 and +1: the file says it, the importer names it."""
    model = nn.Sequential(
        hnn.Sign(), hnn.ZeroPad2d(1), hnn.Conv2d(2, 2, 3, weight=hnn.FixedPointConfig(6))
    )
    x = torch.randn(2, 2, 4, 4)
    model(x)
    path = hnn.export(model, x, tmp_path / "model.onnx")
    assert (execute(path, x.numpy()) == model.eval()(x).detach().numpy()).all()
    with pytest.raises(FrontendError, match="one of the two numbers of a BipolarQuant"):
        frontend.load(path)
