"""What export knows of a tensor while it writes the file: its shape and the grid it lies on.

A tensor's grid is the finest power of two in it and a bound on the integers above it. Where a
layer adds, the bound says that float32 is exact, whatever the order of the sum; where it does not
hold, the layer is refused. Used by `lowering.py` and the files beside it.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from hwgen.errors import ExportError
from hwgen.nn.onnx_writer import INPUT, OnnxWriter, Shape
from hwgen.nn.quantizer import FixedPointQuantizer, Quantizer

FLOAT32_EXACT = 2.0**24  # integers up to here, and sums that stay below, are exact in float32

Reals = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Grid:
    """Numbers k * 2**-frac with |k| <= bound; each is one number or one for each channel."""

    frac: npt.NDArray[np.int64]
    bound: Reals

    def times(self, other: Grid) -> Grid:
        """Return the grid of element-wise products."""
        return Grid(self.frac + other.frac, self.bound * other.bound)

    def plus(self, other: Grid) -> Grid:
        """Return the grid of sums."""
        frac = np.maximum(self.frac, other.frac)
        here, there = self.on(frac).bound, other.on(frac).bound
        return Grid(frac, here + there)

    def joined(self, other: Grid) -> Grid:
        """Return a grid that holds the numbers of both."""
        frac = np.maximum(self.frac, other.frac)
        return Grid(frac, np.maximum(self.on(frac).bound, other.on(frac).bound))

    def on(self, frac: npt.NDArray[np.int64]) -> Grid:
        """Return the same numbers with `frac` fractional bits, which are not fewer."""
        return Grid(frac, np.ldexp(self.bound, frac - self.frac))

    def shared(self) -> Grid:
        """Return one binary point and one bound for all channels."""
        finest = self.on(np.asarray(self.frac.max()))
        return Grid(finest.frac, np.asarray(finest.bound.max()))


@dataclass(frozen=True)
class Flow:
    """What is known of the tensor that a layer receives.

    Parameters
    ----------
    tensor : its name
    shape : without the batch; None after a layer that could not be written
    grid : None where numbers are arbitrary, or unknown for the same reason
    quantized : whether a quantizer made it; None when unknown
    rounded : float32 numbers behind a free scale: only functions of one number may follow
    """

    tensor: str
    shape: Shape | None
    grid: Grid | None
    quantized: bool | None
    rounded: bool = False

    @classmethod
    def model_input(cls, shape: Shape) -> Flow:
        """Return the model's input: arbitrary numbers."""
        return cls(INPUT, shape, None, False)

    @classmethod
    def unknown(cls) -> Flow:
        """Return what follows a refused layer: nothing more is blamed on what it did."""
        return cls(INPUT, None, None, None)

    @property
    def raw(self) -> bool:
        """Whether these are arbitrary numbers from outside the model."""
        return self.quantized is False and self.grid is None and not self.rounded

    def what(self) -> str:
        """Say what kind of numbers these are, for messages."""
        if self.rounded:
            return "sums times a free scale"
        return "the raw input of the model" if self.raw else "an exact sum"

    def then(self, name: str, tensor: str, grid: Grid | None) -> Flow:
        """Return an element-wise result that no quantizer made, having checked that it is exact."""
        known = None if grid is None and not self.rounded else False
        return replace(self, tensor=tensor, grid=exact(name, grid), quantized=known)


def exact(name: str, grid: Grid | None) -> Grid | None:
    """Return `grid`, having made sure that float32 holds every sum on it."""
    largest = 0.0 if grid is None else float(np.max(grid.bound))
    if largest > FLOAT32_EXACT:
        raise ExportError(
            f"{name}: sums reach {largest:.0f} units of the last place, expected at most 2**24 = "
            f"{FLOAT32_EXACT:.0f}, beyond which float32 executors round; lower the bit widths of "
            "its weights or input, or fix a coarser binary point for its bias with frac="
        )
    return grid


@dataclass(frozen=True)
class Constant:
    """Quantized values of a layer: integer codes, and one scale or one for each first-axis entry.

    Parameters
    ----------
    codes : in the shape of the values
    scale : broadcasts to `codes`
    """

    codes: Reals
    scale: Reals

    @property
    def frac(self) -> npt.NDArray[np.int64]:
        """Fractional bits, of power-of-two scales: one, or one for each first-axis entry."""
        scale = self.scale.reshape(-1) if self.scale.ndim else self.scale
        exponent = np.frexp(scale)[1]
        return np.asarray(1 - exponent, dtype=np.int64)

    @property
    def grid(self) -> Grid:
        """The grid of one value for each channel."""
        return Grid(self.frac, np.abs(self.codes))


def constant(quantizer: Quantizer, x: Tensor) -> Constant:
    """Return what `x` is behind its quantizer."""
    with torch.no_grad():
        codes, scale = quantizer.grid(x)
    # Adding zero turns -0.0 into 0.0.
    return Constant(codes.cpu().numpy() + 0.0, scale.cpu().numpy().astype(np.float64))


Element = tuple[str, str, str, Quantizer, Constant]  # op_type, node, constant's name, its numbers


def apply_constants(*elements: Element, flow: Flow, writer: OnnxWriter) -> Flow:
    """Write element-wise nodes, one after another, each with a constant for each channel."""
    sources = [
        writer.quantized_constant(
            quantizer,
            source,
            channelwise(numbers.codes * numbers.scale, flow.shape),
            channelwise(numbers.scale, flow.shape) if numbers.scale.ndim else numbers.scale,
        )
        for _, _, source, quantizer, numbers in elements
    ]
    for (op_type, name, _, _, numbers), source in zip(elements, sources, strict=True):
        tensor = writer.node(op_type, name, [flow.tensor, source], flow.shape or ())
        grid = flow.grid
        if grid is not None:
            grid = grid.plus(numbers.grid) if op_type == "Add" else grid.times(numbers.grid)
        known = None if grid is None and not flow.rounded else False
        flow = replace(flow, tensor=tensor, grid=grid, quantized=known)
    return flow


def apply_constant(
    op_type: str,
    named: tuple[str, str],
    quantizer: Quantizer,
    numbers: Constant,
    flow: Flow,
    writer: OnnxWriter,
) -> Flow:
    """Write one element-wise node; `named` are the node and its constant."""
    element = (op_type, *named, quantizer, numbers)
    return apply_constants(element, flow=flow, writer=writer)


def lower_output(quantizer: Quantizer | None, name: str, flow: Flow, writer: OnnxWriter) -> Flow:
    """Write the output quantizer of a layer, where it has one."""
    if quantizer is None:
        return flow
    return lower_quantizer(quantizer, f"{name}.quant", flow, writer)


def lower_quantizer(quantizer: Quantizer, name: str, flow: Flow, writer: OnnxWriter) -> Flow:
    """Write one Quant or BipolarQuant."""
    tensor = writer.quantize(quantizer, name, flow.tensor, flow.shape or ())
    return Flow(tensor, flow.shape, quantizer_grid(quantizer), True)


def quantizer_grid(quantizer: Quantizer) -> Grid:
    """Return the grid of what an activation's quantizer gives."""
    if not isinstance(quantizer, FixedPointQuantizer):
        return Grid(np.asarray(0), np.asarray(1.0))
    number = quantizer.fixed_point
    return Grid(np.asarray(number.frac), np.asarray(float(max(-number.lo, number.hi))))


def with_batch(shape: Shape | None) -> str:
    """Return a shape for messages."""
    return "(" + ", ".join(["N", *map(str, shape or ())]) + ")"


def channelwise(values: Reals, shape: Shape | None) -> Reals:
    """Give one number a channel the shape that broadcasts to a tensor (N, C, ...)."""
    return (
        values.reshape(-1, *[1] * (len(shape or (0,)) - 1)) if shape and len(shape) > 1 else values
    )
