"""Every example runs from its data to its .onnx, which computes what the trained model does."""

import re

import numpy as np
import pytest
import torch

from hwgen.frontend import load
from hwgen.passes import PASSES, run_passes

pytestmark = pytest.mark.torch

FRAMES = 6


def assert_equal_to_integers(model, inputs, path):
    """The model in eval mode and the graph of integers give the same numbers."""
    graph = run_passes(load(path), PASSES)
    with torch.no_grad():
        expected = model.eval()(inputs).numpy()
    codes = graph.inputs[0].quantize(inputs.contiguous().numpy())
    assert np.array_equal(graph.dequantize(graph.evaluate(codes)), expected)


@pytest.fixture
def cifar10(rng, tmp_path):
    """130 images of noise in ten colours, and FRAMES to test."""
    labels = rng.integers(0, 10, 130 + FRAMES)
    images = rng.integers(0, 100, (130 + FRAMES, 32, 32, 3)) + labels[:, None, None, None] * 15
    images = images.astype(np.uint8)
    np.savez(
        tmp_path / "cifar10.npz",
        x_train=images[FRAMES:],
        y_train=labels[FRAMES:],
        x_test=images[:FRAMES],
        y_test=labels[:FRAMES],
    )
    return tmp_path


def shares(printed):
    """Return the percentages before "of N ... images"."""
    return [float(share) for share in re.findall(r"([\d.]+)% of \d+ (?:test|held-out)", printed)]


def test_resnet8_from_scratch(run, example, cifar10):
    options = ("--data", cifar10, "--out", cifar10, "--float-epochs", 1, "--epochs", 1)
    printed = run("cifar10_resnet8", *options)
    assert "seed 0" in printed
    assert len(shares(printed)) == 2
    assert (cifar10 / "cifar10_resnet8.onnx").is_file()


@pytest.mark.parametrize("tensorflow", [False, True], ids=["both_sides", "as_tensorflow"])
def test_resnet8_twin_is_equal(example, cifar10, rng, tensorflow):
    import hwgen.nn as hnn

    module = example("cifar10_resnet8")
    images = torch.from_numpy(rng.integers(0, 256, (40, 3, 32, 32), dtype=np.uint8))
    torch.manual_seed(0)
    twin = module.quantized_twin(module.fold_batchnorm(module.ResNet8(tensorflow)), images)
    path = hnn.export(twin, module.pixels(images[:1]), cifar10 / "resnet8.onnx")
    assert_equal_to_integers(twin, module.pixels(images[:FRAMES]), path)


def test_folding_batchnorm_changes_nothing_but_rounding(example):
    module = example("cifar10_resnet8")
    torch.manual_seed(0)
    model = module.ResNet8().train()
    images = torch.rand(8, 3, 32, 32)
    for _ in range(3):
        model(images)
    with torch.no_grad():
        whole, folded = model.eval()(images), module.fold_batchnorm(model)(images)
    assert not any(
        isinstance(m, torch.nn.BatchNorm2d) for m in module.fold_batchnorm(model).modules()
    )
    torch.testing.assert_close(folded, whole)  # floats: before any quantizer


def test_cnv(run, example, cifar10, rng):
    printed = run("cifar10_cnv_w1a1", "--data", cifar10, "--epochs", 1, "--out", cifar10)
    path = cifar10 / "cifar10_cnv_w1a1.onnx"
    assert len(shares(printed)) == 1
    assert path.stat().st_size < 2e6  # a byte a weight
    module = example("cifar10_cnv_w1a1")
    model = module.build_network()
    model.load_state_dict(torch.load(cifar10 / "cifar10_cnv_w1a1.pt")["model"])
    images = torch.from_numpy(rng.integers(0, 256, (2, 3, 32, 32), dtype=np.uint8))
    assert_equal_to_integers(model, module.pixels(images), path)


def test_mnist_bnn(run, example, rng, tmp_path):
    images = rng.integers(0, 256, (256 + FRAMES, 28, 28), dtype=np.uint8)
    labels = rng.integers(0, 10, 256 + FRAMES)
    np.savez(
        tmp_path / "mnist.npz",
        x_train=images[FRAMES:],
        y_train=labels[FRAMES:],
        x_test=images[:FRAMES],
        y_test=labels[:FRAMES],
    )
    printed = run("mnist_bnn", "--data", tmp_path, "--epochs", 2, "--out", tmp_path)
    assert "mnist_bnn: epoch 2 of 2" in printed
    module = example("mnist_bnn")
    model = module.build_network()
    model.load_state_dict(torch.load(tmp_path / "mnist_bnn.pt")["model"])
    inputs = module.pixels(torch.from_numpy(images[:FRAMES]))
    assert_equal_to_integers(model, inputs, tmp_path / "mnist_bnn.onnx")


def test_ecg(run, example, rng, tmp_path):
    module = example("ecg_conv1d")
    labels = rng.integers(0, 5, 220)
    time = np.arange(128)
    beats = 1024 + 300 * np.sin(time / (3 + 2 * labels[:, None])) + rng.normal(0, 20, (220, 128))
    np.savez(
        tmp_path / "mitbih10.npz",
        x=beats.astype(np.int16),
        y=labels,
        record=np.repeat([100, 207], 110),
        classes=np.array(example("public_data").BEAT_CLASSES),
    )
    options = ("--data", tmp_path, "--epochs", 2, "--out", tmp_path)
    printed = run("ecg_conv1d", *options)
    written = (tmp_path / "ecg_conv1d.onnx").read_bytes()
    assert "six bits: epoch 2 of 2" in printed
    assert "epoch" not in run("ecg_conv1d", *options)  # all read from its checkpoints
    assert (tmp_path / "ecg_conv1d.onnx").read_bytes() == written
    assert "integer model: " in printed
    assert "balanced" in printed
    beats = torch.from_numpy(beats.astype(np.int16))
    network = module.quantized_twin(module.build_network(), beats)
    state = torch.load(tmp_path / "ecg_conv1d_six_bits.pt")
    network.load_state_dict(state["model"])
    inputs = module.signal(beats)
    assert_equal_to_integers(network, inputs, tmp_path / "ecg_conv1d.onnx")


def test_digits_conv(run, example, tmp_path):
    printed = run("digits_conv", "--epochs", 2, "--out", tmp_path)
    (share,) = shares(printed)
    assert share > 60
    module = example("digits_conv")
    model = module.DigitsConv()
    model.load_state_dict(torch.load(tmp_path / "digits_conv.pt")["model"])
    inputs = module.images(example("digits").load_data().test_images)
    assert_equal_to_integers(model, inputs, tmp_path / "digits_conv.onnx")
