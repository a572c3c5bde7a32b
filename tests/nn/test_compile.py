"""torch.compile: the whole model is one graph, and no bit of eval changes."""

import pytest
import torch
from torch import nn

import hwgen.nn as hnn

pytestmark = pytest.mark.torch


def network(weight):
    torch.manual_seed(0)
    model = nn.Sequential(
        hnn.Identity(output=hnn.FixedPointConfig(5)),
        hnn.Conv2d(2, 4, 3, padding=1, weight=weight),
        hnn.BatchNorm2d(4),
        hnn.ReLU(),
        hnn.AvgPool2d(2),
        hnn.Flatten(),
        hnn.Linear(16, 3, weight=weight),
    )
    x = torch.randn(8, 2, 4, 4)
    model(x)
    return model, x


@pytest.fixture
def compile_in_one_graph():
    torch.compiler.reset()
    # aot_eager captures forward and backward as every backend does, without a C++ compiler.
    yield lambda model: torch.compile(model, backend="aot_eager", fullgraph=True)
    torch.compiler.reset()


@pytest.mark.parametrize(
    "weight",
    [
        hnn.FixedPointConfig(6),
        hnn.FixedPointConfig(6, per_channel=True, learning=hnn.Learning.SCALE),
        hnn.KHotConfig(6),
        hnn.BinaryConfig(scale=hnn.Scale.FREE),
    ],
    ids=str,
)
def test_eval_is_one_graph_with_the_same_bits(weight, compile_in_one_graph):
    model, x = network(weight)
    model.eval()
    with torch.no_grad():
        assert torch.equal(compile_in_one_graph(model)(x), model(x))


def test_training_is_one_graph_with_the_same_gradients(compile_in_one_graph):
    model, x = network(hnn.FixedPointConfig(6))
    gradients = []
    for run in (model, compile_in_one_graph(model)):
        model.zero_grad()
        run(x).square().sum().backward()
        gradients.append({name: p.grad.clone() for name, p in model.named_parameters()})
    for name, expected in gradients[0].items():
        # Sums in another order: a float32 sum of some hundred terms.
        assert torch.allclose(gradients[1][name], expected, rtol=1e-3, atol=1e-3), name
