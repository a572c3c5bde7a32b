"""`hwgen check --samples`: differences from the float execution are counted and explained."""

import json

import numpy as np
import onnx
import pytest
from typer.testing import CliRunner

from hwgen.cli import app
from hwgen.commands.check_samples import compare, read_frames
from hwgen.errors import HwgenError
from hwgen.frontend.execute import execute
from hwgen.frontend.explain import explain
from hwgen.passes import PASSES, run_passes
from tests.frontend.qdq_models import Linear, QdqBuilder, convolution

IMAGE = (2, 6, 6)


def saved(tmp_path, model):
    onnx.save(model, tmp_path / "net.onnx")
    return tmp_path / "net.onnx"


def network(rng, scales):
    """Two convolutions and a residual sum."""
    b = QdqBuilder(("N", *IMAGE))
    x = b.pair("x", Linear(scales[0], 3))
    left = b.pair(convolution(b, rng, x, scales[1], scales[0], outputs=2), Linear(scales[2], -7))
    right = b.pair(convolution(b, rng, x, scales[3], scales[0], outputs=2), Linear(scales[4], 5))
    y = b.node("Relu", b.node("Add", left, right))
    return b.model(b.pair(y, Linear(scales[5], -128)))


def test_dyadic_scales_agree(rng, tmp_path):
    path = saved(tmp_path, network(rng, (0.125, 2.0**-6, 0.5, 2.0**-5, 0.25, 0.5)))
    result = compare(path, explain(path), rng.normal(size=(70, *IMAGE)))
    assert (result.frames, result.codes, result.frames_that_differ) == (70, 70 * 72, 0)
    assert result.sentence() == (
        "0 of 5040 output codes differ from the float execution, in 0 of 70 frames"
    )


def test_free_scales_differ_at_ties(rng, tmp_path):
    """Decimal scales meet ties often: 0.1 * 0.05 / 0.2 is an integer over 40."""
    path = saved(tmp_path, network(rng, (0.1, 0.05, 0.2, 0.025, 0.3, 0.2)))
    frames = rng.normal(size=(60, *IMAGE)).astype(np.float32)
    explanation = explain(path)
    result = compare(path, explanation, frames)
    graph = run_passes(explanation.graph, PASSES)
    outputs = graph.dequantize(graph.evaluate(graph.inputs[0].quantize(frames)))
    wrong = np.abs(execute(path, frames) - outputs) > 0.01
    assert result.codes_that_differ == wrong.sum() > 0
    assert result.frames_that_differ == wrong.reshape(60, -1).any(1).sum()
    assert result.at_ties == result.frames_that_differ
    assert result.farthest < 1e-4
    assert "of these the first difference is a float32 rounding tie" in result.sentence()


def test_a_wrong_graph_is_not_called_a_tie(rng, tmp_path):
    """Another weight in the file that is executed: the differences are no ties."""
    model = network(rng, (0.1, 0.05, 0.2, 0.025, 0.3, 0.2))
    explanation = explain(saved(tmp_path, model))
    bias = next(t for t in model.graph.initializer if list(t.dims) == [2, 2, 3, 3])
    codes = onnx.numpy_helper.to_array(bias).copy()
    codes[0, 0, 1, 1] ^= 16
    bias.CopyFrom(onnx.numpy_helper.from_array(codes, bias.name))
    result = compare(saved(tmp_path, model), explanation, rng.normal(size=(9, *IMAGE)))
    assert result.frames_that_differ == 9
    assert result.at_ties == 0


def test_command(rng, tmp_path):
    path = saved(tmp_path, network(rng, (0.125, 2.0**-6, 0.5, 2.0**-5, 0.25, 0.5)))
    np.save(tmp_path / "frames.npy", rng.normal(size=(3, *IMAGE)))
    given = ["check", str(path), "--samples", str(tmp_path / "frames.npy")]
    result = CliRunner().invoke(app, given)
    assert result.exit_code == 0
    assert "0 of 216 output codes differ from the float execution" in result.stdout
    samples = json.loads(CliRunner().invoke(app, [*given, "--json"]).stdout)["samples"]
    assert samples["codes"] == 216


def test_frames_that_are_none(tmp_path):
    (tmp_path / "text.npy").write_text("no array")
    with pytest.raises(HwgenError, match=r"not a \.npy array of numbers"):
        read_frames(tmp_path / "text.npy")
    np.save(tmp_path / "words.npy", np.array(["a"]))
    with pytest.raises(HwgenError, match="expected one array of numbers"):
        read_frames(tmp_path / "words.npy")
