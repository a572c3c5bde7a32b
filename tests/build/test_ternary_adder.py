"""Sums of three numbers become one carry chain, proved equal by SAT, a LUT for each place."""

from __future__ import annotations

import itertools
import re
from dataclasses import dataclass
from pathlib import Path

import pytest

from hwgen.adders import Adder
from hwgen.build.lint import lint_verilog
from hwgen.build.synthesize import ternary_maps
from hwgen.build.yosys import quote_path, run_yosys
from hwgen.errors import ToolError
from hwgen.numeric import CodeType

pytestmark = pytest.mark.synth


@dataclass(frozen=True)
class Sum:
    """+-a +- b +- c, each of `bits` bits, shifted, in two's complement where it is signed."""

    bits: tuple[int, int, int]
    shifts: tuple[int, int, int] = (0, 0, 0)
    signed: tuple[bool, bool, bool] = (True, True, True)
    negative: tuple[bool, bool, bool] = (False, False, False)

    @property
    def intervals(self) -> list[CodeType]:
        """Of the operands."""
        return [
            CodeType(-(1 << (bits - 1)), (1 << (bits - 1)) - 1)
            if signed
            else CodeType(0, (1 << bits) - 1)
            for bits, signed in zip(self.bits, self.signed, strict=True)
        ]

    @property
    def result(self) -> CodeType:
        """Of the sum."""
        ends = [0, 0]
        for codes, shift, negative in zip(self.intervals, self.shifts, self.negative, strict=True):
            low, high = codes.lo << shift, codes.hi << shift
            ends = [ends[0] - high, ends[1] - low] if negative else [ends[0] + low, ends[1] + high]
        return CodeType(*ends)

    def cost(self) -> int:
        """Return the bits that the cost model promises."""
        _, shift_b, shift_c = self.shifts
        a, b, c = self.negative
        adder = Adder(0, 1, shift_b, a, b, 2, shift_c, c)
        return adder.bits(self.intervals, self.result)

    def verilog(self, name: str, wrong: bool = False) -> str:
        """Return the module as `rtl.adder_graph` has it written: two additions of one width."""
        width = self.result.width
        ports = ", ".join(
            f"input {'signed ' if signed else ''}[{bits - 1}:0] x{k}"
            for k, (bits, signed) in enumerate(zip(self.bits, self.signed, strict=True))
        )
        first, second, third = sorted(range(3), key=lambda k: self.negative[k])
        terms = [f"(t{k} << {shift})" for k, shift in enumerate(self.shifts)]
        signs = ["-" if negative else "+" for negative in self.negative]
        if wrong:
            signs[third] = "+" if signs[third] == "-" else "-"
        extended = "".join(
            f"  wire {'signed ' if signed else ''}[{width - 1}:0] t{k} = x{k};\n"
            for k, signed in enumerate(self.signed)
        )
        return (
            f"module {name} ({ports}, output [{width - 1}:0] y);\n{extended}"
            f"  wire [{width - 1}:0] y_pair = {terms[first]} {signs[second]} {terms[second]};\n"
            f"  assign y = y_pair {signs[third]} {terms[third]};\nendmodule\n"
        )


def prove(gold: str, gate: str, folder: Path) -> int:
    """Map `gate`, prove it equal to `gold` and return its LUTs."""
    (folder / "both.v").write_text(gold + gate)
    maps = " ".join(f"-map {quote_path(file)}" for file in ternary_maps())
    log = run_yosys(
        [
            "read_verilog both.v",
            "proc",
            "opt_expr",
            "opt_clean",
            "alumacc gate",
            f"techmap -autoproc {maps} gate",
            "opt_clean",
            "select -assert-none gate/t:$macc_v2 gate/t:$alu",
            "tee -o stat.txt stat gate",
            "read_verilog +/xilinx/cells_sim.v",
            "hierarchy -check",
            "proc",
            "flatten gate",
            "miter -equiv -flatten -make_outputs gold gate miter",
            "hierarchy -top miter",
            "sat -verify -prove trigger 0 -show-ports miter",
        ],
        cwd=folder,
    )
    assert "SUCCESS" in log
    found = re.search(r"^\s+(\d+)\s+LUT6_2$", (folder / "stat.txt").read_text(), re.MULTILINE)
    return int(found[1]) if found else 0


SIGNS = [signs for signs in itertools.product([False, True], repeat=3) if not all(signs)]
CASES = {
    "one bit": Sum((1, 1, 1), signed=(False, False, False)),
    "wide": Sum((16, 16, 16), (0, 1, 4), negative=(False, True, True)),
    "mixed": Sum((7, 3, 5), (0, 2, 3), (False, True, False)),
    "mixed and negative": Sum((7, 3, 5), (0, 2, 3), (False, True, False), (False, True, True)),
    "side by side": Sum((4, 4, 4), (0, 4, 8), (False, False, False)),
    "side by side, one over": Sum((4, 4, 4), (0, 4, 6), (False, False, False)),
    "side by side, negative": Sum((4, 4, 4), (0, 4, 8), (False,) * 3, (False, True, False)),
    **{
        f"signs {signs} shifts {shifts}": Sum((4, 5, 3), shifts, negative=signs)
        for signs in SIGNS
        for shifts in ((0, 0, 0), (0, 1, 3))
    },
}


@pytest.mark.parametrize("case", sorted(CASES))
def test_equal_to_the_sum_and_as_large_as_promised(case: str, tmp_path: Path) -> None:
    total = CASES[case]
    assert prove(total.verilog("gold"), total.verilog("gate"), tmp_path) == total.cost()


@pytest.mark.parametrize("width", [1, 2, 5, 11])
@pytest.mark.parametrize("signs", SIGNS)
def test_equal_to_its_model(width: int, signs: tuple[bool, bool, bool], tmp_path: Path) -> None:
    """Both branches of the file: primitives for yosys, the plain sum for other tools."""
    primitive = ternary_maps()[1].read_text()
    model = primitive.replace("module ternary_adder", "module model").replace("YOSYS", "NOBODY")
    negative = sum(sign << k for k, sign in enumerate(signs))
    ports = f"input [{width - 1}:0] a, b, c, output [{width - 1}:0] y"
    wrapped = "".join(
        f"module {name} ({ports});\n"
        f"  {unit} #(.WIDTH({width}), .NEGATIVE(3'd{negative})) unit (a, b, c, y);\nendmodule\n"
        for name, unit in (("gold", "model"), ("gate", "ternary_adder"))
    )
    (tmp_path / "all.v").write_text(primitive + model + wrapped)
    log = run_yosys(
        [
            "read_verilog +/xilinx/cells_sim.v all.v",
            "hierarchy -check",
            "proc",
            "flatten gold gate",
            "miter -equiv -flatten -make_outputs gold gate miter",
            "hierarchy -top miter",
            "sat -verify -prove trigger 0 -show-ports miter",
        ],
        cwd=tmp_path,
    )
    assert "SUCCESS" in log


def test_lint_reads_the_model() -> None:
    lint_verilog([ternary_maps()[1]])


def test_a_wrong_sign_is_found(tmp_path: Path) -> None:
    total = CASES["wide"]
    with pytest.raises(ToolError):
        prove(total.verilog("gold"), total.verilog("gate", wrong=True), tmp_path)
