"""A small network for each kind of layer that hwgen.nn exports, seeded and calibrated."""

from collections.abc import Callable

import torch
from torch import Tensor, nn

import hwgen.nn as hnn
from hwgen.nn import Scale

Network = tuple[nn.Module, Tensor]  # in eval mode, and a batch for it


def signed(bits: int = 5) -> hnn.FixedPointConfig:
    return hnn.FixedPointConfig(bits)


def unsigned(bits: int = 5) -> hnn.FixedPointConfig:
    return hnn.FixedPointConfig(bits, signed=False)


def images(*layers: nn.Module, channels: int = 2, size: tuple[int, int] = (6, 8)) -> Network:
    return nn.Sequential(hnn.Identity(output=signed(4)), *layers), torch.randn(6, channels, *size)


def sequences(*layers: nn.Module, channels: int = 2) -> Network:
    return nn.Sequential(hnn.Identity(output=signed(4)), *layers), torch.randn(6, channels, 16)


def convolution_and_norm() -> Network:
    """A BatchNorm of its own, and one inside the weights."""
    folded = hnn.Conv2d(4, 3, 3, weight=signed())
    folded.fold(nn.BatchNorm2d(3), signed(8))
    return images(
        *(hnn.Conv2d(2, 4, 3, padding=1, weight=signed()), hnn.BatchNorm2d(4)),
        *(hnn.ReLU(output=unsigned()), folded, hnn.ReLU(output=unsigned())),
        *(nn.MaxPool2d(2), nn.Flatten(), hnn.Linear(27, 5, weight=signed())),
        size=(8, 8),
    )


def strided_dilated_depthwise() -> Network:
    return images(
        *(hnn.Conv2d(2, 4, (3, 2), (2, 1), (1, 0), weight=signed()), hnn.ReLU(output=unsigned())),
        *(
            hnn.Conv2d(4, 4, 2, dilation=(1, 2), groups=4, weight=signed()),
            hnn.ReLU6(output=signed()),
        ),
        hnn.Conv2d(4, 6, 1, groups=2, weight=hnn.FixedPointConfig(4, per_channel=True)),
    )


def sequence() -> Network:
    return sequences(
        *(nn.ZeroPad1d((1, 0)), hnn.Conv1d(2, 4, 3, dilation=2, weight=signed())),
        *(hnn.BatchNorm1d(4), hnn.ReLU(output=unsigned()), nn.MaxPool1d(2)),
        *(hnn.Conv1d(4, 4, 3, padding=1, groups=4, weight=signed()), hnn.Hardtanh(output=signed())),
        *(hnn.AvgPool1d(2, output=signed(7)), nn.Flatten(), hnn.Linear(12, 3, weight=signed())),
    )


def average_pools() -> Network:
    """Of 4 and of 6 numbers, of quantized ones and of sums."""
    return images(
        *(hnn.AvgPool2d(2, output=signed(7)), hnn.Conv2d(2, 3, 1, weight=signed())),
        *(hnn.AvgPool2d((1, 2), output=signed(8)), hnn.AdaptiveAvgPool2d(1, output=signed(8))),
        *(nn.Flatten(), hnn.Linear(3, 2, weight=signed())),
    )


def upsampled() -> Network:
    return images(
        hnn.Conv2d(2, 3, 3, padding=1, weight=signed()),
        *(hnn.ReLU(output=unsigned()), nn.Upsample(scale_factor=(2, 3))),
        hnn.Conv2d(3, 2, 3, weight=signed()),
    )


def activations() -> Network:
    return images(
        *(hnn.Conv2d(2, 3, 1, weight=signed()), hnn.PReLU(3, output=signed())),
        *(hnn.Conv2d(3, 3, 1, weight=signed()), hnn.RPReLU(3, output=signed())),
        *(hnn.Conv2d(3, 2, 1, weight=signed()), hnn.Hardtanh(-0.75, 1.25, output=signed(6))),
    )


def binary() -> Network:
    """Signs that products read as bits, and signs that are padded and averaged."""
    weight = hnn.BinaryConfig()
    return images(
        *(hnn.Conv2d(2, 4, 3, padding=1, weight=weight), hnn.BatchNorm2d(4), hnn.Sign()),
        *(nn.MaxPool2d(2), hnn.Conv2d(4, 4, 2, weight=weight), hnn.BatchNorm2d(4), hnn.Sign()),
        *(hnn.Conv2d(4, 4, 3, padding=1, weight=weight), hnn.BatchNorm2d(4), hnn.Sign()),
        *(hnn.AvgPool2d(2, output=signed(4)), nn.Flatten()),
        hnn.Linear(4, 3, weight=hnn.BinaryConfig(scale=Scale.POWER_OF_TWO)),
    )


def other_weights() -> Network:
    """K-hot, ternary, a scale a channel of any value."""
    free = hnn.BinaryConfig(scale=Scale.POWER_OF_TWO, per_channel=True)
    return images(
        *(hnn.Conv2d(2, 4, 2, weight=hnn.KHotConfig(6)), hnn.ReLU(output=unsigned())),
        *(hnn.Conv2d(4, 3, 2, weight=hnn.TernaryConfig()), hnn.ReLU(output=unsigned())),
        *(hnn.Conv2d(3, 3, 2, weight=free), hnn.ReLU(output=unsigned())),
    )


class Branches(nn.Module):
    """A residual sum and a Concat of three."""

    def __init__(self) -> None:
        super().__init__()
        self.start = hnn.Identity(output=signed(4))
        self.left = hnn.Conv2d(2, 2, 3, padding=1, weight=signed(), output=signed())
        self.join, self.after = hnn.Add(), hnn.ReLU(output=unsigned())
        self.right = hnn.Conv2d(2, 3, 1, weight=signed(), output=signed())
        self.cat, self.pool = hnn.Cat(), nn.MaxPool2d(2)
        self.flatten, self.dense = nn.Flatten(), hnn.Linear(84, 3, weight=signed())

    def forward(self, x: Tensor) -> Tensor:
        x = self.start(x)
        y = self.after(self.join(self.left(x), x))
        joined = self.cat(x, y, self.right(y))
        return self.dense(self.flatten(self.pool(joined)))


def branches() -> Network:
    return Branches(), torch.randn(6, 2, 6, 8)


def gated() -> Network:
    return images(
        *(hnn.PrecisionGatedConv2d(2, 4, 3, padding=1), hnn.BatchNorm2d(4)),
        hnn.Identity(output=signed()),
    )


def encoded() -> Network:
    layers = (hnn.Thermometer(2, 64, 8), hnn.Conv2d(8, 3, 2, weight=hnn.BinaryConfig()))
    return nn.Sequential(*layers), torch.randint(0, 256, (6, 2, 4, 5)).float()


def padded_pixels() -> Network:
    """With a Pad that is the convolution's, and one that a pool reads."""
    layers = (
        *(hnn.Pixels(6), nn.ZeroPad2d((1, 0, 2, 1)), hnn.Conv2d(1, 3, 3, weight=signed())),
        *(hnn.ReLU(output=unsigned()), nn.Dropout(), nn.ZeroPad2d((1, 0, 1, 1)), nn.MaxPool2d(2)),
    )
    return nn.Sequential(*layers), torch.randint(0, 64, (6, 1, 5, 6)).float()


def pooled_sequence() -> Network:
    return sequences(
        *(hnn.Conv1d(2, 4, 3, weight=signed()), hnn.ReLU(output=unsigned()), nn.Identity()),
        *(hnn.AdaptiveAvgPool1d(1, output=signed(8)), nn.Flatten()),
        *(hnn.Linear(4, 5, weight=signed()), hnn.BatchNorm1d(5), hnn.ReLU(output=unsigned())),
    )


def embedded() -> Network:
    layers = (hnn.Embedding(12, 3), nn.Flatten(), hnn.Linear(15, 4, weight=signed()))
    return nn.Sequential(*layers), torch.randint(0, 12, (6, 5)).float()


MAKERS: tuple[Callable[[], Network], ...] = (
    *(convolution_and_norm, strided_dilated_depthwise, sequence, average_pools, upsampled),
    *(activations, binary, other_weights, branches, gated, encoded, embedded),
    *(padded_pixels, pooled_sequence),
)


def trained(make: Callable[[], Network]) -> Network:
    """Return the network as after training: scales of either sign, calibrated, in eval mode."""
    torch.manual_seed(0)
    network, batch = make()
    for module in network.modules():
        if isinstance(module, nn.BatchNorm1d | nn.BatchNorm2d):
            nn.init.uniform_(module.weight, -1, 1)
            nn.init.uniform_(module.bias, -1, 1)
    for _ in range(3):
        network(batch)
    return network.eval(), batch
