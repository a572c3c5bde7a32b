"""What Embedding and PrecisionGatedConv2d become in ONNX: several ordinary nodes each.

Neither a lookup by a computed index nor a choice between two tensors is a box of the hardware, but
both are sums of clipped and compared integers:

    table[i]  =  (t_0 + t_V-1) / 2 + sum over v of [i >= v]' (t_v - t_v-1) / 2,   [.]' = -1 or +1
    gate * L  =  (relu(L + n h) - relu(n h - L)) / 2,   h = +1 where open, else -1,   |L| <= n

Quantizers stand where the hardware needs integers; the numbers are on their grids already.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from hwgen.errors import ExportError
from hwgen.nn.binary import BinaryQuantizer
from hwgen.nn.config import BinaryConfig, FixedPointConfig
from hwgen.nn.embedding import Embedding
from hwgen.nn.flow import (
    Constant,
    Flow,
    Grid,
    apply_constant,
    constant,
    exact,
    lower_output,
    lower_quantizer,
    with_batch,
)
from hwgen.nn.gated import PrecisionGatedConv2d
from hwgen.nn.onnx_writer import OnnxWriter, Shape
from hwgen.nn.quantizer import FixedPointQuantizer
from hwgen.nn.window import convolution_window

MAX_TABLE_WEIGHTS = 1 << 22  # of an Embedding's matrix: tokens^2 * rows * columns
_SIGN = BinaryQuantizer(BinaryConfig())


def lower_embedding(layer: Embedding, name: str, flow: Flow, writer: OnnxWriter) -> Flow:
    """Quant, comparisons with each row's number, a MatMul that sums the steps, Reshape."""
    if flow.shape is None:
        return Flow.unknown()
    if len(flow.shape) != 1:
        raise ExportError(
            f"{name}: expected integers of shape (N, tokens), got {with_batch(flow.shape)}"
        )
    tokens, rows, columns = flow.shape[0], layer.num_embeddings, layer.embedding_dim
    steps = tokens * (rows - 1)
    if steps * tokens * columns > MAX_TABLE_WEIGHTS:
        raise ExportError(
            f"{name}: expected a table of at most {MAX_TABLE_WEIGHTS} weights, got {tokens} tokens "
            f"squared * {rows - 1} steps * {columns} columns; embed fewer tokens or rows at a time"
        )
    index = lower_quantizer(_whole((rows - 1).bit_length(), False), f"{name}.index", flow, writer)
    repeat = np.repeat(np.eye(tokens), rows - 1, axis=1)
    repeated = _matmul(f"{name}.repeat", index, repeat, _whole(2), writer)
    first = Constant(-np.tile(np.arange(1.0, rows), tokens), np.asarray(1.0))
    named = (f"{name}.compare", f"{name}.first")
    compared = apply_constant("Add", named, _whole(rows.bit_length() + 1), first, repeated, writer)
    passed = lower_quantizer(_SIGN, f"{name}.passed", compared, writer)
    table = constant(layer.weight_quantizer, layer.weight)
    frac = int(table.frac)
    half = FixedPointQuantizer(
        FixedPointConfig(layer.weight_quantizer.bit_width + 1, frac=frac + 1)
    )
    differences = np.kron(np.eye(tokens), np.diff(table.codes, axis=0))
    summed = _matmul(f"{name}.steps", passed, np.ldexp(differences, -frac - 1), half, writer)
    middle = Constant(np.tile(table.codes[0] + table.codes[-1], tokens), table.scale / 2)
    named = (name, f"{name}.middle")
    moved = apply_constant("Add", named, half, middle, summed, writer)
    exact(name, moved.grid)
    result = FixedPointQuantizer(FixedPointConfig(layer.weight_quantizer.bit_width, frac=frac))
    flat = lower_quantizer(result, f"{name}.row", moved, writer)
    shape = (tokens, columns)
    target = writer.integers(f"{name}.shape", (0, *shape))
    tensor = writer.node("Reshape", f"{name}.reshape", [flat.tensor, target], shape)
    return replace(flat, tensor=tensor, shape=shape)


def lower_gated(layer: PrecisionGatedConv2d, name: str, flow: Flow, writer: OnnxWriter) -> Flow:
    """Two convolutions, of the high bit and of both, and the choice between them."""
    if flow.raw:
        raise ExportError(
            f"{name}: expected quantized numbers or sums of them, got {flow.what()}; put "
            "hwgen.nn.Identity before it"
        )
    shape = flow.shape
    if shape is not None and (len(shape) != 3 or shape[0] != layer.in_channels):
        raise ExportError(
            f"{name}: expected input of shape (N, {layer.in_channels}, H, W), got "
            f"{with_batch(shape)}; set in_channels to match"
        )
    odd = _two_bits(name, flow, writer)
    high = lower_quantizer(_SIGN, f"{name}.high", odd, writer)
    n = layer.taps
    sums = _whole((4 * n).bit_length() + 1)
    doubled = _with_number(
        f"{name}.double", _convolve(layer, f"{name}.coarse", high, writer), 2.0, writer
    )
    coarse = lower_quantizer(sums, f"{name}.coarse_sum", doubled, writer)
    fine = lower_quantizer(
        sums, f"{name}.fine_sum", _convolve(layer, f"{name}.fine", odd, writer), writer
    )
    low = _join("Sub", f"{name}.low", fine, coarse, writer)
    low = lower_quantizer(sums, f"{name}.low_sum", replace(low, grid=_up_to(n)), writer)
    limit = Constant(-layer.first_open.cpu().numpy().astype(np.float64), np.asarray(1.0))
    named = (f"{name}.compare", f"{name}.first_open")
    compared = apply_constant(
        "Add", named, _whole(sums.bit_width + 1), limit, replace(coarse, grid=_up_to(2 * n)), writer
    )
    gate = lower_quantizer(_SIGN, f"{name}.gate", compared, writer)
    chosen = _where(gate, low, n, name, writer)
    result = _join("Add", name, coarse, chosen, writer)
    return lower_output(layer.output_quantizer, name, replace(result, grid=_up_to(3 * n)), writer)


def _where(gate: Flow, low: Flow, n: int, name: str, writer: OnnxWriter) -> Flow:
    """`low`, whose magnitude is at most n, where `gate` is +1, and 0 where it is -1."""
    sums, magnitudes = _whole((4 * n).bit_length() + 1), _whole((2 * n).bit_length(), False)
    reach = _with_number(f"{name}.reach", gate, float(n), writer)
    reach = lower_quantizer(sums, f"{name}.reach_sum", reach, writer)
    parts = []
    for which, op_type, left, right in (
        ("above", "Add", low, reach),
        ("below", "Sub", reach, low),
    ):
        joined = _join(op_type, f"{name}.{which}_sum", left, right, writer)
        tensor = writer.node("Relu", f"{name}.{which}", [joined.tensor], joined.shape or ())
        positive = replace(joined, tensor=tensor)
        parts.append(lower_quantizer(magnitudes, f"{name}.{which}_quant", positive, writer))
    twice = _join("Sub", f"{name}.twice", parts[0], parts[1], writer)
    twice = lower_quantizer(sums, f"{name}.twice_sum", replace(twice, grid=_up_to(2 * n)), writer)
    half = _with_number(f"{name}.half", twice, 0.5, writer)
    return lower_quantizer(sums, f"{name}.chosen", half, writer)


def _two_bits(name: str, flow: Flow, writer: OnnxWriter) -> Flow:
    """3 x - 1, rounded to even numbers -4 .. 2, plus 1: the odd ones of `gated.two_bit`."""
    tripled = _with_number(f"{name}.triple", flow, 3.0, writer)
    lowered = _with_number(f"{name}.lower", tripled, -1.0, writer, "Add")
    exact(name, lowered.grid)
    even = FixedPointQuantizer(FixedPointConfig(2, frac=-1))
    rounded = lower_quantizer(even, f"{name}.even", lowered, writer)
    raised = _with_number(f"{name}.raise", rounded, 1.0, writer, "Add")
    return lower_quantizer(_whole(3), f"{name}.odd", raised, writer)


def _convolve(layer: PrecisionGatedConv2d, name: str, flow: Flow, writer: OnnxWriter) -> Flow:
    window = convolution_window(layer)
    shape = (layer.out_channels, *window.sizes(name, (flow.shape or ())[1:]))
    weight = constant(layer.weight_quantizer, layer.weight)
    source = writer.quantized_constant(
        layer.weight_quantizer, f"{name}.weight", weight.codes, np.ones(())
    )
    tensor = writer.node(
        "Conv", name, [flow.tensor, source], shape, group=layer.groups, window=window.attributes()
    )
    bound = 0 if flow.grid is None else layer.taps * float(flow.grid.bound)
    return Flow(tensor, shape, exact(name, _up_to(bound)), False)


def _join(op_type: str, name: str, left: Flow, right: Flow, writer: OnnxWriter) -> Flow:
    tensor = writer.node(op_type, name, [left.tensor, right.tensor], left.shape or ())
    grid = None if left.grid is None or right.grid is None else left.grid.plus(right.grid)
    return Flow(tensor, left.shape, grid, False)


def _with_number(
    name: str, flow: Flow, number: float, writer: OnnxWriter, op_type: str = "Mul"
) -> Flow:
    """Multiply with a number, or add one; one half is the only one that is not whole."""
    frac = 1 if number != int(number) else 0
    code = abs(number) * 2**frac
    quantizer = FixedPointQuantizer(FixedPointConfig(int(code).bit_length() + 1, frac=frac))
    numbers = Constant(np.asarray(number * 2**frac), np.asarray(2.0**-frac))
    return apply_constant(op_type, (name, f"{name}.number"), quantizer, numbers, flow, writer)


def _matmul(
    name: str,
    flow: Flow,
    values: np.ndarray,
    quantizer: FixedPointQuantizer,
    writer: OnnxWriter,
) -> Flow:
    scale = np.asarray(quantizer.fixed_point.scale)
    source = writer.quantized_constant(quantizer, f"{name}.weight", values, scale)
    shape: Shape = (values.shape[1],)
    tensor = writer.node("MatMul", name, [flow.tensor, source], shape)
    grid = None
    if flow.grid is not None:
        bound = np.abs(values / scale).sum(axis=0) * np.max(flow.grid.bound)
        grid = Grid(flow.grid.frac + quantizer.fixed_point.frac, bound)
    return Flow(tensor, shape, exact(name, grid), False)


def _up_to(bound: float) -> Grid:
    return Grid(np.asarray(0), np.asarray(float(bound)))


def _whole(bit_width: int, signed: bool = True) -> FixedPointQuantizer:
    return FixedPointQuantizer(FixedPointConfig(bit_width, signed, frac=0))
