"""Three ways to put a digit classifier on an FPGA: fixed point, K-hot, binary.

    python examples/digits.py                       # train all three, write digits_*.onnx
    python examples/digits.py --network khot --out build
    hwgen build build/digits_khot.onnx --board ultra96   # the next step

The data are scikit-learn's handwritten digits: 1,797 real images of 8x8 pixels, each an integer
from 0 to 16. A fifth is held out. All networks have the same shape, 64-64-64-10, and differ only
in what a number may be:

- fixed : 6-bit fixed-point weights and activations; training finds the binary points
- khot  : 6-bit weights that are sums of two powers of two, so a product is two shifted additions
- binary: weights and activations -1 or +1, so a product is an XNOR gate

Read from top to bottom: data, networks, training, export.
"""

from __future__ import annotations

import argparse
import time
from collections import OrderedDict
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import torch
from sklearn.datasets import load_digits
from torch import Tensor, nn

import hwgen.nn as hnn

NETWORKS = ("fixed", "khot", "binary")
EPOCHS = 30
BATCH_SIZE = 32
SPLIT_SEED = 2024  # which images are held out never depends on the training seed


# 1. Data: integers in, so that no rounding happens before the network.


class Digits(NamedTuple):
    """Images (N, 64) of integers 0..16 as float32, labels (N,), split for training and test."""

    train_images: Tensor
    train_labels: Tensor
    test_images: Tensor
    test_labels: Tensor


def load_data() -> Digits:
    """Return the bundled digits with a random fifth held out, the same one every time."""
    bunch = load_digits()
    images = torch.tensor(bunch.data, dtype=torch.float32)
    labels = torch.tensor(bunch.target)
    order = torch.randperm(len(images), generator=torch.Generator().manual_seed(SPLIT_SEED))
    held_out = len(images) // 5
    test, train = order[:held_out], order[held_out:]
    return Digits(images[train], labels[train], images[test], labels[test])


# 2. Networks: ordinary nn.Sequential, with layers that know the numbers of the hardware.

# 16 does not fit in four bits, so five; frac=0 because pixels are integers already.
PIXEL = hnn.FixedPointConfig(bit_width=5, signed=False, frac=0)
WEIGHT_6 = hnn.FixedPointConfig(bit_width=6)
WEIGHT_2HOT = hnn.KHotConfig(bit_width=6, k=2)
ACTIVATION_6 = hnn.FixedPointConfig(bit_width=6, signed=False)


def build_network(network: str) -> nn.Sequential:
    """Return the untrained network called `network`."""
    weight = {"fixed": WEIGHT_6, "khot": WEIGHT_2HOT, "binary": hnn.BinaryConfig()}[network]

    def activation() -> nn.Module:
        return hnn.Sign() if network == "binary" else hnn.ReLU(output=ACTIVATION_6)

    return nn.Sequential(
        OrderedDict(
            pixels=hnn.Identity(output=PIXEL),
            fc1=hnn.Linear(64, 64, bias=False, weight=weight),
            bn1=hnn.BatchNorm1d(64),
            act1=activation(),
            fc2=hnn.Linear(64, 64, bias=False, weight=weight),
            bn2=hnn.BatchNorm1d(64),
            act2=activation(),
            fc3=hnn.Linear(64, 10, weight=weight),
        )
    )


# 3. Training: nothing special; gradients pass straight through the quantizers.


def train(
    network: str,
    seed: int = 0,
    epochs: int = EPOCHS,
    progress: Callable[[int, float], None] | None = None,
) -> tuple[nn.Sequential, Digits]:
    """Train one network and return it in eval mode, with the data.

    Parameters
    ----------
    network : "fixed", "khot" or "binary"
    progress : called after each epoch with its number (from 1) and mean loss
    """
    torch.manual_seed(seed)
    torch.set_num_threads(1)  # matrices this small only lose by being split between cores
    data = load_data()
    model = build_network(network)
    optimizer = torch.optim.Adam(model.parameters(), lr=0.01)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, epochs)
    # Scaled down, so that the sums of the binary network do not saturate the softmax.
    temperature = 8.0 if network == "binary" else 1.0
    for epoch in range(epochs):
        model.train()
        total = 0.0
        for batch in torch.randperm(len(data.train_images)).split(BATCH_SIZE):
            logits = model(data.train_images[batch]) / temperature
            loss = nn.functional.cross_entropy(logits, data.train_labels[batch])
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            total += float(loss.detach()) * len(batch)
        schedule.step()
        if progress is not None:
            progress(epoch + 1, total / len(data.train_images))
    return model.eval(), data


def accuracy(model: nn.Module, data: Digits) -> float:
    """Return the share of held-out images that `model` classifies correctly."""
    with torch.no_grad():
        predicted = model(data.test_images).argmax(dim=1)
    return float((predicted == data.test_labels).float().mean())


# 4. Export: a QONNX file that computes the same numbers, ready for `hwgen build`.


def main() -> None:
    """Train, report and export what the command line asks for."""
    parser = argparse.ArgumentParser(description="Train quantized digit classifiers.")
    parser.add_argument("--network", choices=[*NETWORKS, "all"], default="all")
    parser.add_argument("--epochs", type=int, default=EPOCHS)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path, default=Path("build"), metavar="DIR")
    arguments = parser.parse_args()
    arguments.out.mkdir(parents=True, exist_ok=True)
    print(f"training seed {arguments.seed}, held-out fifth drawn with seed {SPLIT_SEED}")
    for network in NETWORKS if arguments.network == "all" else (arguments.network,):
        started = time.perf_counter()
        model, data = train(network, arguments.seed, arguments.epochs)
        seconds = time.perf_counter() - started
        path = hnn.export(model, data.test_images, arguments.out / f"digits_{network}.onnx")
        correct = accuracy(model, data)
        print(f"{network:6}  {correct:6.2%} of {len(data.test_labels)} held-out images,", end=" ")
        print(f"{seconds:.1f} s, {path}")


if __name__ == "__main__":
    main()
