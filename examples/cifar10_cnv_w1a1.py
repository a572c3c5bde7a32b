"""FINN's CNV on CIFAR-10, binary: weights and activations are -1 or +1.

    python examples/cifar10_cnv_w1a1.py --data FOLDER
    hwgen build build/cifar10_cnv_w1a1.onnx --board ultra96        # the next step

FOLDER holds the files of CIFAR-10 (see `public_data.py`). Six 3x3 convolutions without padding,
two poolings and three linear layers: 59 million products an image, all but the first layer's of
single bits. BatchNorm in front of a sign is one threshold in hardware, and the maximum of bits is
an OR. Training from scratch takes some 200 epochs to reach the published accuracy, a day on a
CPU; it can be stopped at any time and goes on from its checkpoint.

Source: Umuroglu et al., FINN, FPGA 2017 (network and 1-bit accuracy); Hubara et al., Binarized
Neural Networks, NIPS 2016 (training).
"""

from __future__ import annotations

from collections import OrderedDict

import numpy as np
import torch
from public_data import load_cifar10
from torch import Tensor, nn
from training import Plan, command_line, start, tensors, train_and_export

import hwgen.nn as hnn

# 1. Data: pixels are fractions with eight bits behind the binary point.


def pixels(images: Tensor) -> Tensor:
    """Return uint8 images as fractions 0 .. 255/256; exact."""
    return (images.float() / 256).contiguous(memory_format=torch.channels_last)


def augmented(images: Tensor, shift: int = 2) -> Tensor:
    """Return `pixels` of a batch, half of it mirrored, all of it moved by up to `shift` pixels."""
    height, width = images.shape[2:]
    mirrored = torch.rand(len(images), 1, 1, 1) < 0.5
    padded = nn.functional.pad(
        torch.where(mirrored, images.flip(3), images).float(), (shift,) * 4, mode="reflect"
    )
    top, left = torch.randint(2 * shift + 1, (2,)).tolist()
    return pixels(padded[:, :, top : top + height, left : left + width])


# 2. The network.

PIXEL = hnn.FixedPointConfig(bit_width=8, signed=False, frac=8)
BINARY = hnn.BinaryConfig()
TEMPERATURE = 16.0  # sums of 512 bits would saturate the softmax


def build_network(widths: tuple[int, ...] = (64, 128, 256), hidden: int = 512) -> nn.Sequential:
    """Return the untrained network for images (N, 3, 32, 32).

    Parameters
    ----------
    widths : channels of the three pairs of convolutions
    hidden : numbers in each of the two inner linear layers
    """
    layers: OrderedDict[str, nn.Module] = OrderedDict(pixels=hnn.Identity(output=PIXEL))
    inputs = 3
    for number, outputs in enumerate(np.repeat(widths, 2).tolist(), 1):
        layers[f"conv{number}"] = hnn.Conv2d(inputs, outputs, 3, bias=False, weight=BINARY)
        layers[f"bn{number}"] = hnn.BatchNorm2d(outputs)
        layers[f"sign{number}"] = hnn.Sign()
        if number in (2, 4):
            layers[f"pool{number // 2}"] = hnn.MaxPool2d(2)
        inputs = outputs
    layers["flatten"] = hnn.Flatten()  # the map has shrunk to one pixel
    for number in (1, 2):
        layers[f"fc{number}"] = hnn.Linear(inputs, hidden, bias=False, weight=BINARY)
        layers[f"fc_bn{number}"] = hnn.BatchNorm1d(hidden)
        layers[f"fc_sign{number}"] = hnn.Sign()
        inputs = hidden
    layers["fc3"] = hnn.Linear(inputs, 10, bias=False, weight=BINARY)
    return nn.Sequential(layers)


def loss(model: nn.Module, images: Tensor, labels: Tensor) -> Tensor:
    """Return the cross entropy of scaled-down scores."""
    return nn.functional.cross_entropy(model(images) / TEMPERATURE, labels)


# 3. Train and export.


def main() -> None:
    """Train, export, measure."""
    options = start(command_line("Train FINN's CNV, 1-bit.", epochs=200, data="CIFAR-10"))
    train_and_export(
        build_network().to(memory_format=torch.channels_last),
        tensors(load_cifar10(options.data), options.samples),
        Plan(options.epochs, 128, learning_rate=3e-3),
        options,
        name="cifar10_cnv_w1a1",
        plain=pixels,
        augmented=augmented,
        loss=loss,
    )


if __name__ == "__main__":
    main()
