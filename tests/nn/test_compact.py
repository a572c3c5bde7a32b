"""Weights of a byte each: the same numbers in every executor, in a quarter of the file."""

import onnx
import pytest
import torch
from torch import nn

import hwgen.nn as hnn
from hwgen.nn import Group, Scale

from .equality import assert_equal_everywhere

pytestmark = pytest.mark.torch


def network(weight):
    return nn.Sequential(
        hnn.Identity(output=hnn.FixedPointConfig(4, frac=1)),
        hnn.Conv2d(3, 40, 3, padding=1, bias=False, weight=weight),
        hnn.BatchNorm2d(40),
        hnn.ReLU(output=hnn.FixedPointConfig(4, signed=False)),
        hnn.AvgPool2d(4, output=hnn.FixedPointConfig(4, signed=False)),
        hnn.Flatten(),
        hnn.Linear(40, 30, weight=weight, output=hnn.FixedPointConfig(8)),
    )


def written(weight, folder):
    torch.manual_seed(0)
    model, x = network(weight), torch.randn(3, 3, 4, 4) * 2
    model(x)
    assert_equal_everywhere(model, x, folder)
    plain = (folder / "model.onnx").stat().st_size
    outputs, _, file = assert_equal_everywhere(model, x, folder, compact=True)
    assert len(set(outputs.ravel().tolist())) > 10
    kinds = {t.name: t.data_type for t in file.graph.initializer if "weight" in t.name}
    return file, kinds, plain - (folder / "model.onnx").stat().st_size


@pytest.mark.parametrize(
    "weight",
    [
        hnn.FixedPointConfig(6),
        hnn.FixedPointConfig(8, per_channel=True),
        hnn.FixedPointConfig(6, frac=0),
        hnn.KHotConfig(8, k=1),
        hnn.BinaryConfig(),
        hnn.BinaryConfig(scale=Scale.POWER_OF_TWO),
        hnn.BinaryConfig(scale=Scale.FREE),
        hnn.TernaryConfig(scale=Scale.FREE),
        hnn.LearnedWidthConfig(6, Group.INPUT_CHANNEL),
        hnn.ShiftConfig(3),
    ],
    ids=str,
)
def test_every_executor_reads_the_same_numbers(weight, tmp_path):
    _, kinds, saved = written(weight, tmp_path)
    for layer in ("1", "6"):
        assert kinds[f"{layer}.weight.codes"] == onnx.TensorProto.INT8
        assert f"{layer}.weight" not in kinds
    assert saved > 3 * (3 * 40 * 9 + 40 * 30) - 1600  # two nodes and their names remain


def test_whole_numbers_take_a_cast_alone(tmp_path):
    file, _, _ = written(hnn.BinaryConfig(), tmp_path)
    kinds = [node.op_type for node in file.graph.node if "weight" in node.name]
    assert kinds == ["Cast", "BipolarQuant", "Cast", "BipolarQuant"]


def test_numbers_that_no_byte_holds_stay(tmp_path):
    file, kinds, saved = written(hnn.FixedPointConfig(11), tmp_path)
    assert set(kinds.values()) == {onnx.TensorProto.FLOAT}
    assert saved == 0
    assert "Cast" not in {node.op_type for node in file.graph.node}
