"""What users do around a model: mixed precision, copies, checkpoints, and other people's loops."""

import copy

import pytest
import torch
import torch.nn.functional as F
from torch import nn

import hwgen.nn as hnn

pytestmark = pytest.mark.torch


def network():
    """Every kind of learned number there is: points, widths, scales, gates, statistics."""
    folded = hnn.Conv2d(4, 4, 3, bias=False, weight=hnn.FixedPointConfig(5, per_channel=True))
    folded.fold(nn.BatchNorm2d(4))
    return nn.Sequential(
        hnn.Identity(output=hnn.FixedPointConfig(6)),
        hnn.PrecisionGatedConv2d(2, 4, 3, padding=1),
        hnn.BatchNorm2d(4, scale=hnn.KHotConfig(6, k=1)),
        hnn.RPReLU(4, slope=hnn.KHotConfig(5, k=1)),
        folded,
        hnn.ReLU(output=hnn.FixedPointConfig(6, signed=False, learning=hnn.Learning.SCALE)),
        hnn.Flatten(),
        hnn.Linear(16, 6, weight=hnn.LearnedWidthConfig(5, hnn.Group.INPUT_CHANNEL)),
        hnn.PReLU(6, slope=hnn.KHotConfig(4, k=1)),
        hnn.Linear(6, 3, weight=hnn.ShiftConfig(3)),
    )


def batch(count=24):
    return torch.randn(count, 2, 4, 4), torch.randint(0, 3, (count,))


def trained(steps=3):
    torch.manual_seed(0)
    model = network()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.05)
    for _ in range(steps):
        x, labels = batch()
        optimizer.zero_grad()
        F.cross_entropy(model(x), labels).backward()
        optimizer.step()
    return model


def test_copies_and_checkpoints_compute_the_same(tmp_path):
    model = trained().eval()
    x, _ = batch()
    torch.save(model.state_dict(), tmp_path / "checkpoint.pt")
    torch.manual_seed(9)
    loaded = network().eval()
    loaded.load_state_dict(torch.load(tmp_path / "checkpoint.pt"))
    with torch.no_grad():
        expected = model(x)
        assert torch.equal(loaded(x), expected)
        assert torch.equal(copy.deepcopy(model)(x), expected)
    assert loaded.state_dict().keys() == model.state_dict().keys()


def test_training_goes_on_from_a_checkpoint_as_if_it_had_not_stopped():
    first = trained()
    second = network()
    second.load_state_dict(first.state_dict())
    x, labels = batch()
    for model in (first, second):
        model.zero_grad()
        F.cross_entropy(model(x), labels).backward()
    for (name, one), other in zip(first.named_parameters(), second.parameters(), strict=True):
        if one.requires_grad:
            assert torch.equal(one.grad, other.grad), name


def test_autocast_trains_and_leaves_eval_alone():
    model = trained()
    x, labels = batch()
    with torch.autocast("cpu", torch.bfloat16):
        loss = F.cross_entropy(model(x), labels)
    loss.backward()
    for name, parameter in model.named_parameters():
        if parameter.requires_grad:
            assert parameter.grad.dtype is torch.float32, name
            assert torch.isfinite(parameter.grad).all(), name
    model.eval()
    with torch.no_grad():
        expected = model(x)
        with torch.autocast("cpu", torch.bfloat16):
            assert torch.equal(model(x), expected)


class Module(nn.Module):
    """As a LightningModule: the network inside, losses by hooks, the optimizer from a method."""

    def __init__(self):
        super().__init__()
        self.network = network()
        self.price = hnn.LutPrice(self.network)
        self.schedule = hnn.Schedule(self, total=4)

    def forward(self, x):
        return self.network(x)

    def training_step(self, batch, index):
        x, labels = batch
        penalty = hnn.gate_penalty(self, target=0.0)
        return F.cross_entropy(self(x), labels) + penalty + 1e-7 * self.price()

    def validation_step(self, batch, index):
        x, labels = batch
        return (self(x).argmax(1) == labels).float().mean()

    def configure_optimizers(self):
        return torch.optim.Adam(self.parameters(), lr=0.01)


def fit(module, batches, epochs):
    """The order in which a trainer calls: a check of validation first, then epochs of both."""
    optimizer = module.configure_optimizers()
    scores = []
    for _ in range(epochs):
        module.train()
        torch.set_grad_enabled(True)
        for index, each in enumerate(batches):
            optimizer.zero_grad()
            loss = module.training_step(each, index)
            loss.backward()
            nn.utils.clip_grad_norm_(module.parameters(), 5.0)
            optimizer.step()
        module.schedule.step()
        module.eval()
        with torch.inference_mode():
            scores.append(float(module.validation_step(batches[0], 0)))
    return scores


def test_a_loop_that_switches_modes_learns_and_exports(tmp_path):
    torch.manual_seed(0)
    module = Module()
    batches = [batch(48) for _ in range(2)]  # few enough to be learned by heart
    scores = fit(module, batches, epochs=12)
    assert scores[-1] > scores[0]
    assert scores[-1] > 0.5
    assert module.schedule.progress == 1
    x = batches[0][0]
    assert hnn.export(module.network, x, tmp_path / "model.onnx").exists()


@pytest.mark.parametrize("device", ["cpu", *(["cuda"] if torch.cuda.is_available() else [])])
def test_another_device_or_one_frame_at_a_time_gives_the_same_bits(device):
    model = trained().eval()
    x, _ = batch()
    with torch.no_grad():
        expected = model(x)
        moved = model.to(device)
        assert torch.equal(moved(x.to(device)).cpu(), expected)
        one_by_one = torch.cat([moved(frame[None].to(device)) for frame in x])
        assert torch.equal(one_by_one.cpu(), expected)
