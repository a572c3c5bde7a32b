"""What becomes of an operator that keeps channels apart when some of them go away.

`paths` says where a channel goes, `narrowed` leaves channels out, `shifted` makes up for a constant
taken off what a function reads. Used by `remove_dead_channels.py`.
"""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import numpy.typing as npt

from hwgen.ir import Codes, Op, TensorType
from hwgen.ops.border_offset import BorderOffset
from hwgen.ops.depthwise import Depthwise
from hwgen.ops.matvec import MatVec
from hwgen.ops.max_pool import MaxPool
from hwgen.ops.pad import Pad
from hwgen.ops.requantize import Requantize
from hwgen.ops.reshape import Reshape
from hwgen.ops.sliding_window import SlidingWindow
from hwgen.ops.sum_pool import SumPool
from hwgen.ops.table import Table
from hwgen.ops.thresholds import Thresholds
from hwgen.ops.upsample import Upsample
from hwgen.ops.window_max import WindowMax

Mask = npt.NDArray[np.bool_]

SHIFTABLE = (Requantize, Thresholds, Table, BorderOffset)
SAME_CHANNELS = (*SHIFTABLE, MaxPool, SumPool, Upsample, Pad)


def paths(op: Op, channels: Codes) -> Codes | None:
    """Return the channel that each channel of the result comes from.

    Parameters
    ----------
    op : the operator
    channels : the same, of its input

    Returns
    -------
    None where channels meet, or other operators need them all
    """
    match op:
        case SlidingWindow(kernel=kernel):
            return np.tile(channels, math.prod(kernel))
        case Depthwise(weights=weights):
            return channels[: len(weights)]
        case WindowMax(taps=taps):
            return channels[: len(channels) // taps]
        case Reshape(shape=shape):
            times, rest = divmod(shape[-1], len(channels))
            return np.tile(channels, times) if rest == 0 else None
    return channels if isinstance(op, SAME_CHANNELS) else None


def narrowed(op: Op, kept: Mask) -> Op:
    """Return `op` for those channels of its result alone."""
    match op:
        case Requantize():
            factor, offset = _rows(op.multiplier, kept), _rows(op.offset, kept)
            return replace(op, multiplier=factor, offset=offset)
        case Thresholds():
            table, falling = _rows(op.thresholds, kept), _rows(op.falling, kept)
            return replace(op, thresholds=table, falling=falling)
        case Table():
            return replace(op, contents=_rows(op.contents, kept))
        case BorderOffset():
            return replace(op, offsets=op.offsets[..., kept])
        case MatVec() | Depthwise():
            return replace(op, weights=op.weights[kept])
        case Reshape():
            return replace(op, shape=(*op.shape[:-1], int(kept.sum())))
    return op


def shifted(op: Op, by: Codes, x: TensorType) -> Op:
    """Return the operator that gives for a code of channel c of `x` what `op` gives for +by[c].

    Raises
    ------
    TypeError : when `op` is not one of SHIFTABLE
    """
    match op:
        case Requantize():  # (x + by) * M + B = x * M + (by * M + B)
            return replace(op, offset=op.offset + by * op.multiplier)
        case Thresholds():  # x + by >= t where x >= t - by
            return replace(op, thresholds=op.thresholds - by[:, None])
        case BorderOffset():
            return replace(op, offsets=op.offsets + by)
        case Table():
            entries = np.arange(x.codes.lo, x.codes.hi + 1) + by[:, None] - op.lo
            inside = np.clip(entries, 0, op.contents.shape[1] - 1)  # others are never reached
            rows = np.broadcast_to(op.contents, (len(by), op.contents.shape[1]))
            contents = np.take_along_axis(rows, inside, axis=1)
            return replace(op, contents=contents, lo=x.codes.lo)
    raise TypeError(f"{op.name} cannot make up for a constant")


def _rows(parameters: Codes, kept: Mask) -> Codes:
    return parameters if len(parameters) == 1 else parameters[kept]
