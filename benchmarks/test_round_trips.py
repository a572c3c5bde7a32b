"""Shipped models in other tools; needs the extra `peers`, so it is no part of `tests`.

pip install -e '.[all,dev,peers]'
pytest benchmarks/test_round_trips.py
"""

from __future__ import annotations

import numpy as np
import onnx
import pytest
import torch
from qonnx.core.modelwrapper import ModelWrapper
from qonnx.core.onnx_exec import execute_onnx

import hwgen.nn as hnn
from benchmarks.round_trips import MODELS, into_hls4ml
from hwgen.frontend.execute import execute

# Perceptrons; qonnx takes minutes to bring a convolution channels last, as hls4ml wants it.
LAYERS = {"digits_fixed": 9, "digits_khot": 9, "digits_binary": 8, "mnist_bnn": 9}
PATHS = [path for path in MODELS if path.stem in LAYERS]


def test_the_models_are_there() -> None:
    """All that are named above."""
    assert {path.stem for path in PATHS} == set(LAYERS)


@pytest.mark.parametrize("path", PATHS, ids=lambda path: path.stem)
def test_hls4ml_reads_it(path, tmp_path) -> None:
    """Its front end makes a graph of the file, all layers there."""
    assert into_hls4ml(path, tmp_path) == f"{LAYERS[path.stem]} layers"


def test_hls4ml_reads_convolutions(tmp_path) -> None:
    """Of a network as hwgen.nn exports it today, the bias an input of the Conv."""
    torch.manual_seed(0)
    weight, activation = hnn.FixedPointConfig(5), hnn.FixedPointConfig(5, signed=False)
    network = torch.nn.Sequential(
        hnn.Identity(output=hnn.FixedPointConfig(5, signed=False, frac=0)),
        hnn.Conv2d(1, 4, 3, padding=1, weight=weight),
        hnn.ReLU(output=activation),
        hnn.MaxPool2d(2),
        hnn.Conv2d(4, 6, 3, weight=weight),
        hnn.ReLU(output=activation),
        hnn.Flatten(),
        hnn.Linear(24, 10, weight=weight),
    )
    images = torch.randint(0, 32, (8, 1, 8, 8)).float()
    network(images)
    path = hnn.export(network.eval(), images, tmp_path / "network.onnx")
    assert into_hls4ml(path, tmp_path / "hls4ml") == "9 layers"


@pytest.mark.parametrize("path", PATHS, ids=lambda path: path.stem)
def test_qonnx_computes_the_same(path) -> None:
    """Bit for bit what hwgen's own executor computes, and its integers are held to."""
    model = ModelWrapper(onnx.load(path))
    name = model.graph.input[0].name
    shape = [size or 1 for size in model.get_tensor_shape(name)]
    model.set_tensor_shape(name, shape)
    rng = np.random.default_rng(0)
    for _ in range(4):
        frame = rng.integers(0, 17, shape).astype(np.float32)
        (given,) = execute_onnx(model, {name: frame}).values()
        assert np.array_equal(given, execute(path, frame))
