"""The digits example from end to end: torch, interpreter and Verilator give the same codes."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from hwgen.commands.build import build_model
from hwgen.commands.demo import load_example
from hwgen.frontend import load
from hwgen.nn import export
from hwgen.verify.regression import verify

pytestmark = [pytest.mark.torch, pytest.mark.sim]

CORNERS = 20


@pytest.mark.parametrize("network", ["fixed", "khot", "binary"])
def test_every_held_out_image_is_equal(network: str, tmp_path: Path) -> None:
    digits = load_example("digits")
    model, data = digits.train(network, seed=1, epochs=4)
    path = export(model, data.test_images, tmp_path / "digits.onnx")
    with torch.no_grad():
        expected = model(data.test_images).numpy()

    graph = load(path)
    images = graph.inputs[0].quantize(data.test_images.numpy())
    assert np.array_equal(graph.dequantize(graph.evaluate(images)), expected)

    build_model(path, tmp_path / "out", board="ultra96", target_fps=1e6)
    frames = len(images) + CORNERS
    result = verify(tmp_path / "out", frames=frames, samples=images)
    assert result.failures == ()
    assert result.mismatches == 0
    assert result.codes_compared >= len(images) * 10
    assert result.float_differences == 0


def test_example_writes_its_models(tmp_path: Path, capsys, monkeypatch) -> None:
    digits = load_example("digits")
    monkeypatch.setattr("sys.argv", ["digits.py", "--epochs", "1", "--out", str(tmp_path)])
    digits.main()
    assert {path.name for path in tmp_path.iterdir()} == {
        f"digits_{network}.onnx" for network in digits.NETWORKS
    }
    assert "held-out images" in capsys.readouterr().out
