"""Conv and MatMul with constant weights, as hls4ml reads them.

Its Conv is channels last, weights too (O, KH, KW, I). Groups are one or as many as channels; other
groups become zeros of a whole matrix, and so do the gaps of a dilated kernel, which hls4ml counts
once too often. A constant that only a convolution's result is added to is its bias, which is where
hls4ml looks for one, but not behind binary weights, where it loses the fraction; a Pad that only
convolutions read is their padding, where no window sees nothing else.

Source: hls4ml 1.3, converters/onnx/convolution.py; qonnx.custom_op.channels_last.
"""

from __future__ import annotations

import numpy as np

from hwgen.errors import FrontendError
from hwgen.frontend.channels_last import DOMAIN
from hwgen.frontend.hls4ml.moves import is_padding, zeros_around
from hwgen.frontend.hls4ml.numbers import Numbers
from hwgen.frontend.hls4ml.place import Place, Tensor, channels_last


def convolution(place: Place) -> None:
    """Conv, with the bias that follows it."""
    given = place.tensor()
    axes = len(given.shape) - 2
    if axes not in (1, 2):
        raise FrontendError(f"expected a sequence or an image, got shape {given.shape}")
    if place.attributes.get("auto_pad", b"NOTSET") != b"NOTSET":
        raise FrontendError("expected explicit pads, got auto_pad; export with pads")
    dense = _undilated(place.numbers(1), place.integers("dilations", [1] * axes))
    weights, group = _ungrouped(dense, given.shape[-1])
    kernel = list(weights.values.shape[2:])
    moved = weights.moved(np.moveaxis(weights.values, 1, -1))
    inputs = [given.name, place.writer.numbers(f"{place.name}_weight", moved)]
    biases, last = _biases(place, weights)
    binary = weights.quantizer is not None and weights.quantizer.bipolar
    if biases is not None and not binary:
        inputs.append(place.writer.numbers(f"{place.name}_bias", biases))
    shape = channels_last(place.source.shape(place.node.output[0]))
    name = place.writer.node(
        "Conv",
        place.name,
        inputs,
        shape,
        domain=DOMAIN,
        group=group,
        kernel_shape=kernel,
        dilations=[1] * axes,
        strides=place.integers("strides", [1] * axes),
        pads=_pads(place, axes),
    )
    if biases is not None and binary:
        inputs = [name, place.writer.numbers(f"{place.name}_bias", biases)]
        name = place.writer.node("Add", f"{place.name}_add_bias", inputs, shape)
    last.result(place.result(Tensor(name, shape)))


def _undilated(weights: Numbers, dilations: list[int]) -> Numbers:
    """Return weights (O, I, ...) with zeros in the gaps of a dilated kernel."""
    if all(each == 1 for each in dilations):
        return weights
    outputs, inputs, *kernel = weights.values.shape
    sizes = ((k - 1) * each + 1 for k, each in zip(kernel, dilations, strict=True))
    spread = np.zeros((outputs, inputs, *sizes), dtype=np.float32)
    gaps = tuple(slice(None, None, each) for each in dilations)
    spread[:, :, *gaps] = weights.values
    return weights.with_zeros(spread)


def _pads(place: Place, axes: int) -> list[int]:
    """Return the padding of a Conv, with that of a Pad before it which was not written."""
    pads = np.asarray(place.integers("pads", [0] * 2 * axes))
    name = place.node.input[0]
    maker = place.source.makers.get(name)
    before = None if maker is None else Place(maker, place.conversion)
    if before is not None and before.node.op_type == "Pad" and is_padding(before):
        pads += zeros_around(before).ravel()
    return [int(each) for each in pads]


def _ungrouped(weights: Numbers, channels: int) -> tuple[Numbers, int]:
    """Return weights (O, I / groups, ...) for the groups that hls4ml has, and their number."""
    outputs, inputs, *kernel = weights.values.shape
    groups = channels // inputs
    if groups == 1 or (inputs == 1 and groups == outputs):
        return weights, groups
    dense = np.zeros((outputs, groups, inputs, *kernel), dtype=np.float32)
    dense[np.arange(outputs), np.arange(outputs) // (outputs // groups)] = weights.values
    return weights.with_zeros(dense.reshape(outputs, channels, *kernel)), 1


def _biases(place: Place, weights: Numbers) -> tuple[Numbers | None, Place]:
    """Return the bias, an input or a node of its own, and the place whose result includes it."""
    channels = len(weights.values)
    if place.has(2):
        return place.numbers(2), place
    reader = place.source.only_reader(place.node.output[0])
    if reader is None or reader.op_type != "Add":
        return None, place
    add = Place(reader, place.conversion)
    other = 1 - list(reader.input).index(place.node.output[0])
    if not add.is_constant(other):
        return None, place
    numbers = add.numbers(other)
    shape = place.source.shape(place.node.output[0])
    for_channels = (1, channels, *(1,) * (len(shape) - 2))
    if numbers.values.size != 1 and _padded(numbers.values.shape, len(shape)) != for_channels:
        return None, place
    values = np.broadcast_to(numbers.values.reshape(-1), (channels,))
    return numbers.moved(values), add


def _padded(shape: tuple[int, ...], rank: int) -> tuple[int, ...]:
    return (*(1,) * (rank - len(shape)), *shape)


def matmul(place: Place) -> None:
    """MatMul of a vector and a constant matrix, whose rows lie as the vector does."""
    given, weights = place.tensor(), place.numbers(1)
    if len(given.shape) != 2 or weights.values.ndim != 2:
        raise FrontendError(
            f"expected a vector times a matrix, got shapes {given.shape} and {weights.values.shape}"
        )
    if given.order is not None:
        weights = weights.moved(weights.values[given.order])
    inputs = [given.name, place.writer.numbers(f"{place.name}_weight", weights)]
    shape = place.source.shape(place.node.output[0])
    place.result(Tensor(place.writer.node("MatMul", place.name, inputs, shape), shape))
