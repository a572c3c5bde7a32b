"""Every operator once more, as loops over Python integers; slow, obvious, independent."""

from __future__ import annotations

from fractions import Fraction
from math import ceil, floor, trunc

import numpy as np

from hwgen.ir import Op
from hwgen.numeric import Rounding
from hwgen.ops.add import Add
from hwgen.ops.argmax import ArgMax
from hwgen.ops.concat import Concat
from hwgen.ops.convert_lanes import ConvertLanes
from hwgen.ops.depthwise import Depthwise
from hwgen.ops.fifo import Fifo
from hwgen.ops.matvec import MatVec
from hwgen.ops.matvec_threshold import MatVecThreshold
from hwgen.ops.requantize import Requantize
from hwgen.ops.table import Table
from hwgen.ops.thresholds import Thresholds
from hwgen.ops.top_k import TopK
from hwgen.ops.window_max import WindowMax
from tests.ops.naive_images import naive_images


def round_fraction(value: Fraction, mode: Rounding) -> int:
    below = floor(value)
    rest = value - below
    if rest == 0:
        return below
    half = Fraction(1, 2)
    directed = {
        Rounding.TRN: below,
        Rounding.CEIL: ceil(value),
        Rounding.TRN_ZERO: trunc(value),
        Rounding.UP: below if value < 0 else below + 1,
    }
    if mode in directed:
        return directed[mode]
    if rest != half:
        return below + (rest > half)
    return {
        Rounding.RND: below + 1,
        Rounding.RND_MIN_INF: below,
        Rounding.RND_INF: below if value < 0 else below + 1,
        Rounding.RND_ZERO: below + 1 if value < 0 else below,
        Rounding.RND_CONV: below if below % 2 == 0 else below + 1,
    }[mode]


def of(parameter: np.ndarray, channel: int) -> int | list[int]:
    value = parameter[channel if len(parameter) > 1 else 0]
    return value.tolist()


def naive_vector(op: Op, x: list[int]) -> list[int]:
    """Apply `op` to one channel vector."""
    match op:
        case MatVecThreshold():
            sums = naive_vector(op.parts[0], x)
            low, high = op.codes.lo, op.codes.hi
            pairs = zip(sums, op.thresholds.tolist(), strict=True)
            return [high if total >= threshold else low for total, threshold in pairs]
        case MatVec():
            return [sum(w * v for w, v in zip(row, x, strict=True)) for row in op.weights.tolist()]
        case Depthwise():
            channels = len(op.weights)
            return [
                sum(w * v for w, v in zip(row, x[c::channels], strict=True))
                for c, row in enumerate(op.weights.tolist())
            ]
        case Requantize():
            results = []
            for c, v in enumerate(x):
                scaled = v * of(op.multiplier, c) + of(op.offset, c)
                rounded = round_fraction(Fraction(scaled, 2**op.shift), op.rounding)
                results.append(min(max(rounded, op.codes.lo), op.codes.hi))
            return results
        case Thresholds():
            results = []
            for c, v in enumerate(x):
                row = of(op.thresholds, c)
                reached = sum(v >= t for t in row)
                index = len(row) - reached if of(op.falling, c) else reached
                results.append(2 * index - 1 if op.codes.bipolar else op.codes.lo + index)
            return results
        case Table():
            return [of(op.contents, c)[v - op.lo] for c, v in enumerate(x)]
        case WindowMax():
            channels = len(x) // op.taps
            return [max(x[c::channels]) for c in range(channels)]
        case ArgMax():
            return [x.index(max(x))]
        case TopK():
            left, places = list(x), []
            for _ in range(op.k):
                best = max(v for v in left if v is not None)
                places.append(left.index(best))
                left[places[-1]] = None
            return places
        case ConvertLanes() | Fifo():
            return x
    raise AssertionError(f"no naive model of {op.name}")


def naive_joined(op: Op, inputs: tuple[np.ndarray, ...]) -> np.ndarray | None:
    """The operators with several inputs, vector by vector."""
    shape = inputs[0].shape[:-1]
    vectors = zip(*(codes.reshape(-1, codes.shape[-1]).tolist() for codes in inputs), strict=True)
    match op:
        case Add():
            weights = op.multipliers.tolist()
            out = [
                [
                    sum(m * v for m, v in zip(weights, lane, strict=True))
                    for lane in zip(*each, strict=True)
                ]
                for each in vectors
            ]
        case Concat():
            out = [[code for vector in each for code in vector] for each in vectors]
        case _:
            return None
    return np.array(out, dtype=np.int64).reshape(*shape, -1)


def naive(op: Op, *inputs: np.ndarray) -> np.ndarray:
    """Apply `op` to frames, image by image or vector by vector."""
    joined = naive_joined(op, inputs)
    if joined is not None:
        return joined
    (codes,) = inputs
    images = naive_images(op, codes)
    if images is not None:
        return images
    rows = codes.reshape(-1, codes.shape[-1]).tolist()
    out = [naive_vector(op, row) for row in rows]
    return np.array(out, dtype=np.int64).reshape(*codes.shape[:-1], -1)
