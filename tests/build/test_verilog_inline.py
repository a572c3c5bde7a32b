"""Temporaries go where they are used, and only where Verilog cannot read them differently there."""

from __future__ import annotations

import pytest

from hwgen.build.verilog_inline import inline_temporaries


def module(*lines: str) -> str:
    head = [
        "module m (",
        "  input  wire clk,",
        "  output reg [3:0] q = 4'h0,",
        "  output wire [3:0] w",
    ]
    return "\n".join([*head, ");", *(f"  {line}" for line in lines), "endmodule"])


@pytest.mark.parametrize(
    ("before", "after"),
    [
        # A whole right-hand side, even of arithmetic.
        (
            ["wire [3:0] _0_;", "assign _0_ = a + b;", "q <= _0_;"],
            ["q <= a + b;"],
        ),
        # A condition.
        (
            ["wire _0_;", "assign _0_ = a & b;", "if (_0_) q <= c;"],
            ["if (a & b) q <= c;"],
        ),
        # Chains of bitwise logic, with parentheses.
        (
            [
                "wire [3:0] _0_;",
                "wire [3:0] _1_;",
                "assign _0_ = a ^ b;",
                "assign _1_ = ~ _0_;",
                "assign w = _1_ & c;",
            ],
            ["assign w = (~(a ^ b)) & c;"],
        ),
        # The low bits are all that is named.
        (
            ["wire [6:0] _0_;", "assign _0_[3:0] = a + 4'h1;", "q <= _0_[3:0];"],
            ["q <= a + 4'h1;"],
        ),
    ],
)
def test_inlined(before: list[str], after: list[str]) -> None:
    assert inline_temporaries(module(*before)) == module(*after)


@pytest.mark.parametrize(
    "lines",
    [
        # Another width: the carry would appear.
        ["wire [4:0] _0_;", "assign _0_ = a + b;", "q <= _0_;"],
        # Arithmetic inside logic, signs inside a multiplexer.
        ["wire [3:0] _0_;", "assign _0_ = a + b;", "assign w = _0_ & c;"],
        ["wire [3:0] _0_;", "assign _0_ = $signed(a) * $signed(b);", "assign w = s ? _0_ : c;"],
        # Two uses.
        ["wire [3:0] _0_;", "assign _0_ = a & b;", "assign w = _0_;", "q <= _0_;"],
        # Some other bits are named too.
        ["wire [6:0] _0_;", "assign _0_[3:0] = a;", "assign _0_[6:4] = b;", "q <= _0_[3:0];"],
        # `<=` that compares.
        ["wire [3:0] _0_;", "assign _0_ = a | b;", "assign w = a <= _0_;"],
        # A memory's word.
        ["wire [3:0] _0_;", "assign _0_ = a | b;", "rom[k] <= _0_;"],
    ],
)
def test_left_alone(lines: list[str]) -> None:
    assert inline_temporaries(module(*lines)) == module(*lines)
