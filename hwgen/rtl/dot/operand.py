"""The number a stored code stands for inside an arithmetic unit."""

from __future__ import annotations

from amaranth import Cat, Const, Value

from hwgen.numeric import CodeType


def number(value: Value, codes: CodeType) -> Value:
    """Return `value` as a signed or unsigned number; a bipolar bit b becomes 2b - 1."""
    if codes.bipolar:
        # Two's complement of -1 is 11, of +1 is 01.
        return Cat(Const(1, 1), ~value).as_signed()
    return value.as_signed() if codes.signed else value.as_unsigned()
