"""`summary`: one line for each layer of a model, with what its quantizers hold and what it costs.

LUTs are those of `price.py`: a multiplier of the layer's kernel for each weight. A folded layer
takes the share of it that its folding leaves.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from torch import nn

from hwgen.errors import ExportError
from hwgen.nn.embedding import Embedding
from hwgen.nn.layers import Weighted
from hwgen.nn.learned_width import LearnedWidthQuantizer
from hwgen.nn.price import priced_layers
from hwgen.nn.quantizer import FixedPointQuantizer, Quantizer

_HEADER = ("layer", "kind", "weights", "bits", "point", "zero", "output", "parameters", "LUTs")


def summary(model: nn.Module) -> str:
    """Return a table: layer, weights, binary points, share of zeros, output, parameters, LUTs.

    Bits and binary points are those in force; a range of them means one a channel. LUTs are "?"
    where the width of the layer's input is unknown, as in models that cannot be traced.
    """
    luts = _luts(model)
    rows: list[tuple[str, ...]] = [_HEADER]
    for name, layer in model.named_modules():
        quantizers = [m for _, m in layer.named_children() if isinstance(m, Quantizer)]
        if quantizers:
            estimate = _count(luts.get(layer)) if isinstance(layer, Weighted) else ""
            rows.append((*_row(name or type(layer).__name__, layer), estimate))
    widths = [max(len(row[column]) for row in rows) for column in range(len(_HEADER))]
    lines = ["  ".join(cell.ljust(w) for cell, w in zip(row, widths, strict=True)) for row in rows]
    total, cost = sum(p.numel() for p in model.parameters()), _count(sum(luts.values()))
    rule = "-" * (sum(widths) + 2 * (len(widths) - 1))
    return "\n".join([line.rstrip() for line in [lines[0], rule, *lines[1:], rule]]) + (
        f"\n{len(rows) - 1} quantized layers, {cost} LUTs with a multiplier for each weight, "
        f"{total} parameters"
    )


def _luts(model: nn.Module) -> dict[nn.Module, float]:
    try:
        layers = priced_layers(model)
    except ExportError:
        return {}
    found = {each.layer: each.luts() for each in layers}
    return {layer: float(luts.detach()) for layer, luts in found.items() if luts is not None}


def _count(luts: float | None) -> str:
    return "?" if luts is None else f"{luts:.0f}"


def _row(name: str, layer: nn.Module) -> tuple[str, ...]:
    weights = bits = point = zero = ""
    if isinstance(layer, Weighted | Embedding):
        quantizer = layer.weight_quantizer
        weights = type(quantizer).__name__.removesuffix("Quantizer")
        bits = _bits(quantizer)
        point = _point(quantizer)
        if quantizer.calibrated:
            weight = layer.constants()[0] if isinstance(layer, Weighted) else layer.weight
            codes = quantizer.codes(weight)
            zero = f"{float((codes == 0).mean()):.0%}"
    output = getattr(layer, "output_quantizer", None)
    result = "exact" if output is None else _format(output)
    parameters = sum(p.numel() for p in layer.parameters(recurse=False))
    return name, type(layer).__name__, weights, bits, point, zero, result, str(parameters)


def _bits(quantizer: Quantizer) -> str:
    if isinstance(quantizer, LearnedWidthQuantizer):
        return _range(quantizer.widths)
    return str(quantizer.bit_width)


def _point(quantizer: Quantizer) -> str:
    if not isinstance(quantizer, FixedPointQuantizer | LearnedWidthQuantizer):
        return "free" if quantizer.free_scale else "-"
    return _range(quantizer.fracs) if quantizer.calibrated else "?"


def _range(values: npt.NDArray[np.int64]) -> str:
    low, high = int(values.min()), int(values.max())
    return str(low) if low == high else f"{low}..{high}"


def _format(quantizer: Quantizer) -> str:
    if quantizer.bipolar:
        return "+-1"
    sign = "s" if quantizer.signed else "u"
    return f"{sign}{quantizer.bit_width}.{_point(quantizer)}"
