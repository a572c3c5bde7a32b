"""Constants with the one scale that makes them integers: hls4ml keeps no scale a channel.

A weight quantized a channel is one quantized a tensor, at its finest scale and with more bits:
the same numbers. Written by `writer.py`.

Source: QONNX operators Quant and BipolarQuant; hls4ml 1.3, model/optimizer/passes/move_scales.py,
which moves scales of one number only past a convolution.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt
from onnx import NodeProto

from hwgen.frontend.hls4ml.source import Source
from hwgen.frontend.site import attributes

Reals = npt.NDArray[np.float32]
MAX_BITS = 24  # of a code that float32 holds


@dataclass(frozen=True)
class Quantizer:
    """Of QONNX, with one scale and no zero point; `bipolar` leaves the rest without meaning."""

    scale: float = 1.0
    bit_width: int = 1
    signed: bool = True
    narrow: bool = False
    rounding_mode: str = "ROUND"
    bipolar: bool = False

    @property
    def limits(self) -> tuple[float, float]:
        """The smallest and the largest number it gives."""
        codes = 1 << (self.bit_width - self.signed)
        lowest = self.narrow - codes if self.signed else 0
        return lowest * self.scale, (codes - 1) * self.scale


@dataclass(frozen=True)
class Numbers:
    """A constant.

    Parameters
    ----------
    values : on the grid of the quantizer, which therefore changes none
    quantizer : None where the file has none, or none of one scale
    """

    values: Reals
    quantizer: Quantizer | None = None

    def moved(self, values: Reals) -> Numbers:
        """Return the same numbers in another place."""
        return replace(self, values=values)

    def with_zeros(self, values: Reals) -> Numbers:
        """Return the same numbers among zeros, which a bipolar quantizer cannot say."""
        if self.quantizer is not None and self.quantizer.bipolar:
            return Numbers(values, Quantizer(1.0, 2, signed=True, narrow=True))
        return self.moved(values)

    def __neg__(self) -> Numbers:
        """Return the negative numbers."""
        if self.quantizer is None:
            return Numbers(-self.values)
        return Numbers(-self.values, _holding(-self.values, self.quantizer.scale))


def number(value: float) -> Numbers:
    """Return one number, whose quantizer holds it exactly."""
    denominator = float(value).as_integer_ratio()[1]
    values = np.asarray(value, dtype=np.float32)
    return Numbers(values, _holding(values, 1 / denominator))


def numbers_of(source: Source, name: str) -> Numbers:
    """Return the constant tensor `name`."""
    values = np.asarray(source.values[name], dtype=np.float32)
    maker = source.makers.get(name)
    if maker is None or maker.op_type not in ("Quant", "BipolarQuant"):
        return Numbers(values)
    return Numbers(values, _of_node(maker, source, values))


def _of_node(node: NodeProto, source: Source, values: Reals) -> Quantizer | None:
    scales = np.unique(np.abs(np.asarray(source.values[node.input[1]], dtype=np.float32)))
    if node.op_type == "BipolarQuant":
        if (scales == 1).all():
            return Quantizer(bipolar=True)
        return _holding(values, float(scales[0]))
    widths = np.unique(source.values[node.input[3]])
    if len(scales) > 1 or len(widths) > 1 or np.any(source.values[node.input[2]]):
        return _holding(values, float(scales[0]))
    said = attributes(node)
    signed = bool(said.get("signed", 1))
    narrow = signed and bool(said.get("narrow", 0))
    return Quantizer(float(scales[0]), int(np.ceil(widths[0])), signed, narrow)


def _holding(values: Reals, scale: float) -> Quantizer | None:
    """Return the narrowest quantizer of this scale that changes none of `values`."""
    codes = values.astype(np.float64) / scale
    if not codes.size or (codes != np.rint(codes)).any() or np.abs(codes).max() >= 1 << MAX_BITS:
        return None
    low, high = int(codes.min()), int(codes.max())
    signed = low < 0
    magnitude = max(high, -low - 1) if signed else high
    return Quantizer(scale, max(magnitude.bit_length(), 1) + signed, signed)
