"""The shipped models: imported, lowered, and equal to two float executors on every image."""

from pathlib import Path

import numpy as np
import onnx
import pytest

from hwgen.frontend import load
from hwgen.frontend.execute import execute
from hwgen.ops.elementwise import Elementwise
from hwgen.passes import PASSES, run_passes
from tests.frontend.models import execute_with_qonnx

MODELS = Path(__file__).parents[2] / "examples" / "models"


@pytest.mark.parametrize("name", ["digits_fixed", "digits_khot", "digits_binary"])
def test_every_image(name):
    from sklearn.datasets import load_digits

    images = load_digits().data.astype(np.float32)
    path = MODELS / f"{name}.onnx"
    graph = load(path)
    lowered = run_passes(graph, PASSES)
    assert graph.name == name
    assert not any(isinstance(node.op, Elementwise) for node in lowered.nodes)
    codes = lowered.inputs[0].quantize(images)
    results = lowered.evaluate(codes)
    assert np.array_equal(results, graph.evaluate(codes))
    reference = execute(path, images)
    assert np.array_equal(lowered.dequantize(results), reference)
    assert np.array_equal(execute_with_qonnx(onnx.load(path), images), reference)
