"""MultiThreshold and Trunc, held to the qonnx package's own implementations."""

import numpy as np
import pytest
from qonnx.custom_op.general.floatquant import float_quant
from qonnx.custom_op.general.multithreshold import multithreshold
from qonnx.custom_op.general.trunc import trunc_v1, trunc_v2

from hwgen.errors import FrontendError
from hwgen.frontend import load_model
from hwgen.frontend.execute import execute
from tests.frontend.equality import integer_outputs
from tests.frontend.models import QONNX, Builder, grid_frames


def quantized_input(frames, scale=0.25):
    return (np.clip(np.round(frames / scale), -8, 7) * scale).astype(np.float32)


def with_node(b, op_type, *inputs, **attributes):
    y = b.node(op_type, *inputs, **attributes)
    b.nodes[-1].domain = QONNX
    return y


@pytest.mark.parametrize("per_channel", [False, True])
@pytest.mark.parametrize("layout", ["", "NCHW", "NHWC"])
def test_multi_threshold(rng, per_channel, layout):
    b = Builder(("N", 3, 4, 3))
    x = b.quant("x")
    x = b.node("Transpose", x, perm=[0, 2, 3, 1]) if layout == "NHWC" else x
    table = np.sort(rng.integers(-9, 9, (3 if per_channel else 1, 5)) / 4 + 0.125, axis=1)
    table[0, 0] = 0.25  # a number that is reached exactly
    table = np.sort(table, axis=1)
    attributes = {"out_scale": 0.5, "out_bias": -1.0, "out_dtype": "INT4"}
    attributes |= {"data_layout": layout} if layout else {}
    y = with_node(b, "MultiThreshold", x, b.constant(table), **attributes)
    frames = grid_frames(rng, (3, 4, 3))
    given = quantized_input(frames)
    given = given.transpose(0, 2, 3, 1) if layout == "NHWC" else given
    wanted = multithreshold(given, table.astype(np.float32), 0.5, -1.0, layout == "NHWC")
    assert np.array_equal(integer_outputs(b.model(y), frames), wanted)
    assert np.array_equal(execute(b.model(y), frames), wanted)


@pytest.mark.parametrize("mode", ["FLOOR", "ROUND", "CEIL", "HALF_UP"])
@pytest.mark.parametrize("version", [1, 2])
def test_trunc(rng, mode, version):
    b = Builder(("N", 6))
    x = b.quant("x")
    numbers = [0.25, 0, 4, 2] if version == 1 else [0.25, 0, 4, 1.0, 2]
    more = {} if version == 1 else {"signed": 1, "narrow": 0}
    y = with_node(b, "Trunc", x, *map(b.constant, numbers), rounding_mode=mode, **more)
    frames = grid_frames(rng, (6,))
    given = quantized_input(frames)
    if version == 1:
        wanted = trunc_v1(given, 0.25, 0, 4, 2, mode)
    else:
        width = np.array(2.0)
        wanted = trunc_v2(given, 0.25, 0, np.array(4.0), False, True, 1.0, width, mode)
    assert np.array_equal(integer_outputs(b.model(y), frames), wanted)
    assert np.array_equal(execute(b.model(y), frames), wanted)


def refusal(model):
    with pytest.raises(FrontendError) as caught:
        load_model(model)
    return str(caught.value)


def test_refusals():
    b = Builder()
    y = with_node(b, "MultiThreshold", b.quant("x"), b.constant([[0.0]]), out_bias=0.3)
    assert "out_bias that is a multiple of it, got 1 and 0.3" in refusal(b.model(y))
    b = Builder()
    y = with_node(b, "Trunc", b.quant("x", 0.5), *map(b.constant, [0.25, 0, 4, 2]))
    assert "expected codes of a quantizer with scale 0.25" in refusal(b.model(y))
    b = Builder()
    y = with_node(b, "FloatQuant", b.quant("x"), *map(b.constant, [1.0, 4, 3, 7, 240]))
    assert "expected constant weights, got an activation" in refusal(b.model(y))
    b = Builder()
    numbers = map(b.constant, [1.0, 8, 7, 127, 1e30])
    w = with_node(
        b, "FloatQuant", b.constant(np.full((4, 1), [1e-9]) ** [[1], [0], [2], [0]]), *numbers
    )
    message = refusal(b.model(b.node("MatMul", b.quant("x"), w)))
    assert "expected minifloat weights that 18 bits of fixed point hold, got" in message


@pytest.mark.parametrize("mode", ["ROUND", "CEIL", "FLOOR"])
def test_float_quant_of_weights(rng, mode):
    """FP8 with 4 bits of exponent: each weight is a multiple of 2**-9."""
    real = rng.normal(size=(4, 3)).astype(np.float32)
    numbers = (0.5, 4, 3, 7, 448)
    b = Builder()
    w = with_node(b, "FloatQuant", b.constant(real), *map(b.constant, numbers), rounding_mode=mode)
    frames = grid_frames(rng, (4,))
    model = b.model(b.node("MatMul", b.quant("x"), w))
    outputs = integer_outputs(model, frames)
    assert np.array_equal(execute(model, frames), outputs)
    arrays = [np.float32(number) for number in numbers]
    wanted = float_quant(real, *arrays[:4], True, arrays[4], rounding_mode=mode)
    assert np.array_equal(outputs, quantized_input(frames) @ wanted.astype(np.float32))
