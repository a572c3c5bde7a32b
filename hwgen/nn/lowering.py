"""What each layer becomes in ONNX, and on which grid its result lies.

One function a layer, and the table of all at the end. Layers that join, pool or encode are in
`structure_lowering.py`. Used by `export.py`; nodes are made by `onnx_writer.py`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
from torch import nn

from hwgen.errors import ExportError
from hwgen.nn.activations import Hardtanh, Identity, PReLU, ReLU, ReLU6, RPReLU, Sign
from hwgen.nn.batchnorm import BatchNorm, BatchNorm1d, BatchNorm2d
from hwgen.nn.embedding import Embedding
from hwgen.nn.encoders import Pixels, Thermometer
from hwgen.nn.flow import (
    Constant,
    Flow,
    Grid,
    Reals,
    apply_constant,
    apply_constants,
    channelwise,
    constant,
    exact,
    lower_output,
    lower_quantizer,
    with_batch,
)
from hwgen.nn.gated import PrecisionGatedConv2d
from hwgen.nn.layers import Conv1d, Conv2d, Linear, Weighted
from hwgen.nn.onnx_writer import OnnxWriter
from hwgen.nn.quantizer import Quantizer
from hwgen.nn.structure import (
    AdaptiveAvgPool1d,
    AdaptiveAvgPool2d,
    Add,
    AvgPool1d,
    AvgPool2d,
    Cat,
)
from hwgen.nn.structure_lowering import (
    lower_adaptive_pool,
    lower_add,
    lower_average_pool,
    lower_cat,
    lower_flatten,
    lower_max_pool,
    lower_nothing,
    lower_thermometer,
    lower_upsample,
    lower_zero_pad,
)
from hwgen.nn.table_lowering import lower_embedding, lower_gated
from hwgen.nn.window import convolution_window


def lower_linear(layer: Linear, name: str, flow: Flow, writer: OnnxWriter) -> Flow:
    """MatMul with a Quant'ed weight, Add of a Quant'ed bias, then the output quantizer."""
    _require_quantized(name, flow)
    if flow.shape not in (None, (layer.in_features,)):
        raise ExportError(
            f"{name}: expected input of shape (N, {layer.in_features}), got "
            f"{with_batch(flow.shape)}; set in_features, or put nn.Flatten before it"
        )
    weight = constant(layer.weight_quantizer, layer.constants()[0])
    scale = np.ones(()) if layer.weight_quantizer.free_scale else weight.scale
    # Stored as (in, out), so that no Transpose is needed.
    values = (weight.codes * scale).T
    quantized = writer.quantized_constant(layer.weight_quantizer, f"{name}.weight", values, scale.T)
    shape = (layer.out_features,)
    tensor = writer.node("MatMul", name, [flow.tensor, quantized], shape)
    grid = None
    if flow.grid is not None:
        inputs = flow.grid.shared()
        bound = np.abs(weight.codes) @ np.broadcast_to(inputs.bound, (layer.in_features,))
        grid = Grid(inputs.frac, bound)
    return _lower_sums(layer, name, Flow(tensor, shape, grid, False), weight.scale, writer)


def lower_convolution(layer: Conv1d | Conv2d, name: str, flow: Flow, writer: OnnxWriter) -> Flow:
    """Conv with a Quant'ed weight, then as `lower_linear`.

    The bias is an input of the Conv: other tools expect it there. Behind a free scale it cannot be.
    """
    _require_quantized(name, flow)
    axes = layer.weight.dim() - 2
    if flow.shape is not None and (
        len(flow.shape) != axes + 1 or flow.shape[0] != layer.in_channels
    ):
        raise ExportError(
            f"{name}: expected input of shape (N, {layer.in_channels}, "
            f"{'L' if axes == 1 else 'H, W'}), got {with_batch(flow.shape)}; set in_channels to "
            "match"
        )
    window = convolution_window(layer)
    shape = (layer.out_channels, *window.sizes(name, (flow.shape or ())[1:]))
    weight = constant(layer.weight_quantizer, layer.constants()[0])
    scale = np.ones(()) if layer.weight_quantizer.free_scale else weight.scale
    quantized = writer.quantized_constant(
        layer.weight_quantizer, f"{name}.weight", weight.codes * scale, scale
    )
    inputs, attributes = [flow.tensor, quantized], window.attributes()
    bias = None if layer.weight_quantizer.free_scale else _bias(layer)
    if bias is not None and layer.bias_quantizer is not None:
        numbers = bias.codes * bias.scale
        inputs.append(
            writer.quantized_constant(layer.bias_quantizer, f"{name}.bias", numbers, bias.scale)
        )
    tensor = writer.node("Conv", name, inputs, shape, group=layer.groups, window=attributes)
    grid = None
    if flow.grid is not None:
        shared = flow.grid.on(np.asarray(flow.grid.frac.max()))
        grid = Grid(shared.frac, _convolution_bound(layer, np.abs(weight.codes), shared.bound))
    sums = Flow(tensor, shape, grid, False)
    return _lower_sums(layer, name, sums, weight.scale, writer, added=bias)


def _bias(layer: Weighted) -> Constant | None:
    """Return the quantized bias, None where there is none."""
    values = layer.constants()[1]
    if layer.bias_quantizer is None or values is None:
        return None
    return constant(layer.bias_quantizer, values)


def _convolution_bound(layer: Conv1d | Conv2d, magnitudes: Reals, inputs: Reals) -> Reals:
    """Return the largest sum of each output channel."""
    each = magnitudes.reshape(*magnitudes.shape[:2], -1).sum(axis=2)  # (O, I / groups)
    channels = np.broadcast_to(inputs, (layer.in_channels,)).reshape(layer.groups, -1)
    return np.asarray(
        np.einsum("goi,gi->go", each.reshape(layer.groups, -1, each.shape[1]), channels)
    ).ravel()


def _lower_sums(
    layer: Weighted,
    name: str,
    flow: Flow,
    scale: Reals,
    writer: OnnxWriter,
    added: Constant | None = None,
) -> Flow:
    """What follows the integer sums: a free scale, the bias, the output quantizer.

    `added` is the bias where it is in the sums already.
    """
    exact(name, flow.grid)
    shape = flow.shape or ()
    channels = np.asarray(scale).reshape(-1) if scale.size > 1 else scale.reshape(())
    if layer.weight_quantizer.free_scale:
        factor = writer.constant(f"{name}.scale", channelwise(channels, shape))
        tensor = writer.node("Mul", f"{name}.multiply", [flow.tensor, factor], shape)
        flow = Flow(tensor, shape, None, False, rounded=True)
    elif flow.grid is not None:
        frac = np.asarray(1 - np.frexp(channels)[1], dtype=np.int64)
        flow = replace(flow, grid=Grid(flow.grid.frac + frac, flow.grid.bound))
    else:
        flow = replace(flow, quantized=None)
    bias = _bias(layer)
    if added is not None:
        flow = replace(flow, grid=None if flow.grid is None else flow.grid.plus(added.grid))
    elif bias is not None and layer.bias_quantizer is not None:
        named = (f"{name}.add_bias", f"{name}.bias")
        flow = apply_constant("Add", named, layer.bias_quantizer, bias, flow, writer)
    exact(name, flow.grid)
    return lower_output(layer.output_quantizer, name, flow, writer)


def lower_batchnorm(layer: BatchNorm, name: str, flow: Flow, writer: OnnxWriter) -> Flow:
    """Mul and Add with Quant'ed constants, then the output quantizer."""
    if flow.raw:
        raise ExportError(
            f"{name}: expected a quantized input or the sums of hwgen.nn.Linear, got the raw input "
            "of the model; put hwgen.nn.Identity before it"
        )
    dims = [len(layout) + 1 for layout in layer.layouts]
    shape = flow.shape
    if shape is not None and (len(shape) not in dims or shape[0] != layer.num_features):
        expected = " or ".join(
            f"({', '.join(['N', str(layer.num_features), *axes])})" for axes in layer.layouts
        )
        raise ExportError(
            f"{name}: expected input of shape {expected}, got {with_batch(shape)}; set "
            "num_features to match"
        )
    values = layer.constants(layer.running_mean, layer.running_var)
    scale = constant(layer.scale_quantizer, values[0])
    bias = constant(layer.bias_quantizer, values[1])
    # Both constants stand before the nodes that read them.
    flow = apply_constants(
        ("Mul", f"{name}.multiply", f"{name}.scale", layer.scale_quantizer, scale),
        ("Add", name, f"{name}.bias", layer.bias_quantizer, bias),
        flow=flow,
        writer=writer,
    )
    exact(name, flow.grid)
    return lower_output(layer.output_quantizer, name, flow, writer)


def lower_relu(layer: ReLU, name: str, flow: Flow, writer: OnnxWriter) -> Flow:
    """Relu, then the output quantizer."""
    tensor = writer.node("Relu", name, [flow.tensor], flow.shape or ())
    return lower_output(layer.output_quantizer, name, replace(flow, tensor=tensor), writer)


def lower_clip(layer: Hardtanh | ReLU6, name: str, flow: Flow, writer: OnnxWriter) -> Flow:
    """Clip, then the output quantizer."""
    ends = [float(layer.min_val), float(layer.max_val)]
    limits = [
        writer.constant(f"{name}.{end}", at) for end, at in zip(("min", "max"), ends, strict=True)
    ]
    tensor = writer.node("Clip", name, [flow.tensor, *limits], flow.shape or ())
    grid = flow.grid
    if grid is not None:
        # A limit between two numbers of the grid makes the grid finer.
        finest = max((end.as_integer_ratio()[1].bit_length() - 1 for end in ends), default=0)
        grid = grid.on(np.maximum(grid.frac, finest))
        limit = np.ldexp(max(abs(end) for end in ends), grid.frac)
        grid = Grid(grid.frac, np.minimum(grid.bound, limit))
    return lower_output(layer.output_quantizer, name, flow.then(name, tensor, grid), writer)


def lower_prelu(layer: PReLU, name: str, flow: Flow, writer: OnnxWriter) -> Flow:
    """PRelu with a Quant'ed slope, then the output quantizer."""
    _require_known(name, flow)
    flow = _bend(layer, layer.slope_quantizer, name, flow, writer)
    return lower_output(layer.output_quantizer, name, flow, writer)


def lower_rprelu(layer: RPReLU, name: str, flow: Flow, writer: OnnxWriter) -> Flow:
    """Add, PRelu, Add with Quant'ed constants, then the output quantizer."""
    _require_known(name, flow)
    before = constant(layer.before_quantizer, layer.before)
    named = (f"{name}.add_before", f"{name}.before")
    flow = apply_constant("Add", named, layer.before_quantizer, before, flow, writer)
    flow = _bend(layer, layer.slope_quantizer, f"{name}.prelu", flow, writer)
    after = constant(layer.after_quantizer, layer.after)
    flow = apply_constant(
        "Add", (name, f"{name}.after"), layer.after_quantizer, after, flow, writer
    )
    exact(name, flow.grid)
    return lower_output(layer.output_quantizer, name, flow, writer)


def _bend(
    layer: PReLU | RPReLU, quantizer: Quantizer, name: str, flow: Flow, writer: OnnxWriter
) -> Flow:
    if flow.shape is not None and layer.num_parameters not in (1, flow.shape[0]):
        raise ExportError(
            f"{name}: expected {flow.shape[0]} slopes, one for each channel, or 1, got "
            f"{layer.num_parameters}; set num_parameters to match"
        )
    slope = constant(quantizer, layer.weight)
    named = (name, f"{name}.slope")
    bent = apply_constant("PRelu", named, quantizer, slope, flow, writer)
    if flow.grid is None:
        return bent
    # Positive numbers stay, negative ones are products.
    return bent.then(name, bent.tensor, flow.grid.joined(flow.grid.times(slope.grid)))


def lower_identity(layer: Sign | Identity, name: str, flow: Flow, writer: OnnxWriter) -> Flow:
    """One Quant or BipolarQuant."""
    return lower_quantizer(layer.output_quantizer, name, flow, writer)


def _require_quantized(name: str, flow: Flow) -> None:
    if flow.quantized is False:
        raise ExportError(
            f"{name}: expected a quantized input, got {flow.what()}; put hwgen.nn.Identity (or "
            "ReLU, Sign) before it, or give output= to the layer before"
        )


def _require_known(name: str, flow: Flow) -> None:
    if flow.raw:
        raise ExportError(
            f"{name}: expected quantized numbers or sums of them, got {flow.what()}; put "
            "hwgen.nn.Identity before it"
        )


@dataclass(frozen=True)
class Lowering:
    """How a class of layers is written; `joins` says that it reads several tensors, in a list."""

    kind: type[nn.Module]
    lower: Callable[..., Flow]
    joins: bool = False


# In the order in which isinstance is asked: hwgen's classes derive from torch's.
LOWERINGS = (
    Lowering(PrecisionGatedConv2d, lower_gated),
    Lowering(Linear, lower_linear),
    Lowering(Conv1d, lower_convolution),
    Lowering(Conv2d, lower_convolution),
    Lowering(BatchNorm1d, lower_batchnorm),
    Lowering(BatchNorm2d, lower_batchnorm),
    Lowering(ReLU, lower_relu),
    Lowering(ReLU6, lower_clip),
    Lowering(Hardtanh, lower_clip),
    Lowering(PReLU, lower_prelu),
    Lowering(RPReLU, lower_rprelu),
    Lowering(Sign, lower_identity),
    Lowering(Pixels, lower_identity),
    Lowering(Identity, lower_identity),
    Lowering(Thermometer, lower_thermometer),
    Lowering(Embedding, lower_embedding),
    Lowering(Add, lower_add, joins=True),
    Lowering(Cat, lower_cat, joins=True),
    Lowering(AvgPool1d, lower_average_pool),
    Lowering(AvgPool2d, lower_average_pool),
    Lowering(AdaptiveAvgPool1d, lower_adaptive_pool),
    Lowering(AdaptiveAvgPool2d, lower_adaptive_pool),
    Lowering(nn.MaxPool1d, lower_max_pool),
    Lowering(nn.MaxPool2d, lower_max_pool),
    Lowering(nn.ZeroPad1d, lower_zero_pad),
    Lowering(nn.ZeroPad2d, lower_zero_pad),
    Lowering(nn.Upsample, lower_upsample),
    Lowering(nn.Flatten, lower_flatten),
    Lowering(nn.Dropout, lower_nothing),
    Lowering(nn.Identity, lower_nothing),
)
