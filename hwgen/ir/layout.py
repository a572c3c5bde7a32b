"""`Layout`: how a frame as the model has it lies in the order in which its codes stream.

ONNX keeps images as (C, H, W); hardware streams them row by row, channels innermost. Every such
pair of orders is one transposition of the frame, split into suitable axes.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from hwgen.errors import IRError


@dataclass(frozen=True)
class Layout:
    """streamed order = frame.reshape(split).transpose(axes).

    Parameters
    ----------
    model : shape of a frame in the model, without the batch
    split : the same elements under axes of which each streams as a whole
    axes : permutation of the axes of `split`

    Examples
    --------
    >>> image = Layout(model=(2, 1, 3), split=(2, 3), axes=(1, 0))
    >>> image.to_stream(np.arange(6).reshape(1, 2, 1, 3), (1, 3, 2)).ravel().tolist()
    [0, 3, 1, 4, 2, 5]
    """

    model: tuple[int, ...]
    split: tuple[int, ...]
    axes: tuple[int, ...]

    def __post_init__(self) -> None:
        if math.prod(self.model) != math.prod(self.split):
            raise IRError(f"layout: axes {self.split} do not hold a frame of shape {self.model}")
        if sorted(self.axes) != list(range(len(self.split))):
            raise IRError(f"layout: {self.axes} is no permutation of {len(self.split)} axes")

    def to_stream(self, frames: npt.NDArray, shape: Sequence[int]) -> npt.NDArray:
        """Return `frames`, in the model's order, as they stream, shaped (frames, *shape)."""
        split = frames.reshape(len(frames), *self.split)
        return split.transpose(0, *(axis + 1 for axis in self.axes)).reshape(len(frames), *shape)

    def to_model(self, codes: npt.NDArray) -> npt.NDArray:
        """Return `codes`, in streamed order, shaped (frames, *model)."""
        streamed = codes.reshape(len(codes), *(self.split[axis] for axis in self.axes))
        back = np.argsort(self.axes)
        return streamed.transpose(0, *(axis + 1 for axis in back)).reshape(len(codes), *self.model)


def layout_of(order: npt.NDArray[np.int64], shape: Sequence[int]) -> Layout | None:
    """Return the layout in which element i of the model streams at place `order`[i].

    Parameters
    ----------
    order : shaped like a frame in the model
    shape : of the value that streams; None is returned where nothing needs to be done

    Raises
    ------
    IRError : when no transposition does it
    """
    flat = order.reshape(-1)
    split, strides = _axes(flat)
    axes = tuple(sorted(range(len(split)), key=lambda axis: -strides[axis]))
    places = np.arange(flat.size)
    found = Layout(tuple(order.shape), split, axes)
    if not (found.to_stream(places[None], (-1,))[0][flat] == places).all():
        raise IRError("the order of elements is no transposition of a frame")
    plain = axes == tuple(range(len(axes))) and tuple(order.shape) == tuple(shape)
    return None if plain else found


def _axes(flat: npt.NDArray[np.int64]) -> tuple[tuple[int, ...], list[int]]:
    """Return the axes, outermost first, along which places grow evenly, and by how much."""
    sizes, strides, block = [], [], 1
    while block < flat.size:
        heads = flat[::block]
        stride = int(heads[1] - heads[0])
        even = heads == heads[0] + stride * np.arange(len(heads))
        run = len(heads) if even.all() else int(np.argmin(even))
        if flat.size % (block * run):
            raise IRError("the order of elements is no transposition of a frame")
        sizes.append(run)
        strides.append(stride)
        block *= run
    return tuple(sizes[::-1]) or (1,), strides[::-1] or [1]
