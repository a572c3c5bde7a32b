"""Heartbeats: a small one-dimensional convolutional network that sorts ECG beats, in fixed point.

    python examples/ecg_conv1d.py --data FOLDER
    hwgen build build/ecg_conv1d.onnx --board ultra96              # the next step

FOLDER holds records of the MIT-BIH arrhythmia database (see `public_data.py`). A beat is 0.7 s of
one lead, 128 samples around its peak; the classes are those of the AAMI standard: normal,
supraventricular, ventricular, and paced or unclassified. Fusion beats are left out: the records
used here hold a handful. The last fifth of each record is held out, so the network has seen these
patients before, but not these minutes.

Trained twice: in float32, and then as its quantized twin, which starts from the float weights.
Weights and activations of the twin have 6 bits, biases and the constants of BatchNorm 8.

Source: Moody and Mark, MIT-BIH Arrhythmia Database, IEEE Eng. in Med. and Biol. 20(3), 2001;
ANSI/AAMI EC57 (classes).
"""

from __future__ import annotations

from collections import OrderedDict

import numpy as np
import torch
from public_data import BEAT_CLASSES, load_mitbih
from torch import Tensor, nn
from training import Plan, command_line, fit, integer_predictions, start, tensors

import hwgen.nn as hnn

CLASSES = tuple(name for name in BEAT_CLASSES if name != "F")

# 1. Data: the samples are readings of an 11-bit converter, 200 a millivolt, 1024 at rest.


def signal(samples: Tensor) -> Tensor:
    """Return readings (N, 128) as (N, 1, 128), rest at 0 and 256 readings at 1; exact."""
    return (samples.float() - 1024).unsqueeze(1) / 256


# 2. The network, in plain PyTorch: three convolutions, each halving the length.


def build_network() -> nn.Sequential:
    """Return the untrained float network: 55,000 products a beat."""
    layers: OrderedDict[str, nn.Module] = OrderedDict()
    shapes = ((1, 8, 7, 2), (8, 16, 5, 1), (16, 24, 5, 1))
    for number, (inputs, outputs, kernel, stride) in enumerate(shapes, 1):
        layers[f"conv{number}"] = nn.Conv1d(
            inputs, outputs, kernel, stride, padding=kernel // 2, bias=False
        )
        layers[f"bn{number}"] = nn.BatchNorm1d(outputs)
        layers[f"relu{number}"] = nn.ReLU()
        layers[f"pool{number}"] = nn.MaxPool1d(2)
    layers["flatten"] = nn.Flatten()
    layers["dense"] = nn.Linear(24 * 8, len(CLASSES))
    return nn.Sequential(layers)


# 3. Its quantized twin.

# Eight bits from -4 to 4: a step is 0.03, about 0.04 mV; the input quantizer rounds to it.
SIGNAL = hnn.FixedPointConfig(bit_width=8, frac=5)
SIX_BITS = hnn.LayerConfig(
    weight=hnn.FixedPointConfig(bit_width=6),
    scale=hnn.FixedPointConfig(bit_width=8),
    output=hnn.FixedPointConfig(bit_width=6, signed=False),
)


def quantized_twin(model: nn.Module, samples: Tensor) -> nn.Module:
    """Return the twin with the weights of `model`, its binary points found on `samples`."""
    twin = hnn.prepare(model.eval(), SIX_BITS, input=SIGNAL)
    hnn.calibrate(twin, [signal(samples)], hnn.CalibrationMethod.MSE)
    return twin


# 4. Train and export.


def balanced_loss(labels: Tensor):
    """Return the cross entropy in which rare classes count more."""
    counts = torch.bincount(labels, minlength=len(CLASSES)).clamp(min=1)
    weight = (counts.sum() / counts).sqrt()
    weight = weight / weight.mean()

    def loss(model: nn.Module, inputs: Tensor, wanted: Tensor) -> Tensor:
        return nn.functional.cross_entropy(model(inputs), wanted, weight)

    return loss


def score(predicted: np.ndarray, labels: np.ndarray) -> str:
    """Return accuracy, its mean over classes, and the share found of each class."""
    found = {
        name: float((predicted[labels == index] == index).mean())
        for index, name in enumerate(CLASSES)
        if (labels == index).any()
    }
    each = ", ".join(f"{name} {share:.1%}" for name, share in found.items())
    balanced = sum(found.values()) / len(found)
    return f"{(predicted == labels).mean():.2%}, balanced {balanced:.2%} ({each})"


def main() -> None:
    """Train float network and twin, export, measure."""
    options = start(command_line("Train a classifier of ECG beats.", epochs=25, data="MIT-BIH"))
    beats, labels, test, test_labels = tensors(load_mitbih(options.data, CLASSES), options.samples)
    test, wanted = signal(test), test_labels.numpy()

    def predictions(model: nn.Module) -> np.ndarray:
        with torch.no_grad():
            return model.eval()(test).argmax(1).numpy()

    def train(model: nn.Module, title: str, rate: float) -> None:
        fit(
            model,
            beats,
            labels,
            Plan(options.epochs, 128, rate, weight_decay=1e-2),
            title=title,
            checkpoint=options.out / f"ecg_conv1d_{title.replace(' ', '_')}.pt",
            convert=signal,
            loss=balanced_loss(labels),
            validate=lambda network: float((predictions(network) == wanted).mean()),
        )

    network = build_network()
    train(network, "float", 5e-3)
    print(f"float network: {score(predictions(network), wanted)}")
    twin = quantized_twin(network, beats[:: max(1, len(beats) // 1000)])
    print(f"quantized, not trained: {score(predictions(twin), wanted)}")
    train(twin, "six bits", 1e-3)
    path = hnn.export(twin, test[:1], options.out / "ecg_conv1d.onnx")
    print(hnn.summary(twin))
    print(f"{path}, integer model: {score(integer_predictions(path, test.numpy()), wanted)}")


if __name__ == "__main__":
    main()
