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
        hnn.LearnedWidthConfig(4),
        hnn.LearnedWidthConfig(4, hnn.Group.WEIGHT),
        hnn.TernaryConfig(),
        hnn.TernaryConfig(scale=hnn.Scale.FREE),
        hnn.PowerOfTwoConfig(),
        hnn.ShiftConfig(),
        hnn.DenseShiftConfig(),
        hnn.AdditiveConfig(),
        hnn.AdditiveConfig(scale=hnn.Scale.FREE),
    ],
    ids=str,
)
def test_eval_is_one_graph_with_the_same_bits(weight, compile_in_one_graph):
    model, x = network(weight)
    model.eval()
    with torch.no_grad():
        assert torch.equal(compile_in_one_graph(model)(x), model(x))


def test_gates_tables_slopes_and_folded_norms_are_one_graph_too(compile_in_one_graph):
    torch.manual_seed(0)
    folded = hnn.Conv2d(3, 4, 1, bias=False)
    folded.fold(nn.BatchNorm2d(4))
    model = nn.Sequential(
        hnn.Identity(output=hnn.FixedPointConfig(5)),
        hnn.PrecisionGatedConv2d(2, 3, 3),
        hnn.BatchNorm2d(3, scale=hnn.KHotConfig(5, k=1)),
        hnn.RPReLU(3, slope=hnn.KHotConfig(5, k=1)),
        folded,
        hnn.Sign(),
    )
    x = torch.randn(8, 2, 4, 4)
    table = nn.Sequential(hnn.Embedding(5, 3), hnn.Flatten(), hnn.Linear(6, 2))
    tokens = torch.randint(0, 5, (7, 2))
    for each, batch in ((model, x), (table, tokens)):
        each(batch)
        each.eval()
        with torch.no_grad():
            assert torch.equal(compile_in_one_graph(each)(batch), each(batch))


@pytest.mark.sim  # it takes a C++ compiler, which simulations need as well
@pytest.mark.parametrize(
    "weight", [hnn.FixedPointConfig(6), hnn.BinaryConfig(scale=hnn.Scale.FREE)], ids=str
)
def test_compiled_machine_code_gives_the_same_bits(weight):
    """The default backend fuses and vectorizes; nothing may be contracted or approximated."""
    torch.compiler.reset()
    model, x = network(weight)
    model.eval()
    with torch.no_grad():
        assert torch.equal(torch.compile(model, fullgraph=True)(x), model(x))
    torch.compiler.reset()


@pytest.mark.parametrize(
    "weight",
    [
        hnn.FixedPointConfig(6),
        hnn.LearnedWidthConfig(4),
        hnn.BinaryConfig(scale=hnn.Scale.FREE, learn_scale=True),
    ],
    ids=str,
)
def test_training_is_one_graph_with_the_same_gradients(weight, compile_in_one_graph):
    model, x = network(weight)
    gradients = []
    for run in (model, compile_in_one_graph(model)):
        model.zero_grad()
        run(x).square().sum().backward()
        gradients.append({name: p.grad.clone() for name, p in model.named_parameters()})
    for name, expected in gradients[0].items():
        # Sums in another order: a float32 sum of some hundred terms.
        assert torch.allclose(gradients[1][name], expected, rtol=1e-3, atol=1e-3), name
