"""Nodes that make images larger: Pad with a constant, Resize and Upsample by repetition.

Source: https://onnx.ai/onnx/operators/onnx__Pad.html, onnx__Resize.html
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from hwgen.errors import FrontendError
from hwgen.frontend.flow import Flow
from hwgen.frontend.layout import image_of, image_order
from hwgen.frontend.linear import activation
from hwgen.frontend.network import Network
from hwgen.frontend.settle import without_pools
from hwgen.frontend.site import Site
from hwgen.ops.pad import Pad
from hwgen.ops.upsample import Upsample

# Coordinates and roundings that, at whole factors, repeat each pixel equally often.
CENTERED = frozenset({b"half_pixel", b"half_pixel_symmetric", b"pytorch_half_pixel"})
NEAREST = frozenset({b"round_prefer_floor", b"round_prefer_ceil"})


def pad(site: Site, network: Network) -> Flow:
    """Return the flow behind a Pad.

    Codes have no zero point any more, so the number 0 is the code 0, whatever the quantizer.
    """
    if site.attributes.get("mode", b"constant") != b"constant":
        raise FrontendError(
            f"expected mode constant, got {site.attributes['mode']!r}; pad with zeros"
        )
    value, scale = activation(site, network)
    rank, last = len(site.shape), pads_channels_last(site)
    around = _padding(site, last)
    if not any(around):
        return site.flow
    first = np.moveaxis(site.flow.order, -1, 1) if last else site.flow.order
    image = image_of(replace(site.flow, order=first))
    code = _pad_code(site, scale)
    value = network.reshaped(site, value, image)
    if network.types[value].codes.bipolar and abs(code) != 1:
        raise FrontendError(
            "expected padding by one of the two numbers of a BipolarQuant, got another one; use "
            "the padding of a Conv, or a Quant with two bits"
        )
    top, left, bottom, right = around
    larger = (top + image[0] + bottom, left + image[1] + right, image[2])
    order = image_order(larger, rank)
    order = np.moveaxis(order, 1, -1) if last else order
    name = network.emit(site, Pad(around, code), [value], (scale,))
    return Flow(name, order, quantized=True, source=site.node.name)


def pads_channels_last(site: Site) -> bool:
    """Whether a Pad takes axes 1 and 2 of an image for rows and columns, as TensorFlow does.

    Or axis 1 of a sequence for its columns.
    """
    ends = _ends(site)
    if len(site.shape) == 3:
        return any(ends[1]) and not any(ends[2])
    return len(site.shape) == 4 and any(ends[1]) and any(ends[2]) and not any(ends[3])


def _ends(site: Site) -> list[tuple[int, int]]:
    """Return what a Pad puts in front of and behind each axis."""
    rank, pads = len(site.shape), site.integers("pads", 1)
    axes = None if site.given(3) is None else site.integers("axes", 3)
    axes = [axis % rank for axis in axes] if axes is not None else list(range(rank))
    if pads is None or len(pads) != 2 * len(axes):
        raise FrontendError(f"expected {2 * len(axes)} pads, got {pads}")
    if min(pads) < 0:
        raise FrontendError(f"expected pads >= 0, got {pads}; use Slice to crop")
    given = zip(axes, pads[: len(axes)], pads[len(axes) :], strict=True)
    ends = {axis: (first, last) for axis, first, last in given}
    return [ends.get(axis, (0, 0)) for axis in range(rank)]


def _padding(site: Site, last: bool) -> tuple[int, int, int, int]:
    """Return the padding around an image, whose channels are on the last axis or on axis 1."""
    ends = _ends(site)
    outside = [ends[0], ends[-1 if last else 1]]
    if any(any(end) for end in outside):
        raise FrontendError(f"expected padding of rows and columns only, got {ends} of each axis")
    rows = ends[1 if last else 2] if len(ends) == 4 else (0, 0)
    columns = ends[-2 if last else -1]
    return rows[0], columns[0], rows[1], columns[1]


def _pad_code(site: Site, scale: float) -> int:
    """Return the code of the number to pad with."""
    constant = site.given(2)
    number = site.number("value", 0.0)
    if constant is not None and constant.value.size:
        values = constant.reals().ravel()
        if values.size != 1:
            raise FrontendError(f"expected one number to pad with, got {values.size}")
        number = float(values[0])
    code = round(number / scale) if abs(number) < scale * (1 << 31) else 0
    if np.float32(code * scale) != np.float32(number):
        raise FrontendError(
            f"expected padding by a multiple of the scale {scale:g}, got {number:g}; pad with 0"
        )
    return code


def resize(site: Site, network: Network) -> Flow:
    """Return the flow behind a Resize or Upsample that repeats rows and columns."""
    if site.flow_at != 0 or len(site.flows) > 1 or site.flow.value is None:
        raise FrontendError("expected a quantized image and constant scales, got something else")
    flow = without_pools(site, network, site.flow)
    assert flow.value is not None
    image = image_of(flow)
    rank = len(flow.shape)
    factors = _factors(site)
    _expect_repetition(site, factors)
    if factors == (1, 1):
        return flow
    larger = (image[0] * factors[0], image[1] * factors[1], image[2])
    order = image_order(larger, rank)
    value, _ = network.image(site, flow, flow.value)
    name = network.emit(site, Upsample(factors), [value], network.scales[value])
    return replace(flow, value=name, order=order)


def _factors(site: Site) -> tuple[int, int]:
    """Return how often rows and columns are repeated."""
    shape, last = site.shape, 2 if len(site.inputs) > 2 else 1
    scales = site.attributes.get("scales")  # of the old Upsample
    constant = site.given(last)
    sizes = site.given(3)
    if sizes is not None and sizes.value.size == len(shape):
        wanted = sizes.value.ravel().tolist()
        scales = [after / before for after, before in zip(wanted, shape, strict=True)]
    elif constant is not None:
        scales = constant.reals().ravel().tolist()
    if not isinstance(scales, list) or len(scales) != len(shape):
        raise FrontendError(
            f"expected constant scales or sizes for the {len(shape)} axes, got {scales}"
        )
    if any(s != round(s) or s < 1 for s in scales) or scales[:2] != [1, 1]:
        raise FrontendError(
            f"expected whole factors of rows and columns, got {[float(s) for s in scales]}; "
            "resize by 2, 3, ..."
        )
    rows = round(scales[2]) if len(shape) == 4 else 1
    return rows, round(scales[-1])


def _expect_repetition(site: Site, factors: tuple[int, int]) -> None:
    """Check that the node repeats pixels; see its table of coordinates and roundings."""
    attributes = site.attributes
    mode = attributes.get("mode", b"nearest")
    if mode != b"nearest":
        raise FrontendError(f"expected mode nearest, got {mode!r}; interpolate before training")
    if site.node.op_type == "Upsample" or len(site.node.input) < 3:
        return  # the first versions, which floor
    where = attributes.get("coordinate_transformation_mode", b"half_pixel")
    rounding = attributes.get("nearest_mode", b"round_prefer_floor")
    floors = where == b"asymmetric" and (
        rounding == b"floor" or (rounding == b"round_prefer_floor" and max(factors) <= 2)
    )
    if not floors and not (where in CENTERED and rounding in NEAREST):
        raise FrontendError(
            f"expected every pixel equally often, got {where!r} with {rounding!r}; try "
            "coordinate_transformation_mode='asymmetric', nearest_mode='floor'"
        )
