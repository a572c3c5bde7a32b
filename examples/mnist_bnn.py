"""Handwritten digits with a binary network: every weight and every activation is -1 or +1.

    python examples/mnist_bnn.py --data FOLDER
    hwgen build build/mnist_bnn.onnx --board ultra96               # the next step

FOLDER holds the files of MNIST (see `public_data.py`). Three hidden layers of 256 bits: products
are XNOR gates, sums count bits, and BatchNorm in front of a sign is one comparison. Only the
first layer reads numbers, the pixels.

What makes a binary network train well, in the order of the file: images moved about by a pixel;
a gradient of the sign that is largest near zero (ApproxSign); a learning rate that falls to zero.

Source: Hubara et al., Binarized Neural Networks, NIPS 2016; Liu et al., Bi-Real Net, ECCV 2018.
"""

from __future__ import annotations

from collections import OrderedDict

import torch
from public_data import load_mnist
from torch import Tensor, nn
from training import Plan, command_line, start, tensors, train_and_export

import hwgen.nn as hnn

# 1. Data: a pixel 0..255 is a fraction with eight bits behind the binary point.


def pixels(images: Tensor) -> Tensor:
    """Return uint8 images (N, 28, 28) as fractions (N, 784); exact."""
    return images.flatten(1).float() / 256


def augmented(images: Tensor) -> Tensor:
    """Return `pixels` of images moved by at most one pixel, each in its own direction."""
    count, height, width = images.shape
    padded = nn.functional.pad(images, (1, 1, 1, 1))
    rows = torch.randint(3, (count, 1)) + torch.arange(height)
    columns = torch.randint(3, (count, 1)) + torch.arange(width)
    moved = padded[torch.arange(count)[:, None, None], rows[:, :, None], columns[:, None, :]]
    return pixels(moved)


# 2. The network.

PIXEL = hnn.FixedPointConfig(bit_width=8, signed=False, frac=8)
WEIGHT = hnn.BinaryConfig(hnn.Estimator.CLIPPED_STE)
# Six bits are enough in front of a sign, and keep sums of 784 pixels exact in float32.
SCALE = hnn.FixedPointConfig(bit_width=6)
TEMPERATURE = 8.0  # sums of 256 bits would saturate the softmax


def build_network(hidden: int = 256) -> nn.Sequential:
    """Return the untrained network."""
    layers: OrderedDict[str, nn.Module] = OrderedDict(pixels=hnn.Identity(output=PIXEL))
    for number, inputs in enumerate((784, hidden, hidden), 1):
        layers[f"fc{number}"] = hnn.Linear(inputs, hidden, bias=False, weight=WEIGHT)
        layers[f"bn{number}"] = hnn.BatchNorm1d(hidden, scale=SCALE)
        layers[f"sign{number}"] = hnn.Sign(hnn.Estimator.APPROX_SIGN)
    layers["fc4"] = hnn.Linear(hidden, 10, bias=False, weight=WEIGHT)
    return nn.Sequential(layers)


def loss(model: nn.Module, images: Tensor, labels: Tensor) -> Tensor:
    """Return the cross entropy of scaled-down scores."""
    return nn.functional.cross_entropy(model(images) / TEMPERATURE, labels)


# 3. Train and export.


def main() -> None:
    """Train, export, measure."""
    options = start(command_line("Train a binary network on MNIST.", epochs=50, data="MNIST"))
    train_and_export(
        build_network(),
        tensors(load_mnist(options.data), options.samples),
        Plan(options.epochs, 256, learning_rate=5e-3),
        options,
        name="mnist_bnn",
        plain=pixels,
        augmented=augmented,
        loss=loss,
    )


if __name__ == "__main__":
    main()
