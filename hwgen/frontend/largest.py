"""ArgMax and TopK at the end of a classifier: the indices of the largest numbers.

Source: https://onnx.ai/onnx/operators/onnx__ArgMax.html, onnx__TopK.html
"""

from __future__ import annotations

import numpy as np

from hwgen.errors import FrontendError
from hwgen.frontend.alignment import even
from hwgen.frontend.flow import Flow
from hwgen.frontend.layout import vectors_of
from hwgen.frontend.network import Network
from hwgen.frontend.settle import settled
from hwgen.frontend.site import Site
from hwgen.ops.argmax import ArgMax
from hwgen.ops.top_k import TopK


def arg_max(site: Site, network: Network) -> Flow:
    """Return the flow behind an ArgMax over channels; of equal numbers the first wins."""
    if site.attributes.get("select_last_index"):
        raise FrontendError("expected select_last_index 0, got 1; the first of equals is given")
    axis = site.attributes.get("axis", 0)
    return _indices(site, network, axis, bool(site.attributes.get("keepdims", 1)))


def top_k(site: Site, network: Network) -> tuple[Flow | None, Flow]:
    """Return the flow of the indices of a TopK, the largest first; its values are not computed."""
    graph = site.model.graph
    read = {value.name for value in graph.output}.union(*(node.input for node in graph.node))
    if site.node.output[0] in read:
        raise FrontendError(
            "expected its indices to be used, got its values; take them on the host, or ReduceMax"
        )
    count = site.given(1)
    k = site.attributes.get("k", 1) if count is None else count.integer()
    if not isinstance(k, int) or k < 1:
        raise FrontendError(f"expected k of at least 1, got {k}")
    if not site.attributes.get("largest", 1):
        raise FrontendError("expected largest 1, got 0; negate the numbers before it")
    return None, _indices(site, network, site.attributes.get("axis", -1), keep=True, count=k)


def _indices(site: Site, network: Network, axis: object, keep: bool, count: int = 1) -> Flow:
    """Return the flow of the `count` indices of each vector; without the axis if not to `keep`."""
    flow, rank = site.flow, len(site.shape)
    image = rank in (3, 4) and axis in (1, 1 - rank)
    if not image and axis not in (-1, rank - 1):
        raise FrontendError(f"expected the axis of channels, 1, got axis {axis}")
    value = even(site, network, settled(site, network, flow, advice="put a Quant before it"))
    if image:
        value, (_, _, channels) = network.image(site, flow, value)
        places, at = flow.order[:, :1] // channels, 1
    else:
        channels = flow.shape[-1]
        if not np.array_equal(vectors_of(flow, channels), np.arange(channels)):
            raise FrontendError(
                "expected channels that stream in the model's order, got another one; put the "
                "ArgMax before the Flatten"
            )
        vectors = flow.order.size // channels
        value = network.reshaped(site, value, (vectors, channels) if vectors > 1 else (channels,))
        places, at = flow.order[..., :1] // channels, rank - 1
    if count > channels:
        raise FrontendError(f"expected k of at most {channels}, the numbers, got {count}")
    name = network.emit(site, TopK(count) if count > 1 else ArgMax(), [value], (1.0,))
    ranks = np.arange(count).reshape([-1 if k == at else 1 for k in range(places.ndim)])
    order = places * count + ranks if keep else np.take(places, 0, axis=at)
    return Flow(name, order, source=site.node.name)
