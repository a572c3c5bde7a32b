"""What the longer examples share: a training loop that can be stopped, and the integer accuracy.

`fit` trains for a number of epochs, shows a progress bar and keeps a checkpoint; run again, it goes
on where it stopped. `integer_predictions` reads an exported file the way `hwgen build` does and
runs the graph of integers, the one that becomes hardware.
"""

from __future__ import annotations

import math
import os
from argparse import ArgumentParser, Namespace
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
from public_data import Data
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from torch import Tensor, nn

import hwgen.nn as hnn
from hwgen.frontend import load
from hwgen.passes import PASSES, run_passes

Augment = Callable[[Tensor], Tensor]
Loss = Callable[[nn.Module, Tensor, Tensor], Tensor]


def command_line(description: str, *, epochs: int, data: str | None = None) -> ArgumentParser:
    """Return the options that all examples have.

    Parameters
    ----------
    epochs : the default
    data : whose files `--data` names; None for examples that need none
    """
    parser = ArgumentParser(description=description)
    if data is not None:
        parser.add_argument("--data", type=Path, required=True, help=f"folder of {data}'s files")
        parser.add_argument("--samples", type=int, help="train on this many only")
    parser.add_argument("--epochs", type=int, default=epochs)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--threads", type=int, help="of PyTorch; all cores if left out")
    parser.add_argument("--out", type=Path, default=Path("build"), metavar="DIR")
    return parser


def start(parser: ArgumentParser) -> Namespace:
    """Return the options given, after seeding PyTorch and making the output folder."""
    options = parser.parse_args()
    options.out.mkdir(parents=True, exist_ok=True)
    torch.manual_seed(options.seed)
    if options.threads:
        torch.set_num_threads(options.threads)
    print(f"seed {options.seed}, checkpoints and results in {options.out}")
    return options


def tensors(data: Data, samples: int | None) -> tuple[Tensor, ...]:
    """Return training samples, at most `samples`, their labels, test samples, their labels."""
    training = (torch.from_numpy(array)[:samples] for array in (data.train, data.train_labels))
    return (*training, torch.from_numpy(data.test), torch.from_numpy(data.test_labels))


@dataclass(frozen=True)
class Plan:
    """How to train.

    Parameters
    ----------
    epochs, batch_size : the last, smaller batch of an epoch is left out
    learning_rate : at the start; a cosine brings it to zero
    binary_point_rate : of the learned binary points, which is at zero by half of the training:
        they tend to where two formats are equally good and go on changing between them, and
        weights settle better once they know their format (Jain et al., TQT, arXiv 1903.08066)
    weight_decay : of weights; binary points have none
    """

    epochs: int
    batch_size: int
    learning_rate: float
    binary_point_rate: float = 1e-2
    weight_decay: float = 0.0


def cross_entropy(model: nn.Module, inputs: Tensor, labels: Tensor) -> Tensor:
    """Return the usual loss."""
    return nn.functional.cross_entropy(model(inputs), labels)


def fit(
    model: nn.Module,
    inputs: Tensor,
    labels: Tensor,
    plan: Plan,
    *,
    title: str,
    checkpoint: Path | None = None,
    convert: Augment = Tensor.float,
    loss: Loss = cross_entropy,
    validate: Callable[[nn.Module], float] | None = None,
    schedule: hnn.Schedule | None = None,
) -> list[dict[str, float]]:
    """Train `model` in place and return loss and accuracy of every epoch.

    Parameters
    ----------
    inputs : all samples, as published; `convert` makes a batch of them the model's input
    checkpoint : file that keeps model, optimizer and random numbers after each epoch; if it is
        there, training goes on from it, and ends where an uninterrupted one would
    loss : of (model, inputs, labels)
    validate : measured after each epoch, of the model in eval mode
    schedule : of binary estimators, stepped after each batch
    """
    optimizer = _optimizer(model, plan)
    parts = {"model": model, "optimizer": optimizer}
    if schedule is not None:
        parts["schedule"] = schedule
    history = _resume(parts, checkpoint)
    steps = len(inputs) // _batch_size(len(inputs), plan)
    with Progress(*_COLUMNS) as progress:
        task = progress.add_task(title, total=plan.epochs * steps, note="")
        for number in range(len(history), plan.epochs):
            model.train()
            total = torch.zeros(())
            for step, batch in enumerate(_batches(len(inputs), plan), number * steps):
                _set_rates(optimizer, step / (plan.epochs * steps))
                value = loss(model, convert(inputs[batch]), labels[batch])
                optimizer.zero_grad()
                value.backward()
                optimizer.step()
                if schedule is not None:
                    schedule.step()
                total += value.detach()
                progress.update(task, completed=step + 1)
            history.append({"loss": float(total) / steps})
            if validate is not None:
                history[-1]["accuracy"] = validate(model.eval())
            note = ", ".join(f"{name} {figure:.4f}" for name, figure in history[-1].items())
            progress.update(task, note=note)
            progress.console.print(f"{title}: epoch {number + 1} of {plan.epochs}, {note}")
            _save(parts, history, checkpoint)
    model.eval()
    return history


_COLUMNS = (
    TextColumn("{task.description}"),
    BarColumn(),
    MofNCompleteColumn(),
    TimeRemainingColumn(),
    TextColumn("{task.fields[note]}"),
)


def _batch_size(count: int, plan: Plan) -> int:
    """Return the plan's; fewer samples than that are one batch."""
    return min(plan.batch_size, count)


def _batches(count: int, plan: Plan) -> tuple[Tensor, ...]:
    """Return the indices of each batch of an epoch, in random order; all of one size."""
    size = _batch_size(count, plan)
    return torch.randperm(count)[: count // size * size].split(size)


def _set_rates(optimizer: torch.optim.Optimizer, progress: float) -> None:
    """Put every learning rate where a cosine has it; it is a function of the plan alone."""
    for group in optimizer.param_groups:
        share = min(1.0, progress / group["until"])
        group["lr"] = group["initial_lr"] * (0.5 + 0.5 * math.cos(math.pi * share))


def _optimizer(model: nn.Module, plan: Plan) -> torch.optim.Optimizer:
    """Return Adam; binary points move at a rate of their own, `until` a share of the training."""
    points = [
        quantizer.learned
        for quantizer in model.modules()
        if isinstance(quantizer, hnn.FixedPointQuantizer)
    ]
    known = {id(point) for point in points}
    others = [parameter for parameter in model.parameters() if id(parameter) not in known]
    groups = [
        {"params": others, "initial_lr": plan.learning_rate, "until": 1.0},
        {"params": points, "initial_lr": plan.binary_point_rate, "until": 0.5, "weight_decay": 0.0},
    ]
    return torch.optim.AdamW(groups, weight_decay=plan.weight_decay)


def _resume(parts: dict[str, object], checkpoint: Path | None) -> list[dict[str, float]]:
    if checkpoint is None or not checkpoint.exists():
        return []
    state = torch.load(checkpoint, weights_only=True)
    for name, part in parts.items():
        part.load_state_dict(state[name])
    torch.set_rng_state(state["random"])
    return list(state["history"])


def _save(
    parts: dict[str, object], history: list[dict[str, float]], checkpoint: Path | None
) -> None:
    if checkpoint is None:
        return
    state = {name: part.state_dict() for name, part in parts.items()}
    checkpoint.parent.mkdir(parents=True, exist_ok=True)
    temporary = checkpoint.with_suffix(".new")
    torch.save(state | {"history": history, "random": torch.get_rng_state()}, temporary)
    os.replace(temporary, checkpoint)


def accuracy(
    model: nn.Module, inputs: Tensor, labels: Tensor, convert: Augment = Tensor.float
) -> float:
    """Return the share of samples that `model` in eval mode classifies correctly."""
    right = 0
    with torch.no_grad():
        for batch, wanted in zip(inputs.split(250), labels.split(250), strict=True):
            right += int((model(convert(batch)).argmax(1) == wanted).sum())
    return right / len(labels)


def integer_predictions(path: Path, inputs: npt.NDArray[np.float32]) -> npt.NDArray[np.int64]:
    """Return what the integer graph of an exported file takes each sample for.

    Parameters
    ----------
    path : of the .onnx
    inputs : float samples (N, ...), shaped like the model's input
    """
    graph = run_passes(load(path), PASSES)
    found = []
    for begin in range(0, len(inputs), 100):
        codes = graph.inputs[0].quantize(inputs[begin : begin + 100])
        found.append(graph.dequantize(graph.evaluate(codes)).argmax(1))
    return np.concatenate(found)


def integer_accuracy(
    path: Path, inputs: npt.NDArray[np.float32], labels: npt.NDArray[np.int64]
) -> float:
    """Return the share of samples that the integer graph classifies correctly."""
    return float((integer_predictions(path, inputs) == labels).mean())


def train_and_export(
    model: nn.Module,
    data: tuple[Tensor, ...],
    plan: Plan,
    options: Namespace,
    *,
    name: str,
    plain: Augment,
    augmented: Augment,
    loss: Loss,
) -> None:
    """Train a model of hwgen.nn, export it, and print the accuracy of its integers.

    Parameters
    ----------
    data : training samples, their labels, test samples, their labels
    name : of the checkpoint and the .onnx in `options.out`
    plain, augmented : make samples the model's input, at a test and in training
    """
    images, labels, test, test_labels = data
    fit(
        model,
        images,
        labels,
        plan,
        title=name,
        checkpoint=options.out / f"{name}.pt",
        convert=augmented,
        loss=loss,
        validate=lambda network: accuracy(network, test, test_labels, plain),
    )
    path = hnn.export(model, plain(test[:1]), options.out / f"{name}.onnx", compact=True)
    share = integer_accuracy(path, plain(test).numpy(), test_labels.numpy())
    print(f"{path}: the integer model is right on {share:.2%} of {len(test)} test images")
