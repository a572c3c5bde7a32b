"""The tasks of `ptq_table.py`: a network with BatchNorm and shortcuts, its data, how it is judged.

Source: He et al., arXiv 1512.03385 (residual networks; these are small ones of the kind).
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor, nn

import hwgen.nn as hnn

sys.path.insert(0, str(Path(__file__).parents[1] / "examples"))
from cifar10_resnet8 import PIXEL, augmented, pixels
from ecg_conv1d import CLASSES, SIGNAL, balanced_loss, signal
from public_data import load_cifar10, load_mitbih
from training import Augment, Loss, cross_entropy

HELD_OUT = 10_000  # training images of CIFAR-10 that judge and are not trained on


@dataclass(frozen=True)
class Samples:
    """Inputs as published, and their classes."""

    inputs: Tensor
    labels: Tensor

    def first(self, count: int | None) -> Samples:
        """Return at most `count` of them."""
        return Samples(self.inputs[:count], self.labels[:count])


@dataclass(frozen=True)
class Task:
    """What a network learns.

    Parameters
    ----------
    network : makes an untrained one, in float32
    training, judging : samples; no number of the table sees the second ones before its end
    share : of each judged sample in the figure; they add up to 1
    convert : makes a training batch the network's input, `plain` any other batch
    input : the format of that input
    """

    network: Callable[[], nn.Module]
    training: Samples
    judging: Samples
    share: Tensor
    convert: Augment
    plain: Augment
    input: hnn.FixedPointConfig
    loss: Loss


def mitbih(folder: Path, count: int | None) -> Task:
    """Return the ECG beats: judged by the last fifth of each record, all classes equal."""
    data = load_mitbih(folder, CLASSES)
    training, judging = (
        Samples(torch.from_numpy(inputs), torch.from_numpy(labels))
        for inputs, labels in ((data.train, data.train_labels), (data.test, data.test_labels))
    )
    training = training.first(count)
    counts = torch.bincount(judging.labels, minlength=len(CLASSES))
    share = 1 / counts[judging.labels].double() / int((counts > 0).sum())
    loss = balanced_loss(training.labels)
    return Task(beat_network, training, judging, share, signal, signal, SIGNAL, loss)


def cifar10(folder: Path, count: int | None) -> Task:
    """Return the images: 40,000 train, the other 10,000 of the training images judge."""
    data = load_cifar10(folder)
    whole = Samples(torch.from_numpy(data.train), torch.from_numpy(data.train_labels)).first(count)
    held_out = min(HELD_OUT, len(whole.labels) // 5)
    training = whole.first(-held_out)
    judging = Samples(whole.inputs[-held_out:], whole.labels[-held_out:])
    share = torch.full((held_out,), 1 / held_out, dtype=torch.float64)
    return Task(image_network, training, judging, share, augmented, pixels, PIXEL, cross_entropy)


TASKS = {"mitbih": mitbih, "cifar10": cifar10}


class Block(nn.Module):
    """Two convolutions beside a shortcut; for beats (1 axis) or images (2).

    Parameters
    ----------
    axes, inputs, outputs, kernel, stride : a change of channels or size takes a 1x1 convolution,
        with BatchNorm, as the shortcut
    """

    def __init__(self, axes: int, inputs: int, outputs: int, kernel: int, stride: int = 1) -> None:
        super().__init__()
        conv, norm = _KINDS[axes]
        side = kernel // 2
        self.conv1 = conv(inputs, outputs, kernel, stride, side, bias=False)
        self.bn1 = norm(outputs)
        self.relu1 = nn.ReLU()
        self.conv2 = conv(outputs, outputs, kernel, padding=side, bias=False)
        self.bn2 = norm(outputs)
        self.relu2 = nn.ReLU()
        self.shortcut = nn.Identity()
        if stride != 1 or inputs != outputs:
            narrow = conv(inputs, outputs, 1, stride, bias=False)
            self.shortcut = nn.Sequential(narrow, norm(outputs))

    def forward(self, x: Tensor) -> Tensor:
        """Return the activations."""
        inner = self.relu1(self.bn1(self.conv1(x)))
        return self.relu2(self.bn2(self.conv2(inner)) + self.shortcut(x))


_KINDS = {1: (nn.Conv1d, nn.BatchNorm1d), 2: (nn.Conv2d, nn.BatchNorm2d)}


def beat_network(channels: int = 12) -> nn.Sequential:
    """Return the untrained network for beats (N, 1, 128)."""
    return nn.Sequential(
        nn.Conv1d(1, channels, 7, stride=2, padding=3, bias=False),
        nn.BatchNorm1d(channels),
        nn.ReLU(),
        nn.MaxPool1d(2),
        Block(1, channels, channels, 5),
        nn.MaxPool1d(2),
        Block(1, channels, channels, 5),
        nn.MaxPool1d(2),
        nn.Flatten(),
        nn.Linear(channels * 8, len(CLASSES)),
    )


def image_network(channels: int = 16) -> nn.Sequential:
    """Return the untrained network for images (N, 3, 32, 32): three million products."""
    return nn.Sequential(
        nn.Conv2d(3, channels, 3, stride=2, padding=1, bias=False),
        nn.BatchNorm2d(channels),
        nn.ReLU(),
        Block(2, channels, channels, 3),
        Block(2, channels, 2 * channels, 3, stride=2),
        Block(2, 2 * channels, 4 * channels, 3, stride=2),
        nn.AdaptiveAvgPool2d(1),
        nn.Flatten(),
        nn.Linear(4 * channels, 10),
    )
