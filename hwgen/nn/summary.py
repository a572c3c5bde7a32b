"""`summary`: one line for each layer of a model, with what its quantizers hold."""

from __future__ import annotations

import torch
from torch import nn

from hwgen.nn.quantizer import FixedPointQuantizer, Quantizer

_HEADER = ("layer", "kind", "weights", "bits", "point", "zero", "output", "parameters")


def summary(model: nn.Module) -> str:
    """Return a table: layer, weight format, binary points, share of zero weights, output format.

    Bits and binary points are those in force; a range of binary points means one a channel.
    """
    rows: list[tuple[str, ...]] = [_HEADER]
    for name, layer in model.named_modules():
        quantizers = [m for _, m in layer.named_children() if isinstance(m, Quantizer)]
        if quantizers:
            rows.append(_row(name or type(layer).__name__, layer))
    widths = [max(len(row[column]) for row in rows) for column in range(len(_HEADER))]
    lines = ["  ".join(cell.ljust(w) for cell, w in zip(row, widths, strict=True)) for row in rows]
    total = sum(p.numel() for p in model.parameters())
    rule = "-" * (sum(widths) + 2 * (len(widths) - 1))
    return "\n".join([line.rstrip() for line in [lines[0], rule, *lines[1:], rule]]) + (
        f"\n{len(rows) - 1} quantized layers, {total} parameters"
    )


def _row(name: str, layer: nn.Module) -> tuple[str, ...]:
    weights = bits = point = zero = ""
    quantizer, weight = getattr(layer, "weight_quantizer", None), getattr(layer, "weight", None)
    if isinstance(quantizer, Quantizer) and isinstance(weight, torch.Tensor):
        weights = type(quantizer).__name__.removesuffix("Quantizer")
        bits = str(quantizer.bit_width)
        point = _point(quantizer)
        if quantizer.calibrated:
            codes = quantizer.codes(weight)
            zero = f"{float((codes == 0).mean()):.0%}"
    output = getattr(layer, "output_quantizer", None)
    result = "exact" if output is None else _format(output)
    parameters = sum(p.numel() for p in layer.parameters(recurse=False))
    return name, type(layer).__name__, weights, bits, point, zero, result, str(parameters)


def _point(quantizer: Quantizer) -> str:
    if not isinstance(quantizer, FixedPointQuantizer):
        return "free" if quantizer.free_scale else "-"
    if not quantizer.calibrated:
        return "?"
    fracs = quantizer.fracs
    low, high = int(fracs.min()), int(fracs.max())
    return str(low) if low == high else f"{low}..{high}"


def _format(quantizer: Quantizer) -> str:
    if quantizer.bipolar:
        return "+-1"
    sign = "s" if quantizer.signed else "u"
    return f"{sign}{quantizer.bit_width}.{_point(quantizer)}"
