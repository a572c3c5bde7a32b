"""The number a stored code stands for inside an arithmetic unit."""

from __future__ import annotations

from collections.abc import Sequence

from amaranth import Cat, Const, Value

from hwgen.numeric import CodeType


def number(value: Value, codes: CodeType) -> Value:
    """Return `value` as a signed or unsigned number; a bipolar bit b becomes 2b - 1."""
    if codes.bipolar:
        # Two's complement of -1 is 11, of +1 is 01.
        return Cat(Const(1, 1), ~value).as_signed()
    return value.as_signed() if codes.signed else value.as_unsigned()


def from_lowest(x: Sequence[Value], codes: CodeType) -> list[Value]:
    """Return the codes counted from the lowest: two's complement has only its sign inverted.

    The number is `bit_base(codes) + bit_scale(codes) * unsigned`.
    """
    return [Cat(value[:-1], ~value[-1]) if codes.signed else value for value in x]


def bit_scale(codes: CodeType) -> int:
    """Return what the lowest bit of a code counts: 2 between -1 and +1."""
    return 2 if codes.bipolar else 1


def bit_base(codes: CodeType) -> int:
    """Return the number that the bits of a code count from."""
    if codes.bipolar:
        return -1
    return -(1 << (codes.width - 1)) if codes.signed else 0
