"""What layers that join, pool, encode and reshape become in ONNX; the rest is in `lowering.py`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from torch import nn

from hwgen.errors import ExportError
from hwgen.nn.config import FixedPointConfig
from hwgen.nn.encoders import Thermometer
from hwgen.nn.flow import Constant, Flow, Grid, apply_constant, exact, lower_output, with_batch
from hwgen.nn.flow import lower_quantizer as write_quantizer
from hwgen.nn.onnx_writer import QONNX_DOMAIN, OnnxWriter, Shape
from hwgen.nn.quantizer import FixedPointQuantizer
from hwgen.nn.structure import (
    AdaptiveAvgPool1d,
    AdaptiveAvgPool2d,
    Add,
    AvgPool1d,
    AvgPool2d,
    Cat,
    reciprocal,
)
from hwgen.nn.window import Window, pool_window


def lower_add(layer: Add, name: str, flows: Sequence[Flow], writer: OnnxWriter) -> Flow:
    """Add of two tensors, then the output quantizer."""
    if len(flows) != 2:
        raise ExportError(f"{name}: expected two tensors to add, got {len(flows)}")
    left, right = flows
    _require_grids(name, flows)
    if left.shape is not None and right.shape is not None and left.shape != right.shape:
        raise ExportError(
            f"{name}: expected two equal shapes, got {with_batch(left.shape)} and "
            f"{with_batch(right.shape)}"
        )
    grid = None if left.grid is None or right.grid is None else left.grid.plus(right.grid)
    shape = left.shape or right.shape
    tensor = writer.node("Add", name, [left.tensor, right.tensor], shape or ())
    result = Flow(tensor, shape, exact(name, grid), None if grid is None else False)
    return lower_output(layer.output_quantizer, name, result, writer)


def lower_cat(layer: Cat, name: str, flows: Sequence[Flow], writer: OnnxWriter) -> Flow:
    """Concat along the channels, then the output quantizer."""
    _require_grids(name, flows)
    shapes = [flow.shape for flow in flows]
    if any(shape is None for shape in shapes):
        return Flow.unknown()
    known = [shape for shape in shapes if shape is not None]
    if any(shape[1:] != known[0][1:] for shape in known):
        raise ExportError(
            f"{name}: expected shapes that differ in channels only, got "
            f"{', '.join(map(with_batch, known))}"
        )
    shape = (sum(each[0] for each in known), *known[0][1:])
    tensor = writer.node("Concat", name, [flow.tensor for flow in flows], shape, axis=1)
    grids = [(flow.grid, each[0]) for flow, each in zip(flows, known, strict=True) if flow.grid]
    frac = np.concatenate([np.broadcast_to(grid.frac, (n,)) for grid, n in grids])
    bound = np.concatenate([np.broadcast_to(grid.bound, (n,)) for grid, n in grids])
    quantized = all(flow.quantized for flow in flows)
    result = Flow(tensor, shape, Grid(frac, bound), quantized)
    return lower_output(layer.output_quantizer, name, result, writer)


def lower_max_pool(
    layer: nn.MaxPool1d | nn.MaxPool2d, name: str, flow: Flow, writer: OnnxWriter
) -> Flow:
    """MaxPool; numbers stay what they are."""
    if layer.ceil_mode or layer.return_indices:
        raise ExportError(
            f"{name}: expected ceil_mode and return_indices off, got them on; pad instead"
        )
    axes = 1 if isinstance(layer, nn.MaxPool1d) else 2
    shape = _map(name, flow, axes)
    window = pool_window(layer, axes)
    result = None if shape is None else (shape[0], *window.sizes(name, shape[1:]))
    tensor = writer.node("MaxPool", name, [flow.tensor], result or (), window=window.attributes())
    return replace(flow, tensor=tensor, shape=result)


def lower_average_pool(
    layer: AvgPool1d | AvgPool2d, name: str, flow: Flow, writer: OnnxWriter
) -> Flow:
    """AveragePool, or sums times a reciprocal, then the output quantizer."""
    axes = 1 if isinstance(layer, AvgPool1d) else 2
    window = pool_window(layer, axes)
    if any(window.begins) or layer.ceil_mode:
        raise ExportError(
            f"{name}: expected no padding and ceil_mode off; use hwgen.nn.Conv{axes}d"
        )
    return _lower_average(layer, window, name, flow, writer)


def lower_adaptive_pool(
    layer: AdaptiveAvgPool1d | AdaptiveAvgPool2d, name: str, flow: Flow, writer: OnnxWriter
) -> Flow:
    """The average over the whole map."""
    axes = 1 if isinstance(layer, AdaptiveAvgPool1d) else 2
    shape = _map(name, flow, axes)
    none, ones = (0,) * axes, (1,) * axes
    size = ones if shape is None else shape[1:]
    return _lower_average(layer, Window(size, size, ones, none, none), name, flow, writer)


def _lower_average(
    layer: AvgPool1d | AvgPool2d | AdaptiveAvgPool1d | AdaptiveAvgPool2d,
    window: Window,
    name: str,
    flow: Flow,
    writer: OnnxWriter,
) -> Flow:
    _require_grids(name, [flow])
    shape, count = _map(name, flow, len(window.kernel)), int(np.prod(window.kernel))
    if shape is None or flow.grid is None:
        return Flow.unknown()
    result = (shape[0], *window.sizes(name, shape[1:]))
    sums = Grid(flow.grid.frac, flow.grid.bound * count)
    factor = reciprocal(count)
    if factor == 1 / count and count & (count - 1) == 0:
        attributes = window.attributes()
        del attributes["dilations"]  # not in this version of the operator
        tensor = writer.node("AveragePool", name, [flow.tensor], result, window=attributes)
        grid = Grid(sums.frac + (count.bit_length() - 1), sums.bound)
        known = Flow(tensor, result, exact(name, grid), False)
        return lower_output(layer.output_quantizer, name, known, writer)
    weights = np.ones((shape[0], 1, *window.kernel))
    ones = writer.quantized_constant(_whole(2), f"{name}.ones", weights, np.ones(()))
    inputs, attributes = [flow.tensor, ones], window.attributes()
    tensor = writer.node("Conv", f"{name}.sums", inputs, result, group=shape[0], window=attributes)
    summed = Flow(tensor, result, exact(name, sums), False)
    scaled = _times_reciprocal(name, summed, factor, writer)
    return lower_output(layer.output_quantizer, name, scaled, writer)


def _times_reciprocal(name: str, flow: Flow, factor: float, writer: OnnxWriter) -> Flow:
    codes, denominator = factor.as_integer_ratio()
    frac = denominator.bit_length() - 1
    quantizer = FixedPointQuantizer(FixedPointConfig(codes.bit_length(), signed=False, frac=frac))
    numbers = Constant(np.asarray(float(codes)), np.asarray(1 / denominator))
    named = (name, f"{name}.reciprocal")
    result = apply_constant("Mul", named, quantizer, numbers, flow, writer)
    exact(name, result.grid)
    return result


def lower_upsample(layer: nn.Upsample, name: str, flow: Flow, writer: OnnxWriter) -> Flow:
    """Resize that repeats numbers."""
    factors = layer.scale_factor
    if layer.mode != "nearest" or factors is None or layer.size is not None:
        raise ExportError(
            f"{name}: expected nn.Upsample(scale_factor=, mode='nearest'), got mode "
            f"{layer.mode!r}, scale_factor {factors}; repeat whole pixels"
        )
    if flow.shape is None:
        return Flow.unknown()
    axes = len(flow.shape) - 1
    each = factors if isinstance(factors, tuple) else (factors,) * axes
    if any(f != int(f) or f < 1 for f in each):
        raise ExportError(f"{name}: expected whole scale factors, got {each}")
    shape = (flow.shape[0], *(s * int(f) for s, f in zip(flow.shape[1:], each, strict=True)))
    scales = writer.constant(f"{name}.scales", [1.0, 1.0, *each])
    tensor = writer.node(
        "Resize",
        name,
        [flow.tensor, "", scales],
        shape,
        mode="nearest",
        coordinate_transformation_mode="asymmetric",
        nearest_mode="floor",
    )
    return replace(flow, tensor=tensor, shape=shape)


def lower_zero_pad(
    layer: nn.ZeroPad1d | nn.ZeroPad2d, name: str, flow: Flow, writer: OnnxWriter
) -> Flow:
    """Pad; a zero is on every grid."""
    sides = layer.padding  # (before, behind) of the last axis first
    axes = len(sides) // 2
    if min(sides) < 0:
        raise ExportError(f"{name}: expected padding >= 0, got {sides}; cut before the model")
    shape = _map(name, flow, axes)
    if shape is None:
        return Flow.unknown()
    begins, ends = sides[-2::-2], sides[::-2]
    result = (shape[0], *(b + n + e for b, n, e in zip(begins, shape[1:], ends, strict=True)))
    pads = writer.integers(f"{name}.pads", [0, 0, *begins, 0, 0, *ends])
    tensor = writer.node("Pad", name, [flow.tensor, pads], result)
    return replace(flow, tensor=tensor, shape=result)


def lower_flatten(layer: nn.Flatten, name: str, flow: Flow, writer: OnnxWriter) -> Flow:
    """Flatten; the batch stays."""
    if (layer.start_dim, layer.end_dim) != (1, -1):
        raise ExportError(
            f"{name}: expected nn.Flatten(1, -1), got nn.Flatten({layer.start_dim}, "
            f"{layer.end_dim}); flatten everything but the batch"
        )
    shape = None if flow.shape is None else (int(np.prod(flow.shape)),)
    tensor = writer.node("Flatten", name, [flow.tensor], shape or (), axis=1)
    grid = None if flow.grid is None else flow.grid.shared()
    return replace(flow, tensor=tensor, shape=shape, grid=grid)


def lower_thermometer(layer: Thermometer, name: str, flow: Flow, writer: OnnxWriter) -> Flow:
    """Quant of the pixels, a 1x1 Conv that repeats them, Add of -threshold, BipolarQuant."""
    shape = flow.shape
    if shape is None:
        return Flow.unknown()
    if len(shape) < 2 or shape[0] != layer.channels:
        raise ExportError(
            f"{name}: expected input of shape (N, {layer.channels}, ...), got {with_batch(shape)}"
        )
    planes = layer.channels * layer.planes
    result = (planes, *shape[1:])
    pixels = write_quantizer(layer.pixels.output_quantizer, f"{name}.pixels", flow, writer)
    ones = np.ones((planes, 1, *[1] * (len(shape) - 1)))
    weights = writer.quantized_constant(_whole(2), f"{name}.ones", ones, np.ones(()))
    kernel = [1] * (len(shape) - 1)
    inputs, group = [pixels.tensor, weights], layer.channels
    tensor = writer.node("Conv", f"{name}.repeat", inputs, result, group=group, kernel_shape=kernel)
    first = -np.tile(layer.thresholds.cpu().numpy().astype(np.float64), layer.channels)
    numbers = Constant(first, np.asarray(1.0))
    repeated = Flow(tensor, result, pixels.grid, False)
    quantizer = _whole(layer.pixels.output_quantizer.bit_width + 2)
    named = (f"{name}.compare", f"{name}.thresholds")
    moved = apply_constant("Add", named, quantizer, numbers, repeated, writer)
    inputs = [moved.tensor, writer.constant(f"{name}.scale", 1.0)]
    tensor = writer.node("BipolarQuant", name, inputs, result, domain=QONNX_DOMAIN)
    return Flow(tensor, result, Grid(np.asarray(0), np.asarray(1.0)), True)


def lower_nothing(layer: nn.Module, name: str, flow: Flow, writer: OnnxWriter) -> Flow:
    """Dropout and nn.Identity do nothing in eval mode."""
    return flow


def _whole(bit_width: int) -> FixedPointQuantizer:
    return FixedPointQuantizer(FixedPointConfig(bit_width, frac=0))


def _require_grids(name: str, flows: Sequence[Flow]) -> None:
    for flow in flows:
        if flow.grid is None and flow.quantized is False:
            raise ExportError(
                f"{name}: expected quantized numbers or sums of them, got {flow.what()}; put "
                "hwgen.nn.Identity (or ReLU, Sign) before it"
            )


def _map(name: str, flow: Flow, axes: int) -> Shape | None:
    if flow.shape is not None and len(flow.shape) != axes + 1:
        axis_names = "L" if axes == 1 else "H, W"
        raise ExportError(
            f"{name}: expected input of shape (N, C, {axis_names}), got {with_batch(flow.shape)}"
        )
    return flow.shape
