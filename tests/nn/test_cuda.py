"""On a GPU: training works, and eval, calibration and the file are those of the CPU, bit by bit.

Needs one that PyTorch can use; see conftest.py. Every other test here that exports a network also
runs it on the GPU, see equality.py.
"""

import copy

import pytest
import torch
import torch.nn.functional as F
from torch import distributed, nn

import hwgen.nn as hnn

from .test_devices import OUTPUTS, WEIGHTS, network

pytestmark = pytest.mark.torch
DEVICE = "cuda"


def batch(count=16):
    return torch.randn(count, 2, 6, 6, device=DEVICE), torch.arange(count, device=DEVICE) % 3


def trained(weight, output, steps=4, autocast=None):
    """A network that has never been on the CPU since its first step."""
    torch.manual_seed(0)
    model = network(weight, output).to(DEVICE)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.05)
    for _ in range(steps):
        x, labels = batch()
        optimizer.zero_grad()
        with torch.autocast(DEVICE, autocast, enabled=autocast is not None):
            loss = F.cross_entropy(model(x), labels) + 1e-7 * hnn.LutPrice(model)()
        loss.backward()
        for name, parameter in model.named_parameters():
            if parameter.grad is not None:
                assert parameter.grad.is_cuda, name
                assert torch.isfinite(parameter.grad).all(), name
        optimizer.step()
    return model


def assert_equal_on_the_cpu(model, x):
    model.eval()
    with torch.no_grad():
        there = model(x)
        assert torch.equal(there.cpu(), copy.deepcopy(model).cpu()(x.cpu()))
    assert torch.isfinite(there).all()
    return there


@pytest.mark.parametrize("autocast", [None, torch.bfloat16, torch.float16], ids=str)
@pytest.mark.parametrize("output", OUTPUTS, ids=str)
@pytest.mark.parametrize("weight", WEIGHTS, ids=str)
def test_what_was_trained_on_the_gpu_is_equal_on_the_cpu(weight, output, autocast):
    model = trained(weight, output, autocast=autocast)
    x, _ = batch()
    expected = assert_equal_on_the_cpu(model, x)
    with torch.no_grad(), torch.autocast(DEVICE, torch.float16):
        assert torch.equal(model(x), expected)


@pytest.fixture
def take_shortcuts():
    """TF32 has 11 bits of mantissa; cuDNN may try several algorithms and take any."""
    switches = [
        (torch.backends.cuda.matmul, "allow_tf32"),
        (torch.backends.cudnn, "allow_tf32"),
        (torch.backends.cudnn, "benchmark"),
    ]
    before = [getattr(*switch) for switch in switches]

    def take():
        for switch in switches:
            setattr(*switch, True)

    yield take
    for switch, value in zip(switches, before, strict=True):
        setattr(*switch, value)


@pytest.mark.parametrize("weight", WEIGHTS, ids=str)
def test_shortcuts_of_the_hardware_change_no_bit(weight, take_shortcuts):
    model = trained(weight, OUTPUTS[0]).eval()
    x, _ = batch()
    with torch.no_grad():
        expected = model(x)
        take_shortcuts()
        assert torch.equal(model(x), expected)


@pytest.mark.parametrize("weight", WEIGHTS, ids=str)
def test_the_file_does_not_tell_where_the_model_was(weight, tmp_path):
    model = trained(weight, OUTPUTS[0])
    x, _ = batch()
    there = hnn.export(model, x, tmp_path / "there.onnx")
    here = hnn.export(copy.deepcopy(model).cpu(), x.cpu(), tmp_path / "here.onnx")
    assert there.read_bytes() == here.read_bytes()


@pytest.mark.parametrize("weight", WEIGHTS, ids=str)
def test_compiled_for_the_gpu_it_gives_the_same_bits(weight):
    torch.compiler.reset()
    model = trained(weight, OUTPUTS[0]).eval()
    x, _ = batch()
    with torch.no_grad():
        expected = model(x)
        found = torch.compile(model, fullgraph=True)(x)
    torch.compiler.reset()
    assert torch.equal(found, expected), (found - expected).abs().max()


def float_model():
    torch.manual_seed(0)
    model = nn.Sequential(
        nn.Conv2d(2, 6, 3, padding=1),
        nn.BatchNorm2d(6),
        nn.ReLU(),
        nn.AvgPool2d(3),
        nn.Flatten(),
        nn.Linear(24, 3),
    )
    model(torch.randn(32, 2, 6, 6) * 2)
    return model.eval().to(DEVICE)


@pytest.mark.parametrize("method", list(hnn.CalibrationMethod))
def test_a_float_model_is_prepared_and_calibrated_where_it_is(method):
    model, batches = float_model(), [batch()[0] for _ in range(3)]
    twin = hnn.prepare(model)
    hnn.calibrate(twin, batches, method)
    hnn.correct_biases(twin, batches)
    assert {tensor.device.type for tensor in twin.state_dict().values()} == {DEVICE}
    found = assert_equal_on_the_cpu(twin, batches[0])
    with torch.no_grad():
        # Eight bits a layer: as close as on the CPU.
        assert (found - model(batches[0])).abs().max() < 0.2


def test_collectives_take_what_lies_on_the_gpu(tmp_path):
    """NCCL moves tensors of GPUs only; one process is enough for it to refuse others."""
    model, batches = float_model(), [batch()[0] for _ in range(3)]
    alone = hnn.prepare(model)
    hnn.calibrate(alone, batches)
    distributed.init_process_group("nccl", f"file://{tmp_path / 'store'}", rank=0, world_size=1)
    try:
        twin = hnn.prepare(model)
        hnn.calibrate(twin, batches)
        hnn.correct_biases(twin, batches)
        parallel = nn.parallel.DistributedDataParallel(twin.train())
        parallel(batches[0]).square().mean().backward()
    finally:
        distributed.destroy_process_group()
    for name, value in alone.state_dict().items():
        if "frac" in name:
            assert torch.equal(value, twin.state_dict()[name]), name
