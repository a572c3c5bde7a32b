"""The techmaps that turn ROMs into LUTs, proved equal to the memory by SAT."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from hwgen.build.synthesize import _ROM_LUTS
from hwgen.build.yosys import quote_path, run_yosys
from hwgen.errors import ToolError

pytestmark = pytest.mark.synth


def rom(words: list[int], width: int, name: str) -> str:
    entries = "\n".join(f"    rom[{k}] = {width}'d{word};" for k, word in enumerate(words))
    bits = max((len(words) - 1).bit_length(), 1)
    return f"""
module {name} (input clk, input en, input [{bits - 1}:0] address, output reg [{width - 1}:0] word);
  reg [{width - 1}:0] rom [{len(words) - 1}:0];
  initial begin
{entries}
  end
  always @(posedge clk) if (en) word <= rom[address];
endmodule
"""


def prove(gold: str, gate: str, folder: Path) -> str:
    (folder / "both.v").write_text(gold + gate)
    return run_yosys(
        [
            "read_verilog both.v",
            "proc",
            "memory -nomap",
            f"techmap -autoproc -map {quote_path(_ROM_LUTS)} gate",
            "read_verilog +/xilinx/cells_sim.v",
            "hierarchy -check",
            "select -assert-none gate/t:$mem_v2",
            "proc gate LUT6 MUXF7 MUXF8",
            "flatten gate",
            "memory_map gold",
            "opt_clean",
            "miter -equiv -flatten -make_outputs gold gate miter",
            "hierarchy -top miter",
            # The register starts unknown: equal after the first read, then by induction.
            "sat -verify -prove trigger 0 -seq 2 -set-at 1 in_en 1 -tempinduct -show-ports miter",
        ],
        cwd=folder,
    )


@pytest.mark.parametrize(("depth", "width"), [(64, 7), (50, 3), (2, 5), (17, 1)])
def test_equal_to_the_memory(depth: int, width: int, tmp_path: Path) -> None:
    words = np.random.default_rng(depth).integers(0, 2**width, depth).tolist()
    if depth & (depth - 1):
        words += [0] * ((1 << (depth - 1).bit_length()) - depth)
    log = prove(rom(words, width, "gold"), rom(words, width, "gate"), tmp_path)
    assert "SUCCESS" in log


@pytest.mark.parametrize(
    ("depth", "width"), [(65, 2), (128, 3), (200, 2), (256, 1), (257, 2), (600, 1)]
)
def test_deep_ones_are_equal_to_the_memory(depth: int, width: int, tmp_path: Path) -> None:
    words = np.random.default_rng(depth).integers(0, 2**width, depth).tolist()
    gold = [*words, *[0] * ((1 << (depth - 1).bit_length()) - depth)]
    made = prove(rom(gold, width, "gold"), rom(gold, width, "gate"), tmp_path)
    assert "SUCCESS" in made


def test_one_wrong_bit_of_a_deep_one_is_found(tmp_path: Path) -> None:
    words = np.random.default_rng(0).integers(0, 4, 512).tolist()
    wrong = [*words[:300], words[300] ^ 1, *words[301:]]
    with pytest.raises(ToolError):
        prove(rom(words, 2, "gold"), rom(wrong, 2, "gate"), tmp_path)


def test_one_wrong_bit_is_found(tmp_path: Path) -> None:
    words = np.random.default_rng(0).integers(0, 16, 64).tolist()
    wrong = [*words[:-1], words[-1] ^ 4]
    with pytest.raises(ToolError):
        prove(rom(words, 4, "gold"), rom(wrong, 4, "gate"), tmp_path)


def prove_lookup(table: int, other: int, width: int, folder: Path) -> str:
    (folder / "both.v").write_text(
        "".join(
            f"module {name} (input [5:0] index, output y);\n"
            f"  wire [{width - 1}:0] all = {width}'h{value:x} >> index;\n"
            "  assign y = all[0];\nendmodule\n"
            for name, value in (("gold", table), ("gate", other))
        )
    )
    return run_yosys(
        [
            "read_verilog both.v",
            "proc",
            "wreduce",
            f"techmap -autoproc -map {quote_path(_ROM_LUTS)} gate",
            "read_verilog +/xilinx/cells_sim.v",
            "hierarchy -check",
            "select -assert-count 1 gate/t:*LUT6*",
            "proc",
            "flatten gate",
            "miter -equiv -flatten -make_outputs gold gate miter",
            "hierarchy -top miter",
            "sat -verify -prove trigger 0 -show-ports miter",
        ],
        cwd=folder,
    )


@pytest.mark.parametrize("width", [64, 61, 33])
def test_indexed_constant_is_one_equal_lut(width: int, tmp_path: Path) -> None:
    table = int(np.random.default_rng(width).integers(0, 2**62)) | 1 << (width - 1)
    table &= (1 << width) - 1
    assert "SUCCESS" in prove_lookup(table, table, width, tmp_path)


def test_one_wrong_bit_of_an_indexed_constant_is_found(tmp_path: Path) -> None:
    table = (1 << 63) | 0x1234567
    with pytest.raises(ToolError):
        prove_lookup(table, table ^ 1 << 40, 64, tmp_path)
