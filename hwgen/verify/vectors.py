"""Frames of input codes to verify with: corners, the user's own, edges, random; from one seed.

Uniform random frames hardly ever reach an accumulator's extremes or the one code at which an
activation steps, so corners come first and most of the rest are chosen for the steps they meet
(`boundaries.py`). The last frame is what a host's early TLAST makes of the first one.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from hwgen.errors import VerificationError
from hwgen.ir import Codes, Graph, TensorType
from hwgen.rtl.axi.axi_stream import fill_code
from hwgen.verify.boundaries import boundary_frames, candidate_frames

_MOST_CHOSEN = 256  # frames chosen for the edges they meet; the rest are random


def golden_frames(graph: Graph, frames: int, seed: int, samples: Codes | None = None) -> Codes:
    """Return `frames` frames of input codes, int64 [frames, *shape].

    Parameters
    ----------
    graph : the mapped graph; its first node's lanes decide what an early TLAST cuts off
    frames : how many; never fewer than 2 are made
    seed : of everything random
    samples : codes of the user's own frames; they take the places of random ones

    Raises
    ------
    VerificationError : when samples do not fit the input
    """
    kind = graph.inputs[0].type
    rng = np.random.default_rng(seed)
    rows = [] if samples is None else list(_checked(samples, kind))
    room = max(frames, 2) - 1
    # Samples, corners and chosen frames share the room evenly where it is scarce.
    corners = corner_frames(kind, rng)
    del rows[max(room - len(corners), room // 2) :]
    rows += corners[: room - len(rows)]
    random = _random_frames(kind, rng)
    candidates = candidate_frames(graph, rng)
    left = room - len(rows)
    rows += list(boundary_frames(graph, candidates, min(left, _MOST_CHOSEN)))
    rows += [next(random) for _ in range(room - len(rows))]
    early = cut_frame(rows[0], graph.nodes[0].op.lanes[0] if graph.nodes else 1, kind)
    return np.stack([*rows, early]).astype(np.int64)


def corner_frames(kind: TensorType, rng: np.random.Generator) -> list[Codes]:
    """Return frames at the edges of the input's range.

    All lowest, all highest, nearest to zero, both alternations of the extremes, a ramp, one
    highest among lowest at both ends and at a random place, and random frames of extremes only.
    """
    codes, size = kind.codes, kind.size
    every = codes.codes()
    lo, hi = codes.lo, codes.hi
    zero = int(every[np.argmin(np.abs(every))])
    index = np.arange(size)
    rows = [np.full(size, lo), np.full(size, hi), np.full(size, zero)]
    rows += [np.where(index % 2 == phase, lo, hi) for phase in (0, 1)]
    rows.append(every[index % len(every)])
    rows += [np.where(index == hot, hi, lo) for hot in (0, size - 1, int(rng.integers(size)))]
    rows += [np.where(rng.integers(0, 2, size) == 1, hi, lo) for _ in range(2)]
    return [row.reshape(kind.shape).astype(np.int64) for row in rows]


def cut_frame(frame: Codes, lanes: int, kind: TensorType) -> Codes:
    """Return `frame` as the accelerator sees it when TLAST comes with its first beat."""
    flat = np.full(kind.size, fill_code(kind.codes), dtype=np.int64)
    flat[:lanes] = frame.reshape(-1)[:lanes]
    return flat.reshape(kind.shape)


def _random_frames(kind: TensorType, rng: np.random.Generator) -> Iterator[Codes]:
    every = kind.codes.codes()
    while True:
        yield every[rng.integers(0, len(every), kind.shape)]


def _checked(samples: Codes, kind: TensorType) -> Codes:
    if samples.shape[1:] != kind.shape:
        raise VerificationError(
            f"samples are shaped {samples.shape[1:]}, expected {kind.shape} behind the frame axis"
        )
    if not kind.codes.contains(samples):
        raise VerificationError(f"samples leave the input's codes {kind.codes}")
    return samples
