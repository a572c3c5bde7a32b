"""The forms that a finite function can take in hardware, and what each costs.

Used by `tabulate.py`, which takes the cheapest, and `settle_ties.py`, which asks for its price.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import reduce

from hwgen.errors import HwgenError, PassError
from hwgen.ir import Codes, Op, TensorType
from hwgen.ops.elementwise import Elementwise
from hwgen.ops.requantize import Requantize
from hwgen.ops.thresholds import Thresholds
from hwgen.passes.find_steps import finite_function
from hwgen.passes.finite_function import FiniteFunction
from hwgen.passes.fit_exact_line import symbolic
from hwgen.passes.fit_requantize import searched
from hwgen.passes.step_tables import numbered, table, thresholds, values

MAX_THRESHOLDS, MAX_TABLE_ENTRIES = 255, 1 << 16
MAX_TABLE_CONTENTS = 1 << 22  # of all channels; no device has memory for more
CHEAP_LUTS = 500.0  # of one operator, below which no two are sought
# One DSP slice or block RAM against LUTs: their ratio on mid-size parts, xczu3eg among them.
LUTS_PER_DSP, LUTS_PER_BRAM36, LUTS_PER_FF = 196.0, 326.0, 0.25


@dataclass(frozen=True)
class Form:
    """Operators, one behind the other, and their resources as a number of LUTs."""

    ops: tuple[Op, ...]
    price: float

    def evaluate(self, *codes: Codes) -> Codes:
        """Return what the operators make of `codes`."""
        return reduce(lambda given, op: op.evaluate(given), self.ops, codes[0])

    def equals(self, function: FiniteFunction) -> bool:
        """Whether this gives the function's value on every reachable code."""
        first, *rest = self.ops
        if not rest:
            return function.equals(first, keeps_order(first))
        # Both ends of every step have its number, and so have all codes between them.
        return numbered(function).equals(first, True) and function.equals(self, True)

    @property
    def words(self) -> str:
        """What it is."""
        return " and ".join(op.name for op in self.ops)


def forms(op: Elementwise, x: TensorType) -> list[Form]:
    """Return every form that equals `op` on all codes reachable in `x`, the cheapest first.

    Raises
    ------
    PassError : when none does
    """
    function = finite_function(op, x)
    found: list[Form] = []
    for ops in candidates(op, function):
        try:
            form = Form(ops, priced(ops, x))
        except HwgenError:
            continue  # sizes it cannot have: not a candidate
        if form.equals(function):
            found.append(form)
    if not found:
        raise PassError(
            f"no affine form, {MAX_THRESHOLDS} thresholds or {MAX_TABLE_ENTRIES} table entries "
            f"express the chain from {x.codes} to {function.codes}; use fewer bits"
        )
    return _preferred(sorted_forms(found))


def _preferred(found: list[Form]) -> list[Form]:
    """Let one cheap operator come before two: each has a latency."""
    single = [form for form in found if len(form.ops) == 1 and form.price <= CHEAP_LUTS]
    return [*single, *(form for form in found if form not in single)]


def sorted_forms(found: Iterable[Form]) -> list[Form]:
    """Return the cheapest first."""
    return sorted(found, key=lambda form: form.price)


def reason(found: Sequence[Form]) -> str:
    """Return words for what the first of `found` is, and what the others would cost."""
    best, others = found[0], {form.words: form for form in reversed(found[1:])}
    others.pop(best.words, None)
    compared = [f"{form.words} {form.price:.0f}" for form in sorted_forms(others.values())]
    against = f", against {', '.join(compared)}" if compared else ", the only form"
    return f"{parameters(best)}{best.price:.0f} LUT a lane{against}"


def parameters(form: Form) -> str:
    """Return the sizes of a requantization, nothing of others."""
    (first, *_) = form.ops
    if not isinstance(first, Requantize):
        return ""
    bits = max(abs(int(m)).bit_length() for m in first.multiplier)
    each = " a channel" if first.multiplier.size > 1 else ""
    return f"M of {bits} bits{each}, S {first.shift}: "


def candidates(op: Elementwise, function: FiniteFunction) -> Iterator[tuple[Op, ...]]:
    """Yield the forms worth comparing; at equal cost the earlier wins."""
    found = searched(function)
    if found is not None:
        yield (found,)
    yield from ((line,) for line in symbolic(op, function))
    if 1 <= function.codes.size - 1 <= MAX_THRESHOLDS and all(r.direction for r in function.rows):
        yield (thresholds(function),)
    entries = function.x.codes.size
    if entries <= MAX_TABLE_ENTRIES and entries * len(function.rows) <= MAX_TABLE_CONTENTS:
        yield (table(function),)
    if 2 <= max(len(row.starts) for row in function.rows) <= MAX_THRESHOLDS + 1:
        yield thresholds(numbered(function)), values(function)


def priced(ops: tuple[Op, ...], x: TensorType) -> float:
    """Return the resources of operators behind each other as a number of LUTs.

    Raises
    ------
    IRError : when one does not fit what it reads
    """
    price = 0.0
    for op in ops:
        after = op.infer(x)
        r = op.resources(x)
        price += r.lut + LUTS_PER_FF * r.ff + LUTS_PER_DSP * r.dsp + LUTS_PER_BRAM36 * r.bram36
        x = after
    return price


def keeps_order(op: Op) -> bool:
    """Whether each channel of `op` never falls or never rises, whatever its parameters."""
    return isinstance(op, Requantize | Thresholds)
