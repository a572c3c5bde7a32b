"""Quantizer nodes: on the model's input, behind float steps, and on constants."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from onnx import NodeProto

from hwgen.errors import FrontendError, IRError
from hwgen.frontend import constants, integers
from hwgen.frontend.constants import Constant
from hwgen.frontend.flow import Flow
from hwgen.frontend.free_sum import quantized_sum
from hwgen.frontend.network import Network
from hwgen.frontend.quantizer import Quantizer, bipolar_quantizer, integer_quantizer
from hwgen.frontend.settle import quantized
from hwgen.frontend.site import Site, attributes
from hwgen.ir import Codes, Input, TensorType, layout_of
from hwgen.numeric import CodeType
from hwgen.ops.float_steps import Add, Divide, Multiply, Quantize, Step

QONNX_QUANTIZERS = frozenset({"Quant", "IntQuant", "BipolarQuant"})
QUANTIZERS = QONNX_QUANTIZERS | {"QuantizeLinear"}
PREPARE_NAMES: dict[type[Step], str] = {Add: "add", Multiply: "multiply", Divide: "divide"}


@dataclass(frozen=True, eq=False)
class InputOrder:
    """How frames are to stream.

    Parameters
    ----------
    shape : of a frame as it streams, channels last
    places : int64, shaped like a frame in the model: where each element streams
    """

    shape: tuple[int, ...]
    places: Codes


def quantizer_of(node: NodeProto, known: Sequence[Constant | None]) -> Quantizer:
    """Return what a quantizer node does, its parameters checked."""
    given = [None if c is None else c.reals() for c in known[1:]]
    if node.op_type == "BipolarQuant":
        if len(given) != 1 or given[0] is None:
            raise FrontendError("expected a constant scale, got none")
        return bipolar_quantizer(given[0])
    if len(given) != 3:
        raise FrontendError(f"expected scale, zero_point, bit_width, got {len(given)} inputs")
    scale, zero_point, bit_width = given
    if scale is None or zero_point is None or bit_width is None:
        raise FrontendError("expected constant scale, zero_point and bit_width")
    return integer_quantizer(scale, zero_point, bit_width, attributes(node))


def quantize_constant(node: NodeProto, known: Sequence[Constant | None]) -> Constant:
    """Return a constant tensor with its codes."""
    if not known or known[0] is None:
        raise FrontendError("expected a tensor to quantize, got none")
    if node.op_type == "QuantizeLinear":
        return integers.quantize_constant(node, known)
    return constants.quantize(known[0], quantizer_of(node, known), node.output[0])


def quantize(site: Site, network: Network, entry: InputOrder) -> Flow:
    """Return the flow behind a quantizer node; `entry` says how the model's input streams."""
    if site.flow_at != 0:
        raise FrontendError("expected constant quantizer parameters, got computed ones")
    if site.node.op_type == "QuantizeLinear":
        linear = integers.linear(site.node, site.inputs, site.shape)
        quantizer, zero = linear.quantizer(), linear.zero
    else:
        quantizer, zero = quantizer_of(site.node, site.inputs), None
    flow = _quantized(site, network, quantizer, entry)
    return replace(flow, zero_point=zero)


def _quantized(site: Site, network: Network, quantizer: Quantizer, entry: InputOrder) -> Flow:
    flow = site.flow
    if flow.value is None:
        return _quantize_input(site, network, quantizer, entry)
    scale = site.spread(quantizer.scale, "scale")
    step = Quantize(scale, quantizer.zero_point, quantizer.codes, quantizer.rounding)
    if flow.summands is not None:
        value = quantized_sum(site, network, flow, step)
    else:
        flow = network.fitted(site, flow, (step,))
        value = quantized(site, network, flow, step)
    return Flow(value, flow.order, quantized=True, source=site.node.name)


def _quantize_input(site: Site, network: Network, quantizer: Quantizer, entry: InputOrder) -> Flow:
    flow, scale = site.flow, quantizer.scale
    if scale.size > 1 and scale.min() != scale.max():
        raise FrontendError(f"expected one scale for the input, got {scale.size}")
    source = Input(
        name="",
        type=TensorType(entry.shape, quantizer.codes),
        scale=float(scale.ravel()[0]),
        rounding=quantizer.rounding,
        zero_point=quantizer.zero_point,
        prepare=_prepare(flow),
        source=flow.source,
        layout=layout_of(entry.places, entry.shape),
    )
    if network.inputs:
        first = network.inputs[0]
        if replace(source, name=first.name) != first:
            raise FrontendError(
                "expected one quantizer on the model's input, got a second one that differs; "
                "quantize the input once"
            )
        source = first
    else:
        source = replace(source, name=network.namer.name(flow.source, "frames", site.index))
        network.enter(source)
    order = entry.places.ravel()[flow.order]
    return Flow(source.name, order, quantized=True, source=site.node.name)


def enter_integers(
    network: Network, places: Codes, codes: CodeType, entry: InputOrder, name: str
) -> Flow:
    """Return the flow of an input whose frames are integers; the host sends them as they are."""
    kind, layout = TensorType(entry.shape, codes), layout_of(entry.places, entry.shape)
    value = network.namer.name(name, "frames", 0)
    network.enter(Input(value, kind, source=name, layout=layout))
    order = entry.places.ravel()[places]
    return Flow(value, order, quantized=True, source=name, zero_point=0)


def _prepare(flow: Flow) -> tuple[tuple[str, float], ...]:
    prepare = []
    for step in flow.steps:
        if not isinstance(step, Add | Multiply | Divide) or step.constant.size > 1:
            raise FrontendError(
                "expected only Add, Sub, Mul and Div by one number before the input's "
                f"quantizer, got {flow.ending()}; try moving it before the model"
            )
        prepare.append((PREPARE_NAMES[type(step)], float(step.constant[0])))
    return tuple(prepare)


def flat_input(shape: tuple[int, ...]) -> InputOrder:
    """Return the order of frames (1, ...) that stream as they are, as one vector."""
    return InputOrder((math.prod(shape),), np.arange(math.prod(shape)).reshape(shape[1:]))


def image_input(shape: tuple[int, ...], streamed: Codes) -> InputOrder:
    """Return the order of frames that stream as an image, or flat where that is no transposition.

    Parameters
    ----------
    shape : of the model's input, batch 1 first
    streamed : (H, W, C), for each element of the image its place in the model's input
    """
    places = np.empty(streamed.size, dtype=np.int64)
    places[streamed.ravel()] = np.arange(streamed.size)
    places = places.reshape(shape[1:])
    try:
        layout_of(places, streamed.shape)
    except IRError:
        return flat_input(shape)
    return InputOrder(streamed.shape, places)
