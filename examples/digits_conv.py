"""A small convolutional network with a shortcut for handwritten digits, in fixed point.

    python examples/digits_conv.py                       # trains in a minute, no download
    hwgen build build/digits_conv.onnx --board ultra96   # the next step

The smallest example with everything an image network has: convolutions with padding, BatchNorm,
a residual shortcut, a stride, max pooling and a global average. The data are those of
`digits.py`, as images of 8x8 pixels. Weights and activations have 5 bits.
"""

from __future__ import annotations

from digits import PIXEL, load_data
from torch import Tensor, nn
from training import Plan, accuracy, command_line, fit, integer_accuracy, start

import hwgen.nn as hnn

# 1. Data: rows of 64 pixels become images of one channel.


def images(rows: Tensor) -> Tensor:
    """Return (N, 64) as (N, 1, 8, 8)."""
    return rows.reshape(-1, 1, 8, 8)


# 2. The network. What is added keeps eight bits; a quantizer on each side of the addition makes
# both summands integers.

WEIGHT = hnn.FixedPointConfig(bit_width=5)
ACTIVATION = hnn.FixedPointConfig(bit_width=5, signed=False)
SUMMAND = hnn.FixedPointConfig(bit_width=8)


class DigitsConv(nn.Module):
    """Convolution, residual block, pooling, convolution with stride 2, average, linear layer."""

    def __init__(self, channels: int = 8) -> None:
        super().__init__()

        def convolution(inputs: int, outputs: int, stride: int = 1) -> hnn.Conv2d:
            return hnn.Conv2d(inputs, outputs, 3, stride, padding=1, bias=False, weight=WEIGHT)

        self.pixels = hnn.Identity(output=PIXEL)
        self.conv1 = convolution(1, channels)
        self.bn1 = hnn.BatchNorm2d(channels)
        self.relu1 = hnn.ReLU(output=ACTIVATION)
        self.conv2 = convolution(channels, channels)
        self.bn2 = hnn.BatchNorm2d(channels, output=SUMMAND)
        self.add = hnn.Add(output=None)
        self.relu2 = hnn.ReLU(output=ACTIVATION)
        self.pool = nn.MaxPool2d(2)
        self.conv3 = convolution(channels, 2 * channels, stride=2)
        self.bn3 = hnn.BatchNorm2d(2 * channels)
        self.relu3 = hnn.ReLU(output=ACTIVATION)
        self.average = hnn.AdaptiveAvgPool2d(1, output=hnn.FixedPointConfig(8, signed=False))
        self.flatten = nn.Flatten()
        self.dense = hnn.Linear(2 * channels, 10, weight=WEIGHT)

    def forward(self, x: Tensor) -> Tensor:
        """Return scores (N, 10) of images (N, 1, 8, 8)."""
        x = self.relu1(self.bn1(self.conv1(self.pixels(x))))
        x = self.relu2(self.add(self.bn2(self.conv2(x)), x))
        x = self.relu3(self.bn3(self.conv3(self.pool(x))))
        return self.dense(self.flatten(self.average(x)))


# 3. Train and export.


def main() -> None:
    """Train, export, measure."""
    options = start(command_line("Train a small convolutional digit classifier.", epochs=30))
    data = load_data()
    model = DigitsConv()
    fit(
        model,
        data.train_images,
        data.train_labels,
        Plan(options.epochs, 32, learning_rate=1e-2),
        title="5 bits",
        checkpoint=options.out / "digits_conv.pt",
        convert=images,
        validate=lambda network: accuracy(network, data.test_images, data.test_labels, images),
    )
    test = images(data.test_images)
    path = hnn.export(model, test, options.out / "digits_conv.onnx")
    share = integer_accuracy(path, test.numpy(), data.test_labels.numpy())
    print(f"{path}: the integer model is right on {share:.2%} of {len(test)} held-out images")


if __name__ == "__main__":
    main()
