"""`hwgen check` says which form each function takes and what the others would cost."""

import onnx

from hwgen.commands.check import check_model
from tests.frontend.qdq_models import Linear, QdqBuilder


def report(tmp_path, rng, **scales):
    b = QdqBuilder(("N", 16))
    x = b.pair("x", Linear(0.0173, 3))
    w = b.integers(rng.integers(-127, 128, (16, 8)), **scales, axis=1)
    y = b.pair(b.node("MatMul", x, w), Linear(0.093, -7))
    path = tmp_path / "model.onnx"
    onnx.save(b.model(b.pair(b.node("Sigmoid", y), Linear(1 / 256, -128))), path)
    return path


def test_a_requantization_of_scales_a_channel(rng, tmp_path, capsys):
    path = report(tmp_path, rng, scale=rng.random(8) * 0.01 + 0.001)
    checked = check_model(path)
    (why,) = [row["why"] for row in checked.layers if row["operator"] == "requantize"]
    assert " bits a channel, S " in why
    assert " LUT a lane, against " in why
    assert "thresholds" in why or "codes differ from float32, each at a rounding tie" in why
    checked.show()
    assert why[:20] in capsys.readouterr().out


def test_products_need_no_reason(rng, tmp_path):
    checked = check_model(report(tmp_path, rng, scale=0.01))
    (product,) = [row for row in checked.layers if row["operator"] == "matvec"]
    assert product["why"] == ""
    assert all(row["why"] for row in checked.layers if row["operator"] == "table")
