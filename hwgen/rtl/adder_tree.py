"""Balanced adder trees whose every sum has exactly the width its interval needs.

Python's `sum()` over signals grows a bit at each step and hides the structure; here each sum is a
signal of its own, shifts common to both operands are factored out and subtraction is free, as it
is on a carry chain. The registers have no reset: what they hold counts only beside a valid bit.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from amaranth import Cat, Const, Module, Signal, Value

from hwgen.numeric import CodeType
from hwgen.rtl.stream.component import code_shape


@dataclass(frozen=True)
class Term:
    """A summand: (-1 if negative) * value * 2**shift, with value in `codes`."""

    value: Value
    codes: CodeType
    shift: int = 0
    negative: bool = False


def tree_levels(terms: int) -> int:
    """Adders on the longest path of a balanced tree."""
    return (terms - 1).bit_length() if terms > 1 else 0


def tree_latency(terms: int, levels_per_stage: int) -> int:
    """Registers that `add_tree` puts on every path; a register also closes a partial stage."""
    return -(-tree_levels(terms) // levels_per_stage)


def scaled(codes: CodeType, factor: int) -> CodeType:
    """Return the interval of factor * x."""
    ends = (codes.lo * factor, codes.hi * factor)
    return CodeType(min(ends), max(ends))


def extend(value: Value, signed: bool, width: int) -> Value:
    """Return `value` in exactly `width` bits: Verilog linters want equal operand widths."""
    if len(value) >= width:
        return value[:width]
    fill = value[-1] if signed else Const(0, 1)
    return Cat(value, fill.replicate(width - len(value)))


def _operand(term: Term, shift: int) -> Value:
    """Return the term's value above `shift`; sign and width are left to the addition."""
    value = Cat(Const(0, term.shift - shift), term.value) if term.shift > shift else term.value
    return value.as_signed() if term.codes.signed else value


def add(a: Term, b: Term, name: str) -> tuple[Term, Value]:
    """Return a + b as a new signal, and the value to assign to it."""
    shift = min(a.shift, b.shift)
    if a.negative and not b.negative:
        a, b = b, a
    subtract = b.negative and not a.negative
    range_a, range_b = (scaled(t.codes, 1 << (t.shift - shift)) for t in (a, b))
    if subtract:
        codes = CodeType(range_a.lo - range_b.hi, range_a.hi - range_b.lo)
    else:
        codes = CodeType(range_a.lo + range_b.lo, range_a.hi + range_b.hi)
    total = Signal(code_shape(codes), name=name, reset_less=True)
    left, right = _operand(a, shift), _operand(b, shift)
    result = left - right if subtract else left + right
    return Term(total, codes, shift, a.negative and b.negative), result


def add_in_width(terms: Sequence[Term], width: int) -> Value:
    """Return the sum of terms, in this order, the first positive, modulo 2**width.

    Every intermediate sum has the width of the result, so that synthesizers see one addition of
    all operands.
    """
    first, *others = terms
    total = extend(_operand(first, 0), first.codes.signed, width)
    for term in others:
        operand = extend(_operand(term, 0), term.codes.signed, width)
        total = (total - operand if term.negative else total + operand)[:width]
    return total


def _assign(m: Module, results: Sequence[tuple[Term, Value]], register_if: Signal | None) -> None:
    # One `If` for all of them: thousands would be slow to elaborate.
    statements = [term.value.eq(result) for term, result in results]
    if register_if is None:
        m.d.comb += statements
    else:
        with m.If(register_if):
            m.d.sync += statements


def register(m: Module, term: Term, name: str, advance: Signal) -> Term:
    """Return `term` one cycle later."""
    held = _held(term, name)
    _assign(m, [(held, term.value)], advance)
    return held


def _held(term: Term, name: str) -> Term:
    held = Signal(code_shape(term.codes), name=name, reset_less=True)
    return Term(held, term.codes, term.shift, term.negative)


def delay(m: Module, term: Term, name: str, cycles: int, advance: Signal) -> Term:
    """Return `term` `cycles` cycles later."""
    for k in range(cycles):
        term = register(m, term, f"{name}_d{k + 1}", advance)
    return term


def add_tree(
    m: Module,
    terms: Sequence[Term],
    name: str,
    advance: Signal | None = None,
    levels_per_stage: int = 1,
) -> Term:
    """Return the sum of `terms`, `tree_latency(len(terms), levels_per_stage)` cycles later.

    Without `advance` the tree is combinational.

    Parameters
    ----------
    terms : summands, all valid in the same cycle; none means zero
    name : prefix of the signals: `{name}_l{level}_{k}`
    advance : registers load while this is high; None builds no registers
    levels_per_stage : adders between two registers
    """
    if not terms:
        return Term(Const(0, 1), CodeType(0, 0))
    row = list(terms)
    levels = tree_levels(len(row))
    for level in range(1, levels + 1):
        last_of_stage = level % levels_per_stage == 0 or level == levels
        gate = advance if last_of_stage else None
        sums = [
            add(row[k], row[k + 1], f"{name}_l{level}_{k // 2}") for k in range(0, len(row) - 1, 2)
        ]
        odd = row[-1:] if len(row) % 2 else []
        if odd and gate is not None:
            kept = odd.pop()
            sums.append((_held(kept, f"{name}_l{level}_keep"), kept.value))
        _assign(m, sums, gate)
        row = [total for total, _ in sums] + odd
    return row[0]


def widen(term: Term, width: int) -> Value:
    """Return the number `term` stands for in `width` bits, two's complement."""
    raised = Cat(Const(0, term.shift), term.value) if term.shift else term.value
    number = extend(raised, term.codes.signed, width)
    return (-number)[:width] if term.negative else number
