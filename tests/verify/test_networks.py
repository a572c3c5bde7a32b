"""Every shipped convolutional network as hardware: each code of a few frames, every promise."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

import hwgen
from hwgen.commands.run import load_graph, run_build

pytestmark = pytest.mark.sim

MODELS = Path(__file__).resolve().parents[2] / "examples" / "models"
# Small designs compile faster; benchmarks/networks.py builds the fast ones.
FRAMES_PER_SECOND = {"cifar10_cnv_w1a1": 1_000, "cifar10_resnet8": 1_500, "ecg_conv1d": 20_000}


@pytest.mark.parametrize("name", FRAMES_PER_SECOND)
def test_every_code_and_the_interval(name: str, tmp_path: Path) -> None:
    out = tmp_path / "build"
    manifest = hwgen.build(
        MODELS / f"{name}.onnx", out, board="ultra96", target_fps=FRAMES_PER_SECOND[name]
    )
    source = load_graph(out).inputs[0]
    codes = np.random.default_rng(0).choice(source.type.codes.codes(), (8, *source.frame_shape))
    np.save(tmp_path / "in.npy", (codes * source.scale).astype(np.float32))
    summary = run_build(out, tmp_path / "in.npy", tmp_path / "out.npy", engine="rtl", check=True)
    assert summary["check"]["mismatches"] == 0
    assert summary["check"]["codes_compared"] == np.load(tmp_path / "out.npy").size
    assert summary["measured_interval_cycles"] == manifest["interval_cycles"]


def test_cocotb_regression_of_a_convolutional_network(tmp_path: Path) -> None:
    out = tmp_path / "build"
    hwgen.build(MODELS / "digits_conv.onnx", out, board="ultra96", target_fps=100_000)
    result = hwgen.verify(out, frames=12)
    assert result.failures == ()
    assert result.mismatches == 0
