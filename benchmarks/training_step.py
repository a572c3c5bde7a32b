"""What quantized training costs: one step of hwgen.nn beside the same step in plain PyTorch.

    python benchmarks/training_step.py                     # eager, and compiled with a C++ compiler
    python benchmarks/training_step.py --peers             # beside those peers that are installed
    python benchmarks/training_step.py --steps 50 --memory --json training_step.json

The peers: `pip install -e '.[peers]'`, Brevitas and HGQ2 (it runs on Keras with the PyTorch backend
here). A step is forward, backward and SGD on one thread. Two networks: an
MLP 784-256-256-10 with batch 256, and a small CNN on 32x32 images with batch 64. All weights,
constants and activations are 8 bits with learned binary points (HGQ2 learns widths as well, that is
what it is for); the input's format is given, as that of an image is. Steps of all contestants take
turns, so that a busy machine disturbs all alike; figures are medians, relative to float32 PyTorch.
Memory is the largest resident set of a process that does nothing but the steps of one contestant
(Linux only).
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import shutil
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from importlib.util import find_spec
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


def hgq2_twin(network: str) -> nn.Module:
    """Return the network with HGQ2 layers on PyTorch; images come channels last there."""
    os.environ.setdefault("KERAS_BACKEND", "torch")
    import keras  # type: ignore[import-not-found]  # an optional peer
    from hgq.layers import (  # type: ignore[import-not-found]
        QBatchNormalization,
        QConv2D,
        QDense,
    )

    if network == "mlp":
        layers = [keras.Input((784,))]
        for _ in range(2):
            layers += [QDense(256, use_bias=False), QBatchNormalization(), keras.layers.ReLU()]
    else:
        layers = [keras.Input((32, 32, 3))]
        for channels in (16, 32, 64):
            layers += [
                QConv2D(channels, 3, padding="same", use_bias=False),
                QBatchNormalization(),
                keras.layers.ReLU(),
                keras.layers.MaxPooling2D(2),
            ]
        layers.append(keras.layers.GlobalAveragePooling2D())
    model: nn.Module = keras.Sequential([*layers, QDense(10)])
    return model


def hgq2_step(network: str, x: Tensor, labels: Tensor) -> Callable[[], None]:
    """Return one training step of HGQ2."""
    model = hgq2_twin(network)
    x = x.movedim(1, -1).contiguous() if x.dim() == 4 else x
    model(x, training=True)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.01, momentum=0.9)

    def step() -> None:
        optimizer.zero_grad()
        nn.functional.cross_entropy(model(x, training=True), labels).backward()
        optimizer.step()

    return step


def step_of(model: nn.Module, x: Tensor, labels: Tensor) -> Callable[[], None]:
    """Return one training step as a function."""
    model.train()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.01, momentum=0.9)

    def step() -> None:
        optimizer.zero_grad()
        nn.functional.cross_entropy(model(x), labels).backward()
        optimizer.step()

    return step


REFERENCE = "torch float32"


def contestants(network: str) -> dict[str, Callable[[], Callable[[], None]]]:
    """Return what makes the training steps to compare, by name; the first is the reference."""
    build, shape = NETWORKS[network]
    torch.manual_seed(SEED)
    plain = build()
    x, labels = torch.randn(shape), torch.randint(0, 10, shape[:1])

    def compiled_twin() -> Callable[[], None]:
        twin = hnn.prepare(plain, input=IMAGE)
        twin.train()(x)  # calibrated first: the compiled step has no observer in it
        return step_of(torch.compile(twin), x, labels)  # type: ignore[arg-type]

    return {
        REFERENCE: lambda: step_of(plain, x, labels),
        "hwgen.nn": lambda: step_of(hnn.prepare(plain, input=IMAGE), x, labels),
        "torch float32 compiled": lambda: step_of(torch.compile(build()), x, labels),  # type: ignore[arg-type]
        "hwgen.nn compiled": compiled_twin,
        "Brevitas": lambda: step_of(brevitas_twin(build()), x, labels),
        "HGQ2": lambda: hgq2_step(network, x, labels),
    }


def chosen(network: str, peers: bool, compiled: bool) -> list[str]:
    """Return the names of the contestants that are to run, and can."""
    missing = {
        name
        for name, module in (("Brevitas", "brevitas"), ("HGQ2", "hgq"))
        if not peers or find_spec(module) is None
    }
    return [
        name
        for name in contestants(network)
        if name not in missing and (compiled or not name.endswith("compiled"))
    ]


def peak_megabytes(network: str, name: str) -> float:
    """Return the largest resident set of a fresh process that runs steps of one contestant."""
    command = [sys.executable, __file__, "--network", network, "--only", name]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    return float(done.stdout.split()[-1])


def run_only(network: str, name: str) -> None:
    """Run a few steps of one contestant and print this process's peak in megabytes."""
    step = contestants(network)[name]()
    for _ in range(WARM_UP_STEPS + 5):
        step()
    # Not getrusage: its peak is inherited from the process that started this one.
    (line,) = (each for each in Path("/proc/self/status").open() if each.startswith("VmHWM"))
    print(int(line.split()[1]) / 1024)


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


def measure(network: str, names: list[str], count: int, memory: bool) -> dict[str, object]:
    """Measure one network, print a line for each contestant, and return the figures."""
    makers = contestants(network)
    seconds = medians({name: makers[name]() for name in names}, count)
    peaks = {name: peak_megabytes(network, name) for name in names} if memory else {}
    for name in names:
        line = f"{network}  {name:24} {seconds[name] * 1e3:8.2f} ms"
        line += f"  {seconds[name] / seconds[REFERENCE]:5.2f} x"
        if memory:
            line += f"  {peaks[name]:6.0f} MB  {peaks[name] / peaks[REFERENCE]:5.2f} x"
        print(line)
    return {"seconds": seconds, "peak_megabytes": peaks}


def main() -> None:
    """Measure, print, and write JSON where asked."""
    parser = argparse.ArgumentParser(description="Time one training step.")
    parser.add_argument("--network", choices=[*NETWORKS, "all"], default="all")
    parser.add_argument("--steps", type=int, default=30, help="at least 20")
    parser.add_argument("--peers", action="store_true", help="Brevitas and HGQ2, where installed")
    parser.add_argument("--memory", action="store_true", help="peak memory as well")
    parser.add_argument("--no-compile", action="store_true")
    parser.add_argument("--only", help=argparse.SUPPRESS)  # a process of `peak_megabytes`
    parser.add_argument("--json", type=Path)
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    if arguments.only is not None:
        run_only(arguments.network, arguments.only)
        return
    compiled = not arguments.no_compile and shutil.which("g++") is not None
    count = max(20, arguments.steps)
    print(f"torch {torch.__version__}, {platform.processor() or platform.machine()}, 1 thread,")
    print(f"median of {count} steps, seed {SEED}")
    results = {}
    for network in NETWORKS if arguments.network == "all" else (arguments.network,):
        names = chosen(network, arguments.peers, compiled)
        results[network] = measure(network, names, count, arguments.memory)
    if arguments.json is not None:
        arguments.json.write_text(json.dumps(results, indent=2) + "\n")


if __name__ == "__main__":
    main()
