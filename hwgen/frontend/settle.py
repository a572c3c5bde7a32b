"""From a flow with pending steps to exact codes, and pools to their place among the steps.

A maximum commutes with every function that never falls, quantizers among them: max(f(x)) =
f(max(x)). So a MaxPool among float steps moves behind the quantizer, where codes are narrow, if
nothing after it falls, or in front of all steps if nothing before it falls. Else what comes before
it must have exact codes.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from onnx import NodeProto

from hwgen.errors import FrontendError
from hwgen.frontend.flow import Flow, PendingPool
from hwgen.frontend.network import Network
from hwgen.frontend.output_grid import exact_codes, on_own_grid
from hwgen.frontend.site import Site
from hwgen.frontend.window import Window
from hwgen.ir import Codes, Scale, TensorType
from hwgen.numeric import CodeType, Rounding
from hwgen.ops.elementwise import Elementwise
from hwgen.ops.float_steps import RISING, Quantize, Step
from hwgen.ops.max_pool import MaxPool
from hwgen.ops.requantize import Requantize
from hwgen.ops.sliding_window import SlidingWindow
from hwgen.ops.window_max import WindowMax

Steps = tuple[Step, ...]

JOIN_BITS = 24  # float32 adds these exactly
MAX_EVALUATIONS = 1 << 22


def quantized(site: Site, network: Network, flow: Flow, quantizer: Quantize) -> str:
    """Return the value that holds the codes of `flow` behind `quantizer`; emits what is needed."""
    assert flow.value is not None
    value, steps, after = _pools_placed(site, network, flow, quantizer)
    op = Elementwise(np.array(network.scales[value]), steps, quantizer)
    sources = (*flow.pending, site.node.name)
    scale = tuple(map(float, quantizer.scale))
    name = network.emit(site, op, [value], scale, sources=sources)
    return _pooled(site, network, name, after)


def settled(
    site: Site,
    network: Network,
    flow: Flow,
    max_bits: int = JOIN_BITS,
    advice: str = "",
    part: str = "exact",
) -> str:
    """Return a value whose codes are exactly the real numbers of `flow`; `part` names a new one.

    Raises
    ------
    FrontendError : when there are none, or they need more than `max_bits`
    """
    if flow.value is None:
        raise FrontendError(
            f"unquantized activation: expected an input that ends in a Quant or BipolarQuant, got "
            f"{flow.ending()}; try a quantizer after it"
        )
    if flow.settled:
        return flow.value
    if flow in network.settled:
        return network.settled[flow]
    advice = advice or f"put a Quant after {flow.ending()}"
    if part:  # named after what gave the numbers, not after who reads them
        name = flow.pending[-1] if flow.pending else site.node.name
        site = replace(site, node=NodeProto(name=name, op_type=site.node.op_type))
    value, steps, after = _pools_placed(site, network, flow, None)
    kind, scale = network.types[value], network.scales[value]
    if steps:
        op, wanted = exact_codes(kind, scale, steps, max_bits, advice)
        if op is not None:
            value = network.emit(site, op, [value], wanted, part, flow.pending)
        else:
            value = _rescaled(site, network, flow, value, wanted, part)
    network.settled[flow] = _pooled(site, network, value, after)
    return network.settled[flow]


def on_codes(site: Site, network: Network, flow: Flow) -> Flow:
    """Return a quantized flow whose steps leave codes of the same scale without these steps."""
    if not flow.quantized or flow.value is None or not flow.steps:
        return flow
    kind, scale = network.types[flow.value], network.scales[flow.value]
    if flow not in network.settled and on_own_grid(kind, scale, flow.steps) is None:
        return flow
    value = settled(site, network, flow)
    return replace(flow, value=value, steps=(), pools=(), pending=())


def _rescaled(site: Site, network: Network, flow: Flow, value: str, scale: Scale, part: str) -> str:
    """Let the codes of `value` stand for other numbers, in a value of its own."""
    kind = network.types[value].codes
    one, zero = np.ones(1, dtype=np.int64), np.zeros(1, dtype=np.int64)
    op = Requantize(one, zero, 0, Rounding.TRN, CodeType(kind.lo, kind.hi))
    return network.emit(site, op, [value], scale, part, flow.pending)


# pools -----------------------------------------------------------------------------------------


def emit_max_pool(
    site: Site, network: Network, value: str, window: Window, source: str = ""
) -> str:
    """Pool image `value` (H, W, C)."""
    codes, scale = network.types[value].codes, network.scales[value]
    shape, sources = network.types[value].shape, (source or site.node.name,)
    windows = window.sizes((shape[0], shape[1]))
    # The distance of windows means nothing where there is only one.
    stride = tuple(
        max(s, k) if n == 1 else s
        for s, k, n in zip(window.stride, window.kernel, windows, strict=True)
    )
    overlap = any(s < k for s, k in zip(stride, window.kernel, strict=True))
    if not overlap and window.dilation == (1, 1):
        op = MaxPool(window.kernel, (stride[0], stride[1]), window.padding)
        return network.emit(site, op, [value], scale, "pool" if source else "", sources)
    before = SlidingWindow(window.kernel, window.stride, window.dilation, window.padding, codes.lo)
    taps = window.kernel[0] * window.kernel[1]
    repeated = tuple(np.tile(scale, taps)) if len(scale) > 1 else scale
    patches = network.emit(site, before, [value], repeated, "window", sources)
    part = "pool" if source else ""
    return network.emit(site, WindowMax(taps), [patches], scale, part, sources)


def _pooled(site: Site, network: Network, value: str, pools: Sequence[PendingPool]) -> str:
    for pool in pools:
        value = emit_max_pool(site, network, value, pool.window, pool.node)
    return value


def _pools_placed(
    site: Site, network: Network, flow: Flow, quantizer: Quantize | None
) -> tuple[str, Steps, tuple[PendingPool, ...]]:
    """Return a value, the steps to apply to it, and the pools that follow them."""
    assert flow.value is not None
    if not flow.pools:
        return flow.value, flow.steps, ()
    kind, scale = network.types[flow.value], network.scales[flow.value]
    if all(_never_falls(flow.steps[pool.after :], kind) for pool in flow.pools):
        return flow.value, flow.steps, flow.pools
    if all(_never_falls(flow.steps[: pool.after], kind) for pool in flow.pools):
        return _pooled(site, network, flow.value, flow.pools), flow.steps, ()
    if quantizer is not None and all(
        _is_ordered(flow.steps, pool.after, quantizer, kind, scale) for pool in flow.pools
    ):
        return flow.value, flow.steps, flow.pools
    return (*_one_by_one(site, network, flow), ())


def _one_by_one(site: Site, network: Network, flow: Flow) -> tuple[str, Steps]:
    """Return the value behind the last pool, each pool on exact codes, and the steps left."""
    value, done = flow.value, 0
    for pool in flow.pools:
        before = replace(flow, value=value, steps=flow.steps[done : pool.after], pools=())
        advice = f"put a Quant right before max pooling {pool.node!r}"
        value = settled(site, network, before, advice=advice)
        value, done = _pooled(site, network, value, [pool]), pool.after
    assert value is not None
    return value, flow.steps[done:]


def _never_falls(steps: Sequence[Step], kind: TensorType) -> bool:
    every = np.arange(kind.channels)
    result = np.ones(kind.channels, dtype=np.int64)
    for step in steps:
        result = result * step.direction(every)
    return bool((result == RISING).all())


def _is_ordered(
    steps: Sequence[Step], after: int, quantizer: Quantize, kind: TensorType, scale: Scale
) -> bool:
    """Whether larger numbers at the pool never give smaller codes, tried on all that can occur."""
    if kind.codes.size * kind.channels > MAX_EVALUATIONS:
        return False
    channels = np.arange(kind.channels)
    codes: Codes = kind.codes.codes()[:, None]
    with np.errstate(over="ignore", invalid="ignore"):
        real = (codes * np.array(scale)).astype(np.float32)
        for step in steps[:after]:
            real = step.apply(real, channels)
        at_pool = np.broadcast_to(real, (len(codes), kind.channels))
        for step in steps[after:]:
            real = step.apply(real, channels)
        if np.isnan(real).any():
            return False
        results = np.broadcast_to(quantizer.quantize(real, channels), at_pool.shape)
    rows = np.argsort(at_pool, axis=0, kind="stable")
    ordered = np.take_along_axis(results, rows, axis=0)
    return bool((np.diff(ordered, axis=0) >= 0).all())


def without_pools(site: Site, network: Network, flow: Flow) -> Flow:
    """Return `flow` with its pools built, in front of the steps that are left."""
    if not flow.pools:
        return flow
    assert flow.value is not None
    kind = network.types[flow.value]
    if all(_never_falls(flow.steps[: pool.after], kind) for pool in flow.pools):
        return replace(flow, value=_pooled(site, network, flow.value, flow.pools), pools=())
    value, steps = _one_by_one(site, network, flow)
    return replace(flow, value=value, steps=steps, pools=())
