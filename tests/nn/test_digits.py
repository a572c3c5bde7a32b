"""The digits example: goals reached, shipped files reproduced, runs from top to bottom."""

import importlib.util
import sys
from pathlib import Path

import numpy as np
import onnx
import pytest
import torch

import hwgen.nn as hnn
from hwgen import frontend

from .qonnx_execution import execute

pytestmark = pytest.mark.torch

EXAMPLES = Path(__file__).parents[2] / "examples"
GOALS = {"fixed": 0.96, "khot": 0.95, "binary": 0.90}


@pytest.fixture(scope="module")
def digits():
    specification = importlib.util.spec_from_file_location("digits", EXAMPLES / "digits.py")
    module = importlib.util.module_from_spec(specification)
    specification.loader.exec_module(module)
    return module


def test_a_fifth_is_held_out_and_nothing_is_in_both(digits):
    data = digits.load_data()
    assert (len(data.train_images), len(data.test_images)) == (1438, 359)
    again = digits.load_data()
    assert torch.equal(data.test_images, again.test_images)
    assert data.train_images.unique().tolist() == list(range(17))
    both = torch.cat([data.train_images, data.test_images]).unique(dim=0)
    assert len(both) == 1797


@pytest.mark.parametrize("network", GOALS)
def test_shipped_model_reaches_its_goal_outside_torch(digits, network):
    data = digits.load_data()
    path = EXAMPLES / "models" / f"digits_{network}.onnx"
    predicted = execute(path, data.test_images.numpy()).argmax(axis=1)
    assert (predicted == data.test_labels.numpy()).mean() >= GOALS[network]


def test_shipped_models_are_what_their_names_say():
    def fc2(network):
        graph = onnx.load(EXAMPLES / "models" / f"digits_{network}.onnx").graph
        stored = {tensor.name: onnx.numpy_helper.to_array(tensor) for tensor in graph.initializer}
        return (stored["fc2.weight"] / stored["fc2.weight_quant.scale"]).astype(int).ravel()

    assert set(fc2("binary").tolist()) == {-1, 1}
    magnitudes = {abs(code) for code in fc2("khot").tolist()}
    assert all((m ^ (3 * m)).bit_count() <= 2 for m in magnitudes)
    codes = fc2("fixed")
    assert codes.min() >= -32
    assert codes.max() <= 31
    assert len(set(codes.tolist())) > len(set(fc2("khot").tolist()))


@pytest.mark.parametrize("network", GOALS)
def test_training_reaches_the_goal_and_exports_exactly(digits, network, tmp_path):
    losses = []
    model, data = digits.train(network, seed=1, progress=lambda _, loss: losses.append(loss))
    assert len(losses) == digits.EPOCHS
    assert losses[-1] < losses[0] / 4
    assert digits.accuracy(model, data) >= GOALS[network]
    path = hnn.export(model, data.test_images, tmp_path / "model.onnx")
    with torch.no_grad():
        expected = model(data.test_images).numpy()
    assert (execute(path, data.test_images.numpy()) == expected).all()
    graph = frontend.load(path)
    codes = graph.evaluate(data.test_images.numpy().astype(np.int64))
    assert (graph.dequantize(codes) == expected).all()


def test_command_line_is_deterministic(digits, tmp_path, monkeypatch, capsys):
    files = []
    for name in ("first", "second"):
        out = tmp_path / name
        arguments = ["--network", "khot", "--epochs", "1", "--seed", "5", "--out", str(out)]
        monkeypatch.setattr(sys, "argv", ["digits.py", *arguments])
        digits.main()
        files.append((out / "digits_khot.onnx").read_bytes())
    assert files[0] == files[1]
    printed = capsys.readouterr().out
    assert "training seed 5" in printed
    assert "of 359 held-out images" in printed
