"""Learning curves of the estimators of the sign, on a binary ResNet-20 and CIFAR-10.

    python benchmarks/estimators.py FOLDER [--epochs 5] [--images 5000] [--json F] [--plot F.svg]

FOLDER holds the files of CIFAR-10, as for `examples/cifar10_resnet8.py`. The network is ResNet-20
(3 stages of 16, 32 and 64 channels, 6 convolutions each) in the form of Bi-Real Net: 1-bit weights
and 1-bit activations, a shortcut around each convolution; the first convolution and the linear
layer keep 8 bits. All estimators start from the same weights, see the same batches in the same
order, and take the same number of steps with the same rate; only the gradient of the sign differs,
and with IR-Net and BiPer what their papers do to weights.

By default images are reduced to 16x16 and few, so that all six take minutes on a CPU: curves can
be compared with each other, not with published accuracies, which take hundreds of epochs. With a
GPU or a night: `--size 32 --images 50000 --epochs 100`.

Source: He et al., arXiv 1512.03385 (ResNet-20); Liu et al., Bi-Real Net, ECCV 2018 (shortcuts);
`hwgen/nn/estimators.py` for the estimators.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from pathlib import Path

import torch
from torch import Tensor, nn

import hwgen.nn as hnn

sys.path.insert(0, str(Path(__file__).parents[1] / "examples"))
from public_data import load_cifar10
from training import Plan, accuracy, fit

EIGHT_BITS = hnn.FixedPointConfig(8)
PIXEL = hnn.FixedPointConfig(8, signed=False, frac=8)
BIPER_TAU = 0.037  # the paper's for its first stage


def weights(estimator: hnn.Estimator) -> hnn.BinaryConfig:
    """Return how each method makes weights binary; the scale is a shift throughout."""
    centred = estimator is hnn.Estimator.IR_NET
    return hnn.BinaryConfig(estimator, scale=hnn.Scale.POWER_OF_TWO, centred=centred)


class Unit(nn.Module):
    """Sign, binary 3x3 convolution and BatchNorm, beside a shortcut."""

    def __init__(self, inputs: int, outputs: int, estimator: hnn.Estimator) -> None:
        super().__init__()
        stride = 1 if inputs == outputs else 2
        self.sign = hnn.Sign(estimator)
        self.conv = hnn.Conv2d(
            inputs, outputs, 3, stride, padding=1, bias=False, weight=weights(estimator)
        )
        self.bn = hnn.BatchNorm2d(outputs, output=EIGHT_BITS)
        self.halve = hnn.AvgPool2d(2, output=EIGHT_BITS) if stride == 2 else nn.Identity()
        self.twice = hnn.Cat(output=EIGHT_BITS)
        self.add = hnn.Add(output=EIGHT_BITS)

    def forward(self, x: Tensor) -> Tensor:
        """Return the sum of both ways; where maps shrink, the shortcut repeats its channels."""
        around = self.halve(x)
        if self.conv.out_channels != self.conv.in_channels:
            around = self.twice(around, around)
        return self.add(self.bn(self.conv(self.sign(x))), around)


def build_network(estimator: hnn.Estimator) -> nn.Sequential:
    """Return the untrained ResNet-20; widths and depth do not depend on the image's size."""
    layers: list[nn.Module] = [
        hnn.Identity(output=PIXEL),
        hnn.Conv2d(3, 16, 3, padding=1, bias=False, weight=EIGHT_BITS),
        hnn.BatchNorm2d(16, output=EIGHT_BITS),
    ]
    inputs = 16
    for outputs in (16, 32, 64):
        for _ in range(6):
            layers.append(Unit(inputs, outputs, estimator))
            inputs = outputs
    layers += [hnn.AdaptiveAvgPool2d(1, output=EIGHT_BITS), nn.Flatten(), hnn.Linear(64, 10)]
    return nn.Sequential(*layers)


def reduced(images: Tensor, size: int) -> Tensor:
    """Return uint8 images of `size` pixels a side, each the mean of those it covers."""
    if images.shape[-1] == size:
        return images
    means = [nn.functional.adaptive_avg_pool2d(part.float(), size) for part in images.split(1000)]
    return torch.cat([part.round().to(torch.uint8) for part in means])


def pixels(images: Tensor) -> Tensor:
    """Return uint8 images as fractions of 256."""
    return images.float() / 256


def mirrored(images: Tensor) -> Tensor:
    """Return `pixels` of images, half of them mirrored."""
    flipped = torch.rand(len(images), 1, 1, 1) < 0.5
    return pixels(torch.where(flipped, images.flip(3), images))


def loss(model: nn.Module, inputs: Tensor, labels: Tensor) -> Tensor:
    """Return the cross entropy, and BiPer's penalty where its weights are trained."""
    return nn.functional.cross_entropy(model(inputs), labels) + hnn.biper_penalty(model, BIPER_TAU)


def run(estimator: hnn.Estimator, data: tuple[Tensor, ...], plan: Plan, seed: int) -> list[dict]:
    """Return loss and accuracy after each epoch."""
    images, labels, test, test_labels = data
    torch.manual_seed(seed)
    model = build_network(estimator)
    schedule = hnn.Schedule(model, plan.epochs * (len(images) // plan.batch_size))
    return fit(
        model,
        images,
        labels,
        plan,
        title=estimator.value,
        convert=mirrored,
        loss=loss,
        schedule=schedule,
        validate=lambda network: accuracy(network, test, test_labels, pixels),
    )


def table(curves: dict[str, list[dict]]) -> str:
    """Return accuracy after each epoch as Markdown."""
    epochs = len(next(iter(curves.values())))
    lines = [
        "| estimator | " + " | ".join(f"epoch {n + 1}" for n in range(epochs)) + " | last loss |",
        "|---" * (epochs + 2) + "|",
    ]
    for name, history in curves.items():
        shares = " | ".join(f"{100 * epoch['accuracy']:.1f} %" for epoch in history)
        lines.append(f"| {name} | {shares} | {history[-1]['loss']:.3f} |")
    return "\n".join(lines)


COLOURS = ("#1b6ca8", "#c0392b", "#27864a", "#8e44ad", "#b7791f", "#444444")


def plot(curves: dict[str, list[dict]]) -> str:
    """Return accuracy over epochs as an SVG picture."""
    epochs = len(next(iter(curves.values())))
    top = max(epoch["accuracy"] for history in curves.values() for epoch in history)
    body = ['<rect width="520" height="320" fill="white"/>']
    for tenth in range(int(top * 10) + 2):
        y = 290 - tenth * 270 / (int(top * 10) + 1)
        body.append(f'<path d="M40 {y:.1f}H380" stroke="#ddd"/>')
        body.append(f'<text x="34" y="{y + 4:.1f}" text-anchor="end">{10 * tenth} %</text>')
    for epoch in range(epochs):
        x = 40 + 340 * epoch / max(1, epochs - 1)
        body.append(f'<text x="{x:.1f}" y="306" text-anchor="middle">{epoch + 1}</text>')
    for place, ((name, history), colour) in enumerate(zip(curves.items(), COLOURS, strict=True)):
        points = " ".join(
            f"{40 + 340 * n / max(1, epochs - 1):.1f},"
            f"{290 - epoch['accuracy'] * 2700 / (int(top * 10) + 1):.1f}"
            for n, epoch in enumerate(history)
        )
        body.append(f'<polyline points="{points}" fill="none" stroke="{colour}" stroke-width="2"/>')
        body.append(f'<text x="395" y="{40 + 20 * place}" fill="{colour}">{name}</text>')
    style = 'font-family="sans-serif" font-size="11"'
    head = f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 520 320" {style}>'
    return "\n".join([head, *body, "</svg>\n"])


def main() -> None:
    """Train with each estimator and print the table."""
    parser = argparse.ArgumentParser(description="Learning curves of binary estimators.")
    parser.add_argument("data", type=Path, help="folder of CIFAR-10's files")
    parser.add_argument("--epochs", type=int, default=5)
    parser.add_argument("--images", type=int, default=5000, help="train on this many")
    parser.add_argument("--size", type=int, default=16, help="pixels a side")
    parser.add_argument("--batch-size", type=int, default=50)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--json", type=Path, help="write the curves here too")
    parser.add_argument("--plot", type=Path, help="write an .svg of them here")
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    found = load_cifar10(options.data)
    images = torch.from_numpy(found.train[: options.images])
    labels = torch.from_numpy(found.train_labels[: options.images])
    data = (
        reduced(images, options.size),
        labels,
        reduced(torch.from_numpy(found.test), options.size),
        torch.from_numpy(found.test_labels),
    )
    plan = Plan(options.epochs, options.batch_size, learning_rate=3e-3)
    begin = time.perf_counter()
    curves = {each.value: run(each, data, plan, options.seed) for each in hnn.Estimator}
    print(table(curves))
    print(
        f"seed {options.seed}, {len(labels)} images of {options.size}x{options.size}, batches of "
        f"{options.batch_size}, {len(data[3])} test images, {time.perf_counter() - begin:.0f} s"
    )
    if options.json:
        options.json.write_text(json.dumps({"seed": options.seed, "curves": curves}, indent=1))
    if options.plot:
        options.plot.write_text(plot(curves))


if __name__ == "__main__":
    main()
