"""Mutated model files through the importer and the passes: a graph, or hwgen's own error.

    python benchmarks/mutated_models.py [--count 10000] [--seed 0]

The mutations are those of `tests/frontend/test_mutated.py`, which tries 300; from the repository.
Prints every file that ends in another exception, or takes more than 20 seconds, by its seed.
"""

from __future__ import annotations

import argparse
import signal
import sys
import traceback
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).parents[1]))

from tests.frontend.test_mutated import STRUCTURAL, load_or_refuse, original

SECONDS = 20


class Slow(Exception):
    """A file took too long."""


def main() -> None:
    """Count refusals, graphs and faults."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--count", type=int, default=10_000)
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    signal.signal(signal.SIGALRM, _too_long)
    refused = faults = 0
    for number in range(arguments.count):
        seed = (arguments.seed, number)
        signal.alarm(SECONDS)
        try:
            refused += load_or_refuse(mutant(np.random.default_rng(seed)))
        except Exception:  # noqa: BLE001  # what this script is looking for
            faults += 1
            print(f"seed {seed}:\n{traceback.format_exc(limit=-3)}")
        finally:
            signal.alarm(0)
    print(f"{arguments.count} files: {refused} refused, {faults} faults, the others are graphs")
    raise SystemExit(1 if faults else 0)


def mutant(rng: np.random.Generator) -> object:
    """Return a model after one or two changes of structure, or its bytes after a few of theirs."""
    model = original(rng)
    if rng.integers(4):
        for _ in range(int(rng.integers(1, 3))):
            STRUCTURAL[int(rng.integers(len(STRUCTURAL)))](model, rng)
        return model
    data = bytearray(model.SerializeToString())
    for at in rng.integers(0, len(data), int(rng.integers(1, 9))):
        data[at] = int(rng.integers(256))
    return bytes(data[: int(rng.integers(1, len(data)))] if rng.integers(2) else data)


def _too_long(*_: object) -> None:
    raise Slow


if __name__ == "__main__":
    main()
