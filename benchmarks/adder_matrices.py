"""The matrices of `adder_graphs.py`: random ones, and the unrolled layers of the shipped models."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path

import numpy as np

import hwgen
from hwgen.ops.matvec import MatVec

SEED = 0
MODELS = Path(__file__).resolve().parents[1] / "examples" / "models"
PERCEPTRON = (16, 64, 32, 32, 5)
# Layers with more weights are folded on every board there is; binary inputs take popcounts.
MOST_WEIGHTS = 64 * 64


def random_matrix(rows: int, columns: int, low: int, high: int) -> np.ndarray:
    """Return uniform integers low..high from a generator of its own."""
    return np.random.default_rng(SEED).integers(low, high + 1, (rows, columns))


def random_matrices(sizes: tuple[int, ...]) -> Iterator[tuple[str, np.ndarray]]:
    """Yield square matrices of 4, 6 and 8 bits."""
    for size in sizes:
        for bits in (4, 6, 8):
            half = 1 << (bits - 1)
            yield f"{size}x{size} {bits} bit", random_matrix(size, size, -half, half - 1)


def perceptron() -> Iterator[tuple[str, np.ndarray]]:
    """Yield the layers of the 6-bit MLP that the peers' authors use, with random weights."""
    for columns, rows in pairwise(PERCEPTRON):
        yield f"MLP {columns}-{rows} 6 bit", random_matrix(rows, columns, -32, 31)


def trained() -> Iterator[tuple[str, np.ndarray]]:
    """Yield the layers of the shipped models that may be unrolled."""
    for path in sorted(MODELS.glob("*.onnx")):
        graph = hwgen.load(path)
        for node in graph.nodes:
            if not isinstance(node.op, MatVec) or node.op.weights.size > MOST_WEIGHTS:
                continue
            if not graph.input_types(node)[0].codes.bipolar:
                yield f"{path.stem} {node.name}", np.array(node.op.weights)


def matrices(quick: bool) -> Iterator[tuple[str, np.ndarray]]:
    """Yield the standard set."""
    if quick:
        yield from random_matrices((16,))
        return
    yield from random_matrices((16, 32, 64))
    yield "64x64 ternary", random_matrix(64, 64, -1, 1)
    yield from perceptron()
    yield from trained()
