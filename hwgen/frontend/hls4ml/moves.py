"""Nodes that move numbers, as hls4ml reads them.

A Flatten of an image gives another order than channels first did: the matrices behind it take it
in, or else the image is brought back before. Its Resize takes rows for columns, so that pixels, or
whole rows of them, are repeated by a Concat with themselves.

Source: hls4ml 1.3, converters/onnx/reshape.py and merge.py; model/layers.py, Resize.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from hwgen.errors import FrontendError
from hwgen.frontend.hls4ml.place import Place, Tensor, channels_last, reshaped

# Nodes that treat each element of a vector alike, where their other inputs are constant.
ELEMENTWISE = frozenset(
    """Add BipolarQuant Clip Dropout Identity Mul PRelu Quant Relu Sub""".split()
)


def concat(place: Place) -> None:
    """Concat of channels, two tensors at a time."""
    tensors = [place.tensor(index) for index in range(len(place.node.input))]
    rank = len(tensors[0].shape)
    if place.attributes.get("axis") not in (1, 1 - rank):
        raise FrontendError("expected channels to be joined, on axis 1")
    place.result(_joined(place, place.name, tensors))


def _joined(place: Place, wanted: str, tensors: Sequence[Tensor]) -> Tensor:
    """Concat along the last axis, of two at a time."""
    result, axis = tensors[0], len(tensors[0].shape) - 1
    for index, each in enumerate(tensors[1:], start=1):
        what = f"{wanted}_{index}" if index < len(tensors) - 1 else wanted
        shape = (*result.shape[:-1], result.shape[-1] + each.shape[-1])
        name = place.writer.node("Concat", what, [result.name, each.name], shape, axis=axis)
        result = Tensor(name, shape)
    return result


def pad(place: Place) -> None:
    """Pad with zeros, written where others than convolutions read it."""
    given, around = place.tensor(), zeros_around(place)
    if is_padding(place):
        place.result(given)
        return
    moved = np.pad(around, ((0, 0), (1, 1)))
    pads = place.writer.integers(f"{place.name}_pads", moved.ravel().tolist())
    shape = channels_last(place.source.shape(place.node.output[0]))
    name = place.writer.node("Pad", place.name, [given.name, pads], shape, mode="constant")
    place.result(Tensor(name, shape))


def zeros_around(place: Place) -> npt.NDArray[np.int64]:
    """Return how many zeros a Pad puts before and behind rows and columns, [2, axes]."""
    rank = len(place.source.shape(place.node.input[0]))
    if place.attributes.get("mode", b"constant") != b"constant" or place.has(3):
        raise FrontendError("expected a Pad of all axes with a constant")
    if place.has(2) and place.numbers(2).values.any():
        raise FrontendError("hls4ml pads with zeros only")
    sizes = place.numbers(1).values.reshape(2, rank).astype(np.int64)
    if sizes[:, :2].any() or (sizes < 0).any():
        raise FrontendError(f"expected rows and columns of zeros, got pads {sizes.tolist()}")
    return sizes[:, 2:]


def is_padding(place: Place) -> bool:
    """Whether a Pad is part of the convolutions that read it, and of nothing else."""
    name = place.node.output[0]
    readers, around = place.source.readers(name), zeros_around(place)
    return not place.source.leaves(name) and all(
        node.op_type == "Conv" and (around < _extent(Place(node, place.conversion))).all()
        for node in readers
    )


def _extent(convolution: Place) -> npt.NDArray[np.int64]:
    """Return how many rows and columns a kernel spans beyond its own padding, [2, axes]."""
    kernel = np.asarray(convolution.source.shape(convolution.node.input[1])[2:])
    dilations = np.asarray(convolution.integers("dilations", [1] * len(kernel)))
    own = np.asarray(convolution.integers("pads", [0] * 2 * len(kernel)))
    return np.asarray((kernel - 1) * dilations + 1 - own.reshape(2, -1))


def flatten(place: Place) -> None:
    """Flatten of all but the batch."""
    given = place.tensor()
    if place.attributes.get("axis", 1) != 1:
        raise FrontendError("expected a Flatten of everything but the batch, axis 1")
    if len(given.shape) == 2:
        place.result(given)
        return
    order = None
    if _moved(given) and _taken_in(place, place.node.output[0]):
        first = np.arange(math.prod(given.shape)).reshape(place.source.shape(place.node.input[0]))
        order = np.moveaxis(first, 1, -1).ravel()
    else:
        given = channels_first(place, given)
    shape = (1, math.prod(given.shape))
    name = place.writer.node("Flatten", place.name, [given.name], shape, axis=1)
    place.result(Tensor(name, shape, order))


def _moved(given: Tensor) -> bool:
    """Whether channels last is another order of the elements than channels first."""
    return len(given.shape) > 2 and given.shape[-1] > 1 and math.prod(given.shape[1:-1]) > 1


def _taken_in(place: Place, name: str) -> bool:
    """Whether all that is made of vector `name` are products with constants."""
    if place.source.leaves(name):
        return False
    for node in place.source.readers(name):
        reader = Place(node, place.conversion)
        others = (index for index, given in enumerate(node.input) if given and given != name)
        if not all(map(reader.is_constant, others)) or list(node.input).count(name) > 1:
            return False
        if node.op_type == "MatMul":
            continue
        if node.op_type not in ELEMENTWISE or not _taken_in(place, node.output[0]):
            return False
    return True


def channels_first(place: Place, given: Tensor) -> Tensor:
    """Return `given` in the source's layout."""
    if not _moved(given):
        return given
    rank = len(given.shape)
    axes = [0, rank - 1, *range(1, rank - 1)]
    return _transposed(place, f"{place.name}_channels_first", given, axes)


def _transposed(place: Place, what: str, given: Tensor, axes: list[int]) -> Tensor:
    shape = tuple(given.shape[axis] for axis in axes)
    return Tensor(place.writer.node("Transpose", what, [given.name], shape, perm=axes), shape)


def reshape(place: Place) -> None:
    """Reshape of a frame."""
    given = channels_first(place, place.tensor())
    shape = place.source.shape(place.node.output[0])
    readers = place.source.readers(place.node.output[0])
    if len(given.shape) == 2 and readers and all(node.op_type == "Flatten" for node in readers):
        place.result(given)  # a vector that is one again
        return
    result = reshaped(place, "", given, shape)
    if len(shape) > 2:
        axes = [0, *range(2, len(shape)), 1]
        result = _transposed(place, f"{place.name}_channels_last", result, axes)
    place.result(result)


def resize(place: Place) -> None:
    """Resize that repeats pixels a whole number of times."""
    given, said = place.tensor(), place.attributes
    expected = {
        "mode": b"nearest",
        "coordinate_transformation_mode": b"asymmetric",
        "nearest_mode": b"floor",
    }
    if any(said.get(name) != value for name, value in expected.items()) or not place.has(2):
        raise FrontendError("expected Resize as nn.Upsample(mode='nearest') is exported")
    scales = place.numbers(2).values
    if (scales != np.rint(scales)).any() or (scales < 1).any() or (scales[:2] != 1).any():
        raise FrontendError(f"expected whole scales of rows and columns, got {scales.tolist()}")
    shape, channels = list(given.shape), given.shape[-1]
    result = given
    for axis in reversed(range(1, len(shape) - 1)):
        factor = int(scales[axis + 1])
        if factor == 1:
            continue
        inner = math.prod(shape[axis + 1 : -1]) * channels
        outer = math.prod(shape[1 : axis + 1])
        row = reshaped(place, f"row_{axis}", result, (1, outer, inner))
        result = _joined(place, f"{place.name}_repeat_{axis}", [row] * factor)
        shape[axis] *= factor
    place.result(given if result is given else reshaped(place, "", result, tuple(shape)))
