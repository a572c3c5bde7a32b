"""What quantized training costs: one step of hwgen.nn beside the same step in plain PyTorch.

    python benchmarks/training_step.py                    # eager, and compiled with a C++ compiler
    python benchmarks/training_step.py --brevitas         # and Brevitas, if it is installed
    python benchmarks/training_step.py --steps 50 --json training_step.json

A step is forward, backward and SGD on one thread. Two networks: an MLP 784-256-256-10 with batch
256, and a small CNN on 32x32 images with batch 64. All weights, constants and activations are 8
bits with learned binary points; the input's format is given, as that of an image is. Steps
of all contestants take turns, so that a busy machine disturbs all alike; figures are medians,
relative to float32 PyTorch.
"""

from __future__ import annotations

import argparse
import json
import platform
import shutil
import statistics
import time
from collections.abc import Callable
from pathlib import Path

import torch
from torch import Tensor, nn

import hwgen.nn as hnn

SEED = 0
IMAGE = hnn.FixedPointConfig(8, frac=4)
WARM_UP_STEPS = 5  # calibration, allocation, compilation


def float_mlp() -> nn.Sequential:
    """Return 784-256-256-10 with BatchNorm and ReLU."""
    return nn.Sequential(
        nn.Linear(784, 256, bias=False),
        nn.BatchNorm1d(256),
        nn.ReLU(),
        nn.Linear(256, 256, bias=False),
        nn.BatchNorm1d(256),
        nn.ReLU(),
        nn.Linear(256, 10),
    )


def float_cnn() -> nn.Sequential:
    """Return three 3x3 convolutions, 16, 32 and 64 channels wide, pooled, and a classifier."""
    layers: list[nn.Module] = []
    for inputs, outputs in ((3, 16), (16, 32), (32, 64)):
        layers += [
            nn.Conv2d(inputs, outputs, 3, padding=1, bias=False),
            nn.BatchNorm2d(outputs),
            nn.ReLU(),
            nn.MaxPool2d(2),
        ]
    return nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(64, 10))


NETWORKS: dict[str, tuple[Callable[[], nn.Sequential], tuple[int, ...]]] = {
    "mlp": (float_mlp, (256, 784)),
    "cnn": (float_cnn, (64, 3, 32, 32)),
}


def brevitas_twin(model: nn.Sequential) -> nn.Module:
    """Return the network with Brevitas layers, 8 bits, scales learned, powers of two."""
    import brevitas.nn as qnn  # type: ignore[import-not-found]  # an optional peer
    from brevitas.quant import (  # type: ignore[import-not-found]
        Int8WeightPerTensorFixedPoint,
        Uint8ActPerTensorFixedPoint,
    )

    weight = {"weight_quant": Int8WeightPerTensorFixedPoint}
    layers: list[nn.Module] = []  # the input as it comes, in its favour
    for layer in model:
        if isinstance(layer, nn.Linear):
            size = layer.in_features, layer.out_features
            layers.append(qnn.QuantLinear(*size, bias=layer.bias is not None, **weight))
        elif isinstance(layer, nn.Conv2d):
            size = layer.in_channels, layer.out_channels
            layers.append(qnn.QuantConv2d(*size, 3, padding=1, bias=False, **weight))
        elif isinstance(layer, nn.ReLU):
            layers.append(qnn.QuantReLU(act_quant=Uint8ActPerTensorFixedPoint))
        else:
            layers.append(layer)
    return nn.Sequential(*layers)


def step_of(model: nn.Module, x: Tensor, labels: Tensor) -> Callable[[], None]:
    """Return one training step as a function."""
    model.train()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.01, momentum=0.9)

    def step() -> None:
        optimizer.zero_grad()
        nn.functional.cross_entropy(model(x), labels).backward()
        optimizer.step()

    return step


def contestants(network: str, brevitas: bool, compiled: bool) -> dict[str, Callable[[], None]]:
    """Return the training steps to compare, by name; the first is the reference."""
    build, shape = NETWORKS[network]
    torch.manual_seed(SEED)
    plain = build()
    x, labels = torch.randn(shape), torch.randint(0, 10, shape[:1])
    models: dict[str, nn.Module] = {
        "torch float32": plain,
        "hwgen.nn": hnn.prepare(plain, input=IMAGE),
    }
    if compiled:
        twin = hnn.prepare(plain, input=IMAGE)
        twin.train()(x)  # calibrated first: the compiled step has no observer in it
        models["torch float32 compiled"] = torch.compile(build())  # type: ignore[assignment]
        models["hwgen.nn compiled"] = torch.compile(twin)  # type: ignore[assignment]
    if brevitas:
        models["Brevitas"] = brevitas_twin(build())
    return {name: step_of(model, x, labels) for name, model in models.items()}


def medians(steps: dict[str, Callable[[], None]], count: int) -> dict[str, float]:
    """Return the median seconds of each step, all of them taking turns."""
    seconds: dict[str, list[float]] = {name: [] for name in steps}
    for turn in range(WARM_UP_STEPS + count):
        for name, step in steps.items():
            started = time.perf_counter()
            step()
            if turn >= WARM_UP_STEPS:
                seconds[name].append(time.perf_counter() - started)
    return {name: statistics.median(values) for name, values in seconds.items()}


def main() -> None:
    """Measure, print, and write JSON where asked."""
    parser = argparse.ArgumentParser(description="Time one training step.")
    parser.add_argument("--network", choices=[*NETWORKS, "all"], default="all")
    parser.add_argument("--steps", type=int, default=30, help="at least 20")
    parser.add_argument("--brevitas", action="store_true", help="needs brevitas installed")
    parser.add_argument("--no-compile", action="store_true")
    parser.add_argument("--json", type=Path)
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    compiled = not arguments.no_compile and shutil.which("g++") is not None
    results: dict[str, dict[str, float]] = {}
    count = max(20, arguments.steps)
    print(f"torch {torch.__version__}, {platform.processor() or platform.machine()}, 1 thread,")
    print(f"median of {count} steps, seed {SEED}")
    for network in NETWORKS if arguments.network == "all" else (arguments.network,):
        found = medians(contestants(network, arguments.brevitas, compiled), count)
        results[network] = found
        for name, seconds in found.items():
            ratio = seconds / found["torch float32"]
            print(f"{network}  {name:24} {seconds * 1e3:8.2f} ms  {ratio:5.2f} x")
    if arguments.json is not None:
        arguments.json.write_text(json.dumps(results, indent=2) + "\n")


if __name__ == "__main__":
    main()
