"""Files of public origin beside the checkout, if there are any: equal, or refused for cause.

Three of the six are float models, without any quantizer: hardware of integers cannot be made of
them, and the refusal says which tensors are meant.
"""

from pathlib import Path

import numpy as np
import onnx

from hwgen.commands.check_samples import compare
from hwgen.frontend.explain import explain
from hwgen.passes import PASSES, run_passes
from tests.frontend.models import execute_with_qonnx

PUBLIC = Path(__file__).parents[3] / "shared" / "models"
FLOAT = ("mnist-8", "qonnx_residual_block_clean", "qonnxtest_keras_conv2d")


def present(*names):
    return [path for name in names if (path := PUBLIC / f"{name}.onnx").exists()]


def test_float_models_are_refused_at_their_first_product():
    for path in present(*FLOAT):
        (problem,) = explain(path).problems
        assert "unquantized activation: expected an input that ends in a Quant" in problem
        assert "unquantized weights: expected integer codes, got float32" in problem


def test_binary_and_ternary_networks_of_brevitas(rng):
    """Every number of the output equals qonnx's; the file fixes a batch of one."""
    for path in present("TFC_1W1A", "TFC_2W2A"):
        explanation = explain(path)
        assert explanation.problems == ()
        graph = run_passes(explanation.graph, PASSES)
        model = onnx.load(path)
        for _ in range(8):
            frame = rng.random((1, *graph.inputs[0].frame_shape), dtype=np.float32)
            ours = graph.dequantize(graph.evaluate(graph.inputs[0].quantize(frame)))
            assert np.array_equal(ours.astype(np.float32), execute_with_qonnx(model, frame))


def test_resnet8_differs_at_rounding_ties_only(rng):
    """MLPerf Tiny's, quantized by ONNX Runtime with free scales."""
    for path in present("resnet8_int8"):
        explanation = explain(path)
        assert explanation.problems == ()
        frames = rng.integers(-128, 128, (6, *explanation.graph.inputs[0].frame_shape))
        result = compare(path, explanation, frames.astype(np.float32))
        assert result.codes == 60
        assert result.at_ties == result.frames_that_differ
