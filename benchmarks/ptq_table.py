"""Post-training quantization beside training with quantizers, element-wise layers at 8 to 4 bits.

    python benchmarks/ptq_table.py FOLDER [--epochs 10] [--seeds 0 1] [--json FILE]

FOLDER holds the MIT-BIH beats, as for `examples/ecg_conv1d.py`; the network is a one-dimensional
residual network with BatchNorm. Weights have 8 bits throughout, so that what differs is only the
width of everything element-wise: BatchNorm's scale and offset, activations, and what is added to
a shortcut. One float network a seed; from it

- post-training: the best of three calibrations (min-max, percentile, MSE), best on the test set,
  so if anything flattered, with bias correction
- trained: the MSE calibration and then `--epochs` of training
- float: the same network after as many more epochs in float32, so that none learnt longer

The figure is the mean of the accuracies over the classes, since most beats are normal.

Source: the comparison is that of Dai et al., QFX, arXiv 2401.17544 (there on CIFAR-10).
"""

from __future__ import annotations

import argparse
import copy
import json
import statistics
import sys
import time
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

import hwgen.nn as hnn

sys.path.insert(0, str(Path(__file__).parents[1] / "examples"))
from ecg_conv1d import CLASSES, SIGNAL, balanced_loss, signal
from public_data import Data, load_mitbih
from training import Plan, fit

WIDTHS = (8, 6, 5, 4)


class Block(nn.Module):
    """Two convolutions beside a shortcut."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv1d(channels, channels, 5, padding=2, bias=False)
        self.bn1 = nn.BatchNorm1d(channels)
        self.relu1 = nn.ReLU()
        self.conv2 = nn.Conv1d(channels, channels, 5, padding=2, bias=False)
        self.bn2 = nn.BatchNorm1d(channels)
        self.relu2 = nn.ReLU()

    def forward(self, x: Tensor) -> Tensor:
        """Return the activations."""
        inner = self.relu1(self.bn1(self.conv1(x)))
        return self.relu2(self.bn2(self.conv2(inner)) + x)


def build_network(channels: int = 12) -> nn.Sequential:
    """Return the untrained float network for beats (N, 1, 128)."""
    return nn.Sequential(
        nn.Conv1d(1, channels, 7, stride=2, padding=3, bias=False),
        nn.BatchNorm1d(channels),
        nn.ReLU(),
        nn.MaxPool1d(2),
        Block(channels),
        nn.MaxPool1d(2),
        Block(channels),
        nn.MaxPool1d(2),
        nn.Flatten(),
        nn.Linear(channels * 8, len(CLASSES)),
    )


def config(width: int) -> hnn.LayerConfig:
    """Return the formats with element-wise layers of `width` bits."""
    return hnn.LayerConfig(
        weight=hnn.FixedPointConfig(8),
        bias=hnn.FixedPointConfig(width, max_frac=12),
        scale=hnn.FixedPointConfig(width),
        output=hnn.FixedPointConfig(width),
    )


def balanced_accuracy(model: nn.Module, test: Tensor, labels: np.ndarray) -> float:
    """Return the mean over classes of the share of beats found."""
    with torch.no_grad():
        predicted = model.eval()(test).argmax(1).numpy()
    return float(np.mean([(predicted[labels == c] == c).mean() for c in np.unique(labels)]))


def quantized(model: nn.Module, width: int, beats: Tensor, method: hnn.CalibrationMethod):
    """Return the calibrated twin."""
    twin = hnn.prepare(model.eval(), config(width), input=SIGNAL)
    hnn.calibrate(twin, [beats], method)
    return twin


def run_seed(seed: int, data: Data, epochs: int) -> dict[str, dict[int, float] | float]:
    """Return the accuracies of one float network and all that is made of it."""
    torch.manual_seed(seed)
    beats, labels = torch.from_numpy(data.train), torch.from_numpy(data.train_labels)
    test = signal(torch.from_numpy(data.test))
    some = signal(beats[torch.randperm(len(beats))[:1000]])
    loss = balanced_loss(labels)

    def train(model: nn.Module, rate: float, title: str) -> float:
        plan = Plan(epochs, 128, rate, weight_decay=1e-2)
        fit(model, beats, labels, plan, title=f"seed {seed}, {title}", convert=signal, loss=loss)
        return balanced_accuracy(model, test, data.test_labels)

    network = build_network()
    row: dict = {"float": train(network, 5e-3, "float"), "post-training": {}, "trained": {}}
    row["float, trained on"] = train(copy.deepcopy(network), 2e-3, "float, trained on")
    for width in WIDTHS:
        candidates = []
        for method in hnn.CalibrationMethod:
            twin = quantized(network, width, some, method)
            candidates.append(balanced_accuracy(twin, test, data.test_labels))
            hnn.correct_biases(twin, [some])
            candidates.append(balanced_accuracy(twin, test, data.test_labels))
        row["post-training"][width] = max(candidates)
        twin = quantized(network, width, some, hnn.CalibrationMethod.MSE)
        row["trained"][width] = train(twin, 2e-3, f"{width} bits")
    return row


def table(rows: dict[int, dict]) -> str:
    """Return the figures as Markdown."""
    seeds = ", ".join(str(seed) for seed in rows)
    lines = [
        f"| element-wise bits | post-training (seeds {seeds}) | trained | difference of means |",
        "|---|---|---|---|",
    ]
    for width in WIDTHS:
        ptq, trained = (
            [row[k][width] for row in rows.values()] for k in ("post-training", "trained")
        )
        gain = statistics.mean(trained) - statistics.mean(ptq)
        lines.append(f"| {width} | {_each(ptq)} | {_each(trained)} | {100 * gain:+.2f} |")
    for name in ("float", "float, trained on"):
        lines.append(f"| {name} | {_each([row[name] for row in rows.values()])} | | |")
    return "\n".join(lines)


def _each(shares: list[float]) -> str:
    return " / ".join(f"{100 * share:.2f}" for share in shares) + " %"


def main() -> None:
    """Run all seeds and print the table."""
    parser = argparse.ArgumentParser(description="Trained against post-training quantization.")
    parser.add_argument("data", type=Path, help="folder of MIT-BIH's files")
    parser.add_argument("--epochs", type=int, default=10)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1])
    parser.add_argument("--beats", type=int, help="train on this many only")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--json", type=Path, help="write the figures here too")
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    data = load_mitbih(options.data, CLASSES)
    data = data._replace(
        train=data.train[: options.beats], train_labels=data.train_labels[: options.beats]
    )
    begin = time.perf_counter()
    rows = {seed: run_seed(seed, data, options.epochs) for seed in options.seeds}
    print(table(rows))
    print(f"{options.epochs} epochs each, {time.perf_counter() - begin:.0f} s")
    if options.json:
        options.json.write_text(json.dumps({"epochs": options.epochs, "seeds": rows}, indent=1))


if __name__ == "__main__":
    main()
