"""The shipped networks: the graph of integers equals two float executors on every number."""

from pathlib import Path

import numpy as np
import pytest

from hwgen.frontend import load
from hwgen.frontend.execute import execute
from hwgen.passes import PASSES, run_passes
from tests.nn.qonnx_execution import execute as execute_with_qonnx

MODELS = Path(__file__).parents[2] / "examples" / "models"
# Name -> frames; tests/frontend/test_examples.py has the three of digits.py on every image.
FRAMES = {
    "cifar10_cnv_w1a1": 2,
    "cifar10_resnet8": 4,
    "digits_conv": 40,
    "ecg_conv1d": 20,
    "mnist_bnn": 20,
}


def test_every_shipped_model_is_tested():
    assert {path.stem for path in MODELS.glob("*.onnx")} == {
        *FRAMES,
        "digits_binary",
        "digits_fixed",
        "digits_khot",
    }


@pytest.mark.torch  # qonnx comes with it
@pytest.mark.parametrize("name", FRAMES)
def test_a_shipped_model_is_equal(name, rng):
    path = MODELS / f"{name}.onnx"
    graph = run_passes(load(path), PASSES)
    (given,) = graph.inputs
    codes = given.type.codes
    shape = (FRAMES[name], *onnx_shape(path))
    inputs = (rng.integers(codes.lo, codes.hi + 1, shape) * given.scale).astype(np.float32)
    results = graph.dequantize(graph.evaluate(given.quantize(inputs)))
    assert np.array_equal(results, execute_with_qonnx(path, inputs))
    assert np.array_equal(results, execute(path, inputs))
    assert len({row.tobytes() for row in results}) > 1  # it looks at its input


def onnx_shape(path):
    """Return the shape of the model's input without the frames."""
    import onnx

    kind = onnx.load(path).graph.input[0].type.tensor_type
    return [axis.dim_value for axis in kind.shape.dim][1:]
