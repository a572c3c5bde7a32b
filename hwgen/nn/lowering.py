"""What each layer becomes in ONNX, and on which grid its result lies.

A tensor's grid is the finest power of two in it and a bound on the integers above it. Where a
layer adds, the bound says that float32 is exact, whatever the order of the sum; where it does not
hold, the layer is refused. Used by `export.py`; nodes are made by `onnx_writer.py`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt
from torch import Tensor, nn

from hwgen.errors import ExportError
from hwgen.nn.batchnorm import BatchNorm1d
from hwgen.nn.binary import BinaryQuantizer
from hwgen.nn.layers import Identity, Linear, Quantizer, ReLU, Sign
from hwgen.nn.onnx_writer import INPUT, OnnxWriter, Shape

FLOAT32_EXACT = 2.0**24  # integers up to here, and sums that stay below, are exact in float32


@dataclass(frozen=True)
class Grid:
    """Numbers k * 2**-frac with |k| <= bound; `bound` is one number or one for each channel."""

    frac: int
    bound: npt.NDArray[np.float64]

    def times(self, other: Grid) -> Grid:
        """Return the grid of element-wise products."""
        return Grid(self.frac + other.frac, self.bound * other.bound)

    def plus(self, other: Grid) -> Grid:
        """Return the grid of sums."""
        frac = max(self.frac, other.frac)
        here = np.ldexp(self.bound, frac - self.frac)
        return Grid(frac, here + np.ldexp(other.bound, frac - other.frac))


@dataclass(frozen=True)
class Flow:
    """What is known of the tensor that a layer receives.

    Parameters
    ----------
    tensor : its name
    shape : without the batch; None after a layer that could not be written
    grid : None where numbers are arbitrary, or unknown for the same reason
    quantized : whether a quantizer made it; None when unknown
    """

    tensor: str
    shape: Shape | None
    grid: Grid | None
    quantized: bool | None

    @classmethod
    def model_input(cls, shape: Shape) -> Flow:
        """Return the model's input: arbitrary numbers."""
        return cls(INPUT, shape, None, False)

    @classmethod
    def unknown(cls) -> Flow:
        """Return what follows a refused layer: nothing more is blamed on what it did."""
        return cls(INPUT, None, None, None)


def lower_linear(layer: Linear, name: str, flow: Flow, writer: OnnxWriter) -> Flow:
    """MatMul with a Quant'ed weight, Add of a Quant'ed bias, then the output quantizer."""
    if flow.quantized is False:
        raise ExportError(
            f"{name}: expected a quantized input, got "
            f"{'the raw input of the model' if flow.grid is None else 'an exact sum'}; put "
            "hwgen.nn.Identity (or ReLU, Sign) before it, or give output= to the layer before"
        )
    if flow.shape not in (None, (layer.in_features,)):
        raise ExportError(
            f"{name}: expected input of shape (N, {layer.in_features}), got "
            f"{_with_batch(flow.shape)}; set in_features, or put nn.Flatten before it"
        )
    # Stored as (in, out), so that no Transpose is needed.
    weight, weight_grid = _on_grid(layer.weight_quantizer, layer.weight.t())
    quantized = writer.quantized_constant(layer.weight_quantizer, f"{name}.weight", weight)
    shape = (layer.out_features,)
    tensor = writer.node("MatMul", name, [flow.tensor, quantized], shape)
    grid = None
    if flow.grid is not None:
        inputs = np.broadcast_to(flow.grid.bound, (layer.in_features,))
        grid = Grid(flow.grid.frac + weight_grid.frac, inputs @ weight_grid.bound)
    if layer.bias_quantizer is not None:
        bias, bias_grid = _on_grid(layer.bias_quantizer, layer.bias)
        quantized = writer.quantized_constant(layer.bias_quantizer, f"{name}.bias", bias)
        tensor = writer.node("Add", f"{name}.add_bias", [tensor, quantized], shape)
        grid = None if grid is None else grid.plus(bias_grid)
    known = None if grid is None else False
    result = Flow(tensor, shape, _exact(name, grid), known)
    return _lower_output(layer.output_quantizer, name, result, writer)


def lower_batchnorm(layer: BatchNorm1d, name: str, flow: Flow, writer: OnnxWriter) -> Flow:
    """Mul and Add with Quant'ed constants, then the output quantizer."""
    if flow.quantized is False and flow.grid is None:
        raise ExportError(
            f"{name}: expected a quantized input or the sums of hwgen.nn.Linear, got the raw input "
            "of the model; put hwgen.nn.Identity before it"
        )
    if flow.shape not in (None, (layer.num_features,)):
        raise ExportError(
            f"{name}: expected input of shape (N, {layer.num_features}), got "
            f"{_with_batch(flow.shape)}; set num_features to match"
        )
    shape = (layer.num_features,)
    constants = layer.constants(layer.running_mean, layer.running_var)
    scale, scale_grid = _on_grid(layer.scale_quantizer, constants[0], quantized=True)
    bias, bias_grid = _on_grid(layer.bias_quantizer, constants[1], quantized=True)
    scale_name = writer.quantized_constant(layer.scale_quantizer, f"{name}.scale", scale)
    bias_name = writer.quantized_constant(layer.bias_quantizer, f"{name}.bias", bias)
    product = writer.node("Mul", f"{name}.multiply", [flow.tensor, scale_name], shape)
    tensor = writer.node("Add", name, [product, bias_name], shape)
    grid = None if flow.grid is None else flow.grid.times(scale_grid).plus(bias_grid)
    known = None if grid is None else False
    result = Flow(tensor, shape, _exact(name, grid), known)
    return _lower_output(layer.output_quantizer, name, result, writer)


def lower_relu(layer: ReLU, name: str, flow: Flow, writer: OnnxWriter) -> Flow:
    """Relu, then the output quantizer."""
    tensor = writer.node("Relu", name, [flow.tensor], flow.shape or ())
    return _lower_output(layer.output_quantizer, name, replace(flow, tensor=tensor), writer)


def lower_quantizer(layer: Sign | Identity, name: str, flow: Flow, writer: OnnxWriter) -> Flow:
    """One Quant or BipolarQuant."""
    tensor = writer.quantize(layer.output_quantizer, name, flow.tensor, flow.shape or ())
    return Flow(tensor, flow.shape, _quantizer_grid(layer.output_quantizer), True)


def lower_flatten(layer: nn.Flatten, name: str, flow: Flow, writer: OnnxWriter) -> Flow:
    """Flatten; the batch stays."""
    if (layer.start_dim, layer.end_dim) != (1, -1):
        raise ExportError(
            f"{name}: expected nn.Flatten(1, -1), got nn.Flatten({layer.start_dim}, "
            f"{layer.end_dim}); flatten everything but the batch"
        )
    shape = None if flow.shape is None else (int(np.prod(flow.shape)),)
    tensor = writer.node("Flatten", name, [flow.tensor], shape or (), axis=1)
    grid = None if flow.grid is None else Grid(flow.grid.frac, np.asarray(flow.grid.bound.max()))
    return Flow(tensor, shape, grid, flow.quantized)


def lower_nothing(layer: nn.Module, name: str, flow: Flow, writer: OnnxWriter) -> Flow:
    """Dropout and nn.Identity do nothing in eval mode."""
    return flow


# In the order in which isinstance is asked: hwgen's classes derive from torch's.
LOWERINGS: tuple[tuple[type[nn.Module], Callable[..., Flow]], ...] = (
    (Linear, lower_linear),
    (BatchNorm1d, lower_batchnorm),
    (ReLU, lower_relu),
    (Sign, lower_quantizer),
    (Identity, lower_quantizer),
    (nn.Flatten, lower_flatten),
    (nn.Dropout, lower_nothing),
    (nn.Identity, lower_nothing),
)


def _lower_output(quantizer: Quantizer | None, name: str, flow: Flow, writer: OnnxWriter) -> Flow:
    if quantizer is None:
        return flow
    tensor = writer.quantize(quantizer, f"{name}.quant", flow.tensor, flow.shape or ())
    return Flow(tensor, flow.shape, _quantizer_grid(quantizer), True)


def _quantizer_grid(quantizer: Quantizer) -> Grid:
    if isinstance(quantizer, BinaryQuantizer):
        return Grid(0, np.asarray(1.0))
    number = quantizer.fixed_point
    return Grid(number.frac, np.asarray(float(max(-number.lo, number.hi))))


def _on_grid(
    quantizer: Quantizer, x: Tensor, *, quantized: bool = False
) -> tuple[npt.NDArray[np.float64], Grid]:
    """Return the values that `x` has after its quantizer, and their grid, element by element."""
    value = x if quantized else quantizer(x)
    values = value.detach().double().cpu().numpy()
    frac = 0 if isinstance(quantizer, BinaryQuantizer) else quantizer.frac_bits
    return values, Grid(frac, np.abs(np.ldexp(values, frac)))


def _exact(name: str, grid: Grid | None) -> Grid | None:
    """Return `grid`, having made sure that float32 holds every sum on it."""
    largest = 0.0 if grid is None else float(np.max(grid.bound))
    if largest > FLOAT32_EXACT:
        raise ExportError(
            f"{name}: sums reach {largest:.0f} units of the last place, expected at most 2**24 = "
            f"{FLOAT32_EXACT:.0f}, beyond which float32 executors round; lower the bit widths of "
            "its weights or input, or fix a coarser binary point for its bias with frac="
        )
    return grid


def _with_batch(shape: Shape | None) -> str:
    return "(" + ", ".join(["N", *map(str, shape or ())]) + ")"
