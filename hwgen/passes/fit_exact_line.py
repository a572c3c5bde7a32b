"""The exact line of a dyadic chain, with the quantizer's own rounding, as a requantizer.

Used by `tabulate.py` beside the search of `fit_requantize.py`: half-even ties have this form only.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from hwgen.ir import Codes
from hwgen.ops.elementwise import Elementwise
from hwgen.ops.float_steps import affine_lines
from hwgen.ops.requantize import Requantize
from hwgen.passes.finite_function import FiniteFunction


def symbolic(op: Elementwise, function: FiniteFunction) -> Iterator[Requantize]:
    """Yield the chain's exact line with the quantizer's own rounding, if it is dyadic."""
    quantizer, rows = op.quantizer, len(function.rows)
    lines = affine_lines(op.scale.tolist(), op.steps, rows, through_clips=True)
    if lines is None or function.bipolar:
        return
    scales = np.broadcast_to(quantizer.scale, (rows,)).tolist()
    exact = [
        (slope / type(slope)(scale), offset / type(offset)(scale))
        for (slope, offset), scale in zip(lines, scales, strict=True)
    ]
    denominator = max(number.denominator for line in exact for number in line)
    shift = denominator.bit_length() - 1
    scaled = [[number * denominator for number in line] for line in exact]
    integers = all(number.denominator == 1 for line in scaled for number in line)
    if not integers or denominator != 1 << shift or shift > 40:
        return
    if max(abs(number) for line in scaled for number in line) >= 1 << 48:
        return
    multiplier, offset = (np.array([int(line[k]) for line in scaled]) for k in (0, 1))
    yield Requantize(
        _one_if_equal(multiplier), _one_if_equal(offset), shift, quantizer.rounding, function.codes
    )


def _one_if_equal(values: Codes) -> Codes:
    return values[:1] if (values == values[0]).all() else values
