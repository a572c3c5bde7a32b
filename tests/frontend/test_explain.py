"""What `hwgen check` shows: one row a node."""

import numpy as np
import onnx
import pytest

from hwgen.errors import FrontendError
from hwgen.frontend import supported_nodes
from hwgen.frontend.execute import execute
from hwgen.frontend.explain import explain
from tests.frontend.models import Builder


def saved(tmp_path, model):
    path = tmp_path / "net.onnx"
    onnx.save(model, path)
    return path


def test_rows_of_a_good_model(tmp_path):
    b = Builder()
    x = b.quant("x", name="pixels")
    x = b.node("MatMul", x, b.weights(np.eye(4)), name="fc1")
    x = b.quant(b.node("Relu", x, name="act1"), name="act1.quant")
    b.node("Neg", x, name="unused")
    result = explain(saved(tmp_path, b.model(x)))
    assert [(row.node, row.becomes) for row in result.rows] == [
        ("pixels", "input x"),
        ("quant1", "constant, quantized"),
        ("fc1", "matvec fc1"),
        ("act1", "float32 steps of the finite function that follows"),
        ("act1.quant", "finite function act1"),
        ("unused", "nothing: no output needs it"),
    ]
    assert result.problems == ()
    assert result.graph is not None


def test_rows_of_an_image_model(tmp_path):
    b = Builder(("N", 2, 6, 6))
    x = b.quant("x", name="pixels")
    w = b.bipolar(b.constant(np.ones((2, 2, 3, 3))), name="weight")
    y = b.node("Conv", b.bipolar(x, name="sign"), w, pads=[1, 1, 1, 1], name="conv")
    y = b.node("MaxPool", y, kernel_shape=[2, 2], strides=[2, 2], name="pool")
    y = b.quant(b.node("Relu", y, name="act"), name="act.quant")
    y = b.node("Concat", y, y, axis=1, name="cat")
    y = b.node("Flatten", y, name="flat")
    result = explain(saved(tmp_path, b.model(y)))
    assert result.problems == ()
    assert [(row.node, row.becomes) for row in result.rows] == [
        ("pixels", "input x"),
        ("weight", "constant, quantized"),
        ("sign", "finite function sign"),
        ("conv", "sliding_window conv_window, matvec conv, border_offset conv_border"),
        ("pool", "a pool that is built where the quantizer is"),
        ("act", "float32 steps of the finite function that follows"),
        ("act.quant", "finite function act, max_pool act_pool"),
        ("cat", "concat cat"),
        ("flat", "nothing: it only says where elements are"),
    ]


def test_rows_of_a_bad_model(tmp_path):
    b = Builder()
    x = b.node("Softmax", b.quant("x"), name="attention")
    x = b.node("Relu", x, name="after")
    result = explain(saved(tmp_path, b.model(x)))
    assert result.graph is None
    bad, after = result.rows[1:]
    assert bad.problem.startswith("expected a supported operator, got 'Softmax'")
    assert after.becomes == "unknown: it follows a node with a problem"
    assert len(result.problems) == 1


def test_supported_nodes_have_words():
    table = supported_nodes()
    assert list(table) == sorted(table)
    assert {"MatMul", "Gemm", "Quant", "BatchNormalization", "Reshape"} <= set(table)
    assert all(table.values())


def test_execute_refuses_frames_of_another_shape(tmp_path):
    b = Builder()
    path = saved(tmp_path, b.model(b.quant("x")))
    with pytest.raises(FrontendError, match=r"net\.onnx: expected frames \(4,\), got \(5,\)"):
        execute(path, np.zeros((2, 5)))


def test_execute_refuses_what_onnx_cannot_run(tmp_path):
    b = Builder()
    y = b.node("MatMul", "x", b.constant(np.eye(3)))
    with pytest.raises(FrontendError, match=r"^net\.onnx: cannot be executed: "):
        execute(saved(tmp_path, b.model(y)), np.zeros((2, 4)))


def test_execute_fills_a_fixed_batch():
    b = Builder((3, 4))
    model = b.model(b.quant("x", 0.5))
    frames = np.arange(20, dtype=np.float32).reshape(5, 4) / 8
    assert np.array_equal(execute(model, frames), np.round(frames / 0.5).clip(-8, 7) * 0.5)
    assert execute(model, frames[:0]).shape == (0, 4)
