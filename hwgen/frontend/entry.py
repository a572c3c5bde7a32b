"""How frames stream: as images channels last, whatever the model's input looks like, or as vectors.

What the input is for says so. The importer begins with what ONNX's conventions suggest, and begins
again where the first image made of the input is another one.
"""

from __future__ import annotations

import numpy as np
from onnx import ModelProto

from hwgen.frontend.borders import pads_channels_last
from hwgen.frontend.boxes import PRODUCTS, REDUCTIONS, SPATIAL
from hwgen.frontend.layout import channels_last
from hwgen.frontend.quantize import InputOrder, flat_input, image_input
from hwgen.frontend.site import Site
from hwgen.ir import Codes


def expected_entry(places: Codes, model: ModelProto) -> InputOrder:
    """Return how frames stream if they are what ONNX thinks they are."""
    if places.ndim not in (3, 4):
        return flat_input(places.shape)
    image = image_input(places.shape, channels_last(places))
    kinds = {node.op_type for node in model.graph.node}
    vectors = kinds & (PRODUCTS | {"Gemm"}) and not kinds & (SPATIAL | REDUCTIONS)
    # Images of one channel stream as they are, and so do sequences as far as is known.
    same = places.ndim == 3 or places.shape[1] == 1
    return flat_input(places.shape) if vectors and same else image


def wanted_entry(site: Site, entry: InputOrder) -> InputOrder | None:
    """Return how frames should stream for the node; None where it does not say."""
    kind, flow = site.node.op_type, site.flow
    if kind not in SPATIAL | PRODUCTS or len(flow.shape) not in (3, 4):
        return None
    elements = np.argsort(entry.places, axis=None)[flow.order]
    # A product is over the last axis, everything else has its channels on axis 1.
    last = kind in PRODUCTS or (kind == "Pad" and pads_channels_last(site))
    streamed = elements.reshape(-1, *elements.shape[-2:]) if last else channels_last(elements)
    return image_input((1, *entry.places.shape), streamed)


def same_entry(one: InputOrder, other: InputOrder) -> bool:
    """Whether frames stream alike."""
    return np.array_equal(one.places, other.places)
