"""Element-wise nodes and quantizers, as hls4ml reads them.

It has no Clip, and takes the slope of a PRelu for nothing, so both are spelled out:

    min(x, h) = h - relu(h - x),    max(x, l) = l + relu(x - l),    prelu(x) = relu(x) - a relu(-x)

Source: hls4ml 1.3, converters/onnx/core.py and merge.py, model/optimizer/passes/quant_opt.py.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from hwgen.errors import FrontendError
from hwgen.frontend.hls4ml.numbers import Numbers, Quantizer, number
from hwgen.frontend.hls4ml.place import Place, Tensor, activation_quantizer, kept_apart

ROUNDINGS = {"ROUND": "ROUND", "HALF_EVEN": "ROUND", "FLOOR": "FLOOR"}
NEUTRAL = {"Add": 0, "Sub": 0, "Mul": 1}


def quantizer(place: Place) -> None:
    """Quant of an activation."""
    given, found = place.tensor(), activation_quantizer(place)
    if found is None:
        raise FrontendError("expected one scale, one width and no zero point; quantize per tensor")
    if found.rounding_mode not in ROUNDINGS:
        raise FrontendError(
            f"hls4ml rounds ROUND and FLOOR only, got {found.rounding_mode}; train with "
            "Rounding.RND_CONV or TRN"
        )
    if found.narrow and not found.signed:
        raise FrontendError("hls4ml has no narrow range of unsigned numbers; train without it")
    known = replace(found, rounding_mode=ROUNDINGS[found.rounding_mode])
    if len(place.source.readers(place.node.input[0])) > 1:
        # hls4ml would give the quantizer's type to what the others read as well.
        given = kept_apart(place, given)
    place.result(_quantized(place, "", given, known))


def bipolar_quantizer(place: Place) -> None:
    """BipolarQuant of an activation to -1 and +1."""
    given, scale = place.tensor(), place.numbers(1).values
    if (scale != 1).any():
        raise FrontendError(f"expected -1 and +1, got a scale of {scale.ravel()[0]}")
    if _only_multiplied(place, place.node.output[0]):
        # hls4ml would merge a BatchNorm and the sign into a threshold, wrong where it falls.
        given = kept_apart(place, given)
        place.result(_quantized(place, "", given, Quantizer(bipolar=True)))
        return
    # hls4ml's binary numbers are 0 and 1, which only its products take for -1 and +1.
    lowest = Quantizer(1.0, 1, signed=True, rounding_mode="FLOOR")  # -1 or 0
    doubled = _write(place, "Mul", "double", _quantized(place, "lower", given, lowest), number(2.0))
    signs = _write(place, "Add", "raise", doubled, number(1.0))
    place.result(_quantized(place, "", signs, Quantizer(1.0, 2, signed=True, narrow=True)))


def _only_multiplied(place: Place, name: str) -> bool:
    """Whether all that reads tensor `name`, maxima and moves left out, are unpadded products."""
    if place.source.leaves(name):
        return False
    for node in place.source.readers(name):
        padded = any(a.name == "pads" and any(a.ints) for a in node.attribute)
        if node.op_type in ("Conv", "MatMul") and not padded:
            continue
        if node.op_type not in ("MaxPool", "Flatten", "Reshape", "Identity", "Dropout") or padded:
            return False
        if not _only_multiplied(place, node.output[0]):
            return False
    return True


def _quantized(place: Place, what: str, given: Tensor, quantizer: Quantizer) -> Tensor:
    wanted = f"{place.name}_{what}" if what else place.name
    name = place.writer.quantize(wanted, given.name, given.shape, quantizer)
    return replace(given, name=name)


def relu(place: Place) -> None:
    """Relu, which hls4ml has as it is."""
    place.result(_write(place, "Relu", "", place.tensor()))


def nothing(place: Place) -> None:
    """Identity, and Dropout when it does not train."""
    place.result(place.tensor())


def arithmetic(place: Place) -> None:
    """Add, Sub and Mul of two tensors, or of one and a constant."""
    op_type = place.node.op_type
    constants = [index for index in (0, 1) if place.is_constant(index)]
    if not constants:
        left, right = place.tensor(0), place.tensor(1)
        if left.shape != right.shape:
            raise FrontendError(f"expected two equal shapes, got {left.shape} and {right.shape}")
        place.result(_write(place, op_type, "", left, right))
        return
    given = place.tensor(1 - constants[0])
    constant = place.aligned(constants[0], given)
    if _broadcast(constant, given) != given.shape[1:]:
        raise FrontendError(f"expected a constant for {given.shape}, got {constant.values.shape}")
    if constants == [1] and (constant.values == NEUTRAL[op_type]).all():
        place.result(given)  # hls4ml fails on a BatchNorm that adds nothing
        return
    if place.writer.is_from("Conv", given.name) and op_type in ("Add", "Sub"):
        # hls4ml would merge a constant for each pixel into the bias of each channel.
        given = kept_apart(place, given)
    operands = (given, constant) if constants == [1] else (constant, given)
    result = _write(place, op_type, "", *operands)
    if op_type == "Mul" and not constant.values.any():
        result = kept_apart(place, result)  # hls4ml fails where it moves zeros past an Add
    place.result(result)


def _broadcast(constant: Numbers, given: Tensor) -> tuple[int, ...]:
    try:
        return np.broadcast_shapes(constant.values.shape, given.shape[1:])
    except ValueError as error:
        raise FrontendError(f"a constant that does not fit {given.shape}: {error}") from error


def clip(place: Place) -> None:
    """Clip between two numbers, less what the quantizer behind it cuts off anyway."""
    low, high = (
        float(place.numbers(index).values) if place.has(index) else sign * np.inf
        for index, sign in ((1, -1), (2, 1))
    )
    lowest, highest = _range_behind(place)
    result = given = place.tensor()
    if high < highest:
        limit = number(high)
        above = _relu(place, "above", _write(place, "Sub", "to_max", limit, given))
        result = _write(place, "Sub", "min", limit, above)
    if low == 0 and low > lowest:
        result = _relu(place, "max", result)
    elif low > lowest:
        limit = number(low)
        above = _relu(place, "below", _write(place, "Sub", "to_min", result, limit))
        result = _write(place, "Add", "max", above, limit)
    place.result(result)


def _range_behind(place: Place) -> tuple[float, float]:
    """Return the smallest and largest number that the quantizer behind a node gives."""
    reader = place.source.only_reader(place.node.output[0])
    if reader is None or reader.op_type != "Quant":
        return -np.inf, np.inf
    found = activation_quantizer(Place(reader, place.conversion))
    return (-np.inf, np.inf) if found is None else found.limits


def prelu(place: Place) -> None:
    """PRelu with a constant slope, one or one a channel."""
    given = place.tensor()
    slope = place.aligned(1, given)
    negated = _write(place, "Mul", "negative", given, number(-1.0))
    below = _write(place, "Mul", "sloped", _relu(place, "below", negated), slope)
    place.result(_write(place, "Sub", "", _relu(place, "above", given), below))


def _relu(place: Place, what: str, given: Tensor) -> Tensor:
    return _write(place, "Relu", what, given)


def _write(place: Place, op_type: str, what: str, *operands: Tensor | Numbers) -> Tensor:
    """Write a node of tensors and constants; `what` tells it from the others of this place."""
    wanted = f"{place.name}_{what}" if what else place.name
    inputs = [
        each.name if isinstance(each, Tensor) else place.writer.numbers(f"{wanted}_constant", each)
        for each in operands
    ]
    like = next(each for each in operands if isinstance(each, Tensor))
    name = place.writer.node(op_type, wanted, inputs, like.shape)
    return replace(like, name=name)
