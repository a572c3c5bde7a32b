"""MaxPool and AveragePool, as hls4ml reads them: channels last, and of images only.

Its front end takes the axes of a sequence for those of channels first, so a sequence is pooled as
an image of one row. Its average has the type of its input, so a quantizer before it, which changes
no number, makes that fine enough.

Source: hls4ml 1.3, converters/onnx/pooling.py, model/optimizer/passes/infer_precision.py.
"""

from __future__ import annotations

import math
from dataclasses import replace

from hwgen.errors import FrontendError
from hwgen.frontend.channels_last import DOMAIN
from hwgen.frontend.hls4ml.grid import EXACT_BITS, step_of
from hwgen.frontend.hls4ml.numbers import Quantizer
from hwgen.frontend.hls4ml.place import (
    Place,
    Tensor,
    activation_quantizer,
    channels_last,
    kept_apart,
    reshaped,
)


def max_pool(place: Place) -> None:
    """MaxPool of images and sequences."""
    if any(size != 1 for size in _axes(place, "dilations", 1)):
        raise FrontendError("expected dilations of 1, which are all that hls4ml pools with")
    _pool(place, "MaxPool", place.tensor(), _axes(place, "kernel_shape", 1))


def average_pool(place: Place) -> None:
    """AveragePool over 2**n numbers."""
    kernel = _axes(place, "kernel_shape", 1)
    count = math.prod(kernel)
    if count & (count - 1):
        raise FrontendError(
            f"expected the average of 2**n numbers, got {count}; hwgen.nn writes other averages "
            "as sums times a reciprocal"
        )
    if any(_pads(place)):
        raise FrontendError("expected an average without pads")
    given, step = place.tensor(), step_of(place.source, place.node.input[0])
    bits = count.bit_length() - 1
    maker = place.source.makers.get(place.node.input[0])
    quantizer = None
    if maker is not None and maker.op_type == "Quant":
        quantizer = activation_quantizer(Place(maker, place.conversion))
    width = EXACT_BITS + 1 if quantizer is None else quantizer.bit_width
    signed = quantizer is None or quantizer.signed
    if len(place.source.readers(place.node.input[0])) > 1:
        given = kept_apart(place, given)
    finer = Quantizer(step / count, width + bits, signed)
    name = place.writer.quantize(f"{place.name}_widen", given.name, given.shape, finer)
    _pool(place, "AveragePool", replace(given, name=name), kernel)


def _pool(place: Place, op_type: str, given: Tensor, kernel: list[int]) -> None:
    shape = channels_last(place.source.shape(place.node.output[0]))
    strides, pads = _axes(place, "strides", 1), _pads(place)
    if len(kernel) == 1:
        given = reshaped(place, "image", given, (1, *given.shape))
        kernel, strides, pads = [1, *kernel], [1, *strides], [0, pads[0], 0, pads[1]]
    result = shape if len(shape) == 4 else (1, *shape)
    name = place.writer.node(
        op_type,
        place.name,
        [given.name],
        result,
        domain=DOMAIN,
        kernel_shape=kernel,
        strides=strides,
        pads=pads,
    )
    pooled = Tensor(name, result)
    place.result(pooled if result == shape else reshaped(place, "sequence", pooled, shape))


def _axes(place: Place, name: str, default: int) -> list[int]:
    return place.integers(name, [default] * (len(place.tensor().shape) - 2))


def _pads(place: Place) -> list[int]:
    if place.attributes.get("auto_pad", b"NOTSET") != b"NOTSET" or place.attributes.get(
        "ceil_mode"
    ):
        raise FrontendError("expected explicit pads and no ceil_mode; export with pads")
    axes = len(place.tensor().shape) - 2
    return place.integers("pads", [0] * 2 * axes)
