"""Embedding: rows of a quantized table, the same in file and graph."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

import hwgen.nn as hnn
from hwgen.errors import ExportError, NumericError

from .equality import assert_equal_everywhere

pytestmark = pytest.mark.torch

SIX = hnn.FixedPointConfig(6)


def test_rows_are_those_of_the_quantized_table_and_numbers_beyond_it_the_last():
    torch.manual_seed(0)
    layer = hnn.Embedding(5, 3, weight=SIX)
    tokens = torch.tensor([[0, 4, 2], [9, 1, -3]])
    expected = layer.weight_quantizer(layer.weight)[torch.tensor([[0, 4, 2], [4, 1, 0]])]
    assert torch.equal(layer(tokens), expected)
    assert torch.equal(layer(tokens.float() + 0.3), expected)
    assert layer(torch.tensor([[0.5, 1.5]])).tolist() == [layer(torch.tensor([[0, 2]]))[0].tolist()]


def test_only_rows_that_were_read_learn_and_the_padding_does_not():
    layer = hnn.Embedding(5, 3, padding_idx=1, weight=SIX)
    assert layer.weight[1].abs().max() == 0
    layer(torch.tensor([[0, 1, 3]])).sum().backward()
    assert layer.weight.grad.abs().sum(1).bool().tolist() == [True, False, False, True, False]


@settings(max_examples=15)
@given(
    seed=st.integers(0, 2**32 - 1),
    rows=st.integers(2, 9),
    columns=st.integers(1, 4),
    tokens=st.integers(1, 4),
    weight=st.sampled_from(
        [SIX, hnn.FixedPointConfig(2), hnn.KHotConfig(5), hnn.FixedPointConfig(3, frac=-1)]
    ),
)
def test_file_and_graph_compute_what_the_model_does(
    tmp_path_factory, seed, rows, columns, tokens, weight
):
    torch.manual_seed(seed)
    layer = hnn.Embedding(rows, columns, weight=weight)
    with torch.no_grad():
        layer.weight.mul_(3)
    model = nn.Sequential(layer, nn.Flatten(), hnn.Linear(tokens * columns, 3, weight=SIX))
    x = torch.randint(0, rows + 1, (12, tokens)).float()  # one beyond the table
    model(x)
    assert_equal_everywhere(model, x, tmp_path_factory.mktemp("embedding"))


def test_alone_it_keeps_its_shape(tmp_path):
    model = nn.Sequential(hnn.Embedding(4, 2, weight=SIX))
    x = torch.tensor([[0.0, 3.0, 1.0]])
    model(x)
    outputs, _, file = assert_equal_everywhere(model, x, tmp_path)
    assert outputs.shape == (1, 3, 2)
    assert {"BipolarQuant", "MatMul", "Reshape"} <= {node.op_type for node in file.graph.node}


def test_a_float_model_has_a_twin(tmp_path):
    torch.manual_seed(1)
    plain = nn.Sequential(nn.Embedding(6, 2), nn.Flatten(), nn.Linear(8, 3)).eval()
    config = hnn.LayerConfig(weight=hnn.FixedPointConfig(16), bias=hnn.FixedPointConfig(16))
    twin = hnn.prepare(plain, config, input=hnn.FixedPointConfig(3, signed=False, frac=0))
    x = torch.randint(0, 6, (10, 4))
    hnn.calibrate(twin, [x.float()])
    assert torch.allclose(twin(x.float()), plain(x), atol=1e-2)


def test_wrong_use_is_named(tmp_path):
    with pytest.raises(NumericError, match="num_embeddings is 1, expected at least 2"):
        hnn.Embedding(1, 3)
    with pytest.raises(NumericError, match="weight is per_channel"):
        hnn.Embedding(3, 3, weight=hnn.FixedPointConfig(4, per_channel=True))
    large = nn.Sequential(hnn.Embedding(200, 64))
    x = torch.zeros(1, 60)
    large(x)
    with pytest.raises(ExportError, match=r"at most 4194304 weights, got 60 tokens squared \* 199"):
        hnn.export(large, x, tmp_path / "model.onnx")
    deep = nn.Sequential(hnn.Embedding(3, 2))
    deep(torch.zeros(1, 2))
    with pytest.raises(
        ExportError, match=r"expected integers of shape \(N, tokens\), got \(N, 2, 2"
    ):
        hnn.export(deep, torch.zeros(1, 2, 2), tmp_path / "model.onnx")


def test_summary_and_price_know_the_width_of_its_rows():
    model = nn.Sequential(hnn.Embedding(4, 2, weight=SIX), nn.Flatten(), hnn.Linear(6, 1))
    model(torch.zeros(1, 3))
    assert hnn.LutPrice(model)().item() == 6 * (1.75 * 8 * 6 + 8 + 6)
    (row,) = (line for line in hnn.summary(model).splitlines() if "Embedding" in line)
    assert row.split()[:4] == ["0", "Embedding", "FixedPoint", "6"]
    assert np.isfinite(float(hnn.LutPrice(model)()))
