"""FloatQuant of constant weights: minifloat numbers as fixed point, where few bits hold them all.

Source: https://github.com/fastmachinelearning/qonnx, src/qonnx/custom_op/general/floatquant.py
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from onnx import NodeProto

from hwgen.errors import FrontendError
from hwgen.frontend.constants import Constant
from hwgen.frontend.quantizer import positive
from hwgen.frontend.site import attributes

MAX_BITS = 18  # of the codes of weights: what a multiplier of a DSP slice takes
INPUTS = "scale, exponent_bitwidth, mantissa_bitwidth, exponent_bias, max_val"
ROUNDINGS = {b"ROUND": np.rint, b"CEIL": np.ceil, b"FLOOR": np.floor}


def float_quantized(node: NodeProto, known: Sequence[Constant | None]) -> Constant:
    """Return constant weights on the grid of a minifloat, with codes of fixed point.

    Raises
    ------
    FrontendError : when the codes need more than 18 bits, or the node may give infinity
    """
    if len(known) != 6 or known[0] is None or any(given is None for given in known):
        raise FrontendError(f"expected constant weights, {INPUTS}; train with integer quantizers")
    real, scale, *numbers = (given.reals() for given in known if given is not None)
    if any(values.size != 1 for values in numbers):
        raise FrontendError(f"expected one number each as {INPUTS}, got several")
    exponent, mantissa, bias, largest = (float(values.ravel()[0]) for values in numbers)
    mode = attributes(node).get("rounding_mode", b"ROUND")
    rounding = ROUNDINGS.get(mode.upper() if isinstance(mode, bytes) else b"")
    if rounding is None or not attributes(node).get("saturation", 1):
        raise FrontendError("expected rounding_mode ROUND, CEIL or FLOOR, and saturation 1")
    if not (1 <= exponent <= 8 and 0 <= mantissa <= 23 and abs(bias) <= 127 and largest > 0):
        raise FrontendError("expected at most 8 bits of exponent and 23 of mantissa, max_val > 0")
    scaled = (real / positive(scale)).astype(np.float64)
    lowest = 1 - bias - mantissa
    with np.errstate(divide="ignore"):
        each = np.maximum(np.floor(np.log2(np.abs(scaled))) - mantissa, lowest)
    top = (2 - 2.0**-mantissa) * 2.0 ** (2.0**exponent - 1 - bias)
    limit = min(top, largest)
    grid = np.clip(rounding(scaled / 2.0**each) * 2.0**each, -limit, limit)
    return _fixed_point(grid, np.broadcast_to(scale, real.shape), node.output[0])


def _fixed_point(grid: np.ndarray, scale: np.ndarray, name: str) -> Constant:
    """Return numbers `grid` * `scale` with integer codes."""
    mantissa, exponent = np.frexp(grid[grid != 0])
    # Each number is a whole multiple of 2**(exponent - 24), and so of the smallest of these.
    whole = np.abs(np.ldexp(mantissa, 24)).astype(np.int64)
    trailing = np.log2((whole & -whole).astype(np.float64)).astype(np.int64)
    finest = int((exponent - 24 + trailing).min()) if whole.size else 0
    codes = np.ldexp(grid, -finest)
    if np.abs(codes).max() >= 1 << (MAX_BITS - 1):
        bits = int(np.log2(np.abs(codes).max())) + 2
        raise FrontendError(
            f"type too wide: expected minifloat weights that {MAX_BITS} bits of fixed point hold, "
            f"got {bits}; use fewer bits of exponent, or quantize to integers"
        )
    unit = (scale * np.float32(2.0**finest)).astype(np.float32)
    value = (grid * scale).astype(np.float32)
    return Constant(value, name, codes.astype(np.int64), unit)
