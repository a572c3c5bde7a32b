"""Post-training quantization beside training with quantizers, element-wise layers at 8 to 4 bits.

    python benchmarks/ptq_table.py cifar10 FOLDER [--epochs 8] [--more 4] [--seeds 0 1]
    python benchmarks/ptq_table.py mitbih FOLDER

FOLDER holds the data, as for the examples; networks and data are in `ptq_tasks.py`. Weights have
8 bits throughout, so that what differs is only the width of everything element-wise: BatchNorm's
scale and offset, activations, and what is added to a shortcut. One float network a seed; from it

- post-training: the best of three calibrations (min-max, percentile, MSE), each with and without
  bias correction, chosen on training samples
- post-training, trained on: the same, from the float network after `--more` epochs in float32, so
  that what comes next did not simply learn longer
- trained: the MSE calibration and then `--more` epochs of training

All are judged once, by samples that nothing was trained or chosen on. The error beside a difference
is one standard error of the mean over the seeds, from the samples on which the two disagree.

Source: the comparison is that of Dai et al., QFX, arXiv 2401.17544.
"""

from __future__ import annotations

import argparse
import copy
import json
import math
import time
from dataclasses import dataclass, field
from pathlib import Path

import torch
from ptq_tasks import TASKS, Samples, Task
from torch import Tensor, nn
from training import Plan, fit

import hwgen.nn as hnn

WIDTHS = (8, 6, 5, 4)
CALIBRATING, CHOOSING = 1000, 2000  # training samples
RATE, RATE_MORE = 5e-3, 2e-3
FLOATS = ("float", "float, trained on")
POST, POST_MORE, TRAINED = "post-training", "post-training, trained on", "trained"


@dataclass
class Outcome:
    """Which samples each network has right; by name, and by width where there are several."""

    floats: dict[str, Tensor] = field(default_factory=dict)
    widths: dict[int, dict[str, Tensor]] = field(default_factory=dict)


def config(width: int) -> hnn.LayerConfig:
    """Return the formats with element-wise layers of `width` bits."""
    return hnn.LayerConfig(
        weight=hnn.FixedPointConfig(8),
        bias=hnn.FixedPointConfig(width, max_frac=12),
        scale=hnn.FixedPointConfig(width),
        output=hnn.FixedPointConfig(width),
    )


def right(model: nn.Module, samples: Samples, task: Task) -> Tensor:
    """Return 1.0 for each sample that the model classifies correctly."""
    model.eval()
    with torch.no_grad():
        found = [model(task.plain(batch)).argmax(1) for batch in samples.inputs.split(100)]
    return (torch.cat(found) == samples.labels).double()


def quantized(
    network: nn.Module, width: int, task: Task, method: hnn.CalibrationMethod
) -> nn.Module:
    """Return the calibrated twin."""
    twin = hnn.prepare(network.eval(), config(width), input=task.input)
    hnn.calibrate(twin, [task.plain(task.training.inputs[:CALIBRATING])], method)
    return twin


def best_twin(network: nn.Module, width: int, task: Task) -> nn.Module:
    """Return the best that post-training quantization makes of a network."""
    some = [task.plain(task.training.inputs[:CALIBRATING])]
    choosing = task.training.first(CALIBRATING + CHOOSING)
    candidates = []
    for method in hnn.CalibrationMethod:
        twin = quantized(network, width, task, method)
        corrected = copy.deepcopy(twin)
        hnn.correct_biases(corrected, some)
        candidates += [twin, corrected]
    return max(candidates, key=lambda twin: float(right(twin, choosing, task).mean()))


def run_seed(seed: int, task: Task, epochs: int, more: int) -> Outcome:
    """Return what one float network and all that is made of it have right."""
    torch.manual_seed(seed)

    def train(model: nn.Module, plan: Plan, title: str) -> Tensor:
        inputs, labels = task.training.inputs, task.training.labels
        title = f"seed {seed}, {title}"
        fit(model, inputs, labels, plan, title=title, convert=task.convert, loss=task.loss)
        return right(model, task.judging, task)

    outcome, network = Outcome(), task.network()
    longer = Plan(more, 128, RATE_MORE, weight_decay=1e-2)
    outcome.floats[FLOATS[0]] = train(network, Plan(epochs, 128, RATE, weight_decay=1e-2), "float")
    trained_on = copy.deepcopy(network)
    outcome.floats[FLOATS[1]] = train(trained_on, longer, FLOATS[1])
    for width in WIDTHS:
        twin = quantized(network, width, task, hnn.CalibrationMethod.MSE)
        outcome.widths[width] = {
            POST: right(best_twin(network, width, task), task.judging, task),
            POST_MORE: right(best_twin(trained_on, width, task), task.judging, task),
            TRAINED: train(twin, longer, f"{width} bits"),
        }
    return outcome


def difference(pairs: list[tuple[Tensor, Tensor]], share: Tensor) -> tuple[float, float]:
    """Return the mean over seeds of second less first, and its standard error over samples.

    Examples
    --------
    >>> one, other = torch.tensor([1.0, 0, 0, 1]), torch.tensor([1.0, 1, 1, 0])
    >>> difference([(one, other)], torch.full((4,), 0.25))[0]
    0.25
    """
    apart = torch.stack([second - first for first, second in pairs])
    mean = float((apart * share).sum(1).mean())
    variance = (share**2 * apart**2).sum(1) - (share * apart).sum(1) ** 2 / apart.shape[1]
    return mean, math.sqrt(float(variance.sum())) / len(pairs)


def table(outcomes: dict[int, Outcome], share: Tensor) -> str:
    """Return the figures as Markdown."""
    names = (POST, POST_MORE, TRAINED, f"{TRAINED} less {POST}", f"{TRAINED} less {POST_MORE}")
    first = f"element-wise bits, seeds {', '.join(map(str, outcomes))}"
    lines = [f"| {' | '.join([first, *names])} |", "|---|---|---|---|---|---|"]
    for width in WIDTHS:
        rows = [outcome.widths[width] for outcome in outcomes.values()]
        cells = [_each([row[name] for row in rows], share) for name in (POST, POST_MORE, TRAINED)]
        for name in (POST, POST_MORE):
            mean, error = difference([(row[name], row[TRAINED]) for row in rows], share)
            cells.append(f"{100 * mean:+.2f} ± {100 * error:.2f}")
        lines.append(f"| {width} | {' | '.join(cells)} |")
    for name in FLOATS:
        each = _each([outcome.floats[name] for outcome in outcomes.values()], share)
        lines.append(f"| {name} | {each} | | | | |")
    return "\n".join(lines)


def _each(found: list[Tensor], share: Tensor) -> str:
    return " / ".join(f"{100 * float((one * share).sum()):.2f}" for one in found) + " %"


def main() -> None:
    """Run all seeds and print the table."""
    parser = argparse.ArgumentParser(description="Trained against post-training quantization.")
    parser.add_argument("task", choices=TASKS)
    parser.add_argument("data", type=Path, help="folder of the task's files")
    parser.add_argument("--epochs", type=int, default=8, help="of the float network")
    parser.add_argument("--more", type=int, default=4, help="epochs from there on")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1])
    parser.add_argument("--samples", type=int, help="train on this many only")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--json", type=Path, help="write the figures here too")
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    task = TASKS[options.task](options.data, options.samples)
    begin = time.perf_counter()
    outcomes = {seed: run_seed(seed, task, options.epochs, options.more) for seed in options.seeds}
    print(table(outcomes, task.share))
    seconds = time.perf_counter() - begin
    print(f"{options.epochs} and {options.more} epochs, {len(task.share)} judged, {seconds:.0f} s")
    if options.json:
        options.json.write_text(json.dumps(figures(outcomes, task.share), indent=1))


def figures(outcomes: dict[int, Outcome], share: Tensor) -> dict[int, dict]:
    """Return the accuracies by seed."""
    return {
        seed: {
            **{name: float((one * share).sum()) for name, one in outcome.floats.items()},
            **{
                width: {name: float((one * share).sum()) for name, one in row.items()}
                for width, row in outcome.widths.items()
            },
        }
        for seed, outcome in outcomes.items()
    }


if __name__ == "__main__":
    main()
