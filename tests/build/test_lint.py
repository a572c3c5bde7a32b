"""Verilator's lint: silent on clean Verilog, loud on everything but the three waived rules."""

import re
import subprocess
import sys

import pytest

from hwgen.build.lint import lint_verilog
from hwgen.errors import ToolError
from hwgen.resources import data_folder

# Breaks exactly the waived rules: power-on value beside a reset, unused bits, file name.
WAIVED = """
module accumulator(input wire clk, input wire rst, input wire [3:0] a, output reg [1:0] y);
  initial y = 0;
  always @(posedge clk) if (rst) y <= 0; else y <= a[1:0];
endmodule
"""


@pytest.fixture
def lint(tmp_path):
    def lint(text, **options):
        path = tmp_path / "design.v"
        path.write_text(text)
        lint_verilog([path], **options)

    return lint


@pytest.mark.sim
def test_waived_rules(lint):
    lint(WAIVED)


@pytest.mark.sim
@pytest.mark.parametrize(
    ("old", "new", "rule"),
    [
        ("a[1:0]", "a", "WIDTHTRUNC"),
        ("a[1:0]", "a[0]", "WIDTHEXPAND"),
        ("a[1:0]", "{a[1], missing}", "missing"),
        ("y <= 0; else", "y = 0; else", "BLKSEQ"),
        ("input wire rst, ", "", "rst"),
    ],
)
def test_everything_else_is_an_error(lint, old, new, rule):
    assert old in WAIVED
    with pytest.raises(ToolError, match=rf"(?s)-Wall on design\.v:.*{rule}"):
        lint(WAIVED.replace(old, new))


@pytest.mark.sim
def test_top_can_be_named(lint):
    two = "module one; endmodule\nmodule two; endmodule\n"
    with pytest.raises(ToolError, match="MULTITOP"):
        lint(two)
    lint(two, top="one")


def test_three_rules_are_waived_and_each_has_its_reason():
    text = (data_folder("rtl_templates") / "lint" / "waive.vlt").read_text()
    rules = re.findall(r"//.*\nlint_off -rule (\w+)\n", text)
    assert sorted(rules) == ["DECLFILENAME", "PROCASSINIT", "UNUSEDSIGNAL"]
    assert text.count("lint_off") == 3


@pytest.mark.sim
def test_command_line(tmp_path):
    good, bad = tmp_path / "good", tmp_path / "bad.v"
    good.mkdir()
    (good / "accumulator.v").write_text(WAIVED)
    bad.write_text(WAIVED.replace("a[1:0]", "a"))
    command = [sys.executable, "-m", "hwgen.build.lint"]
    clean = subprocess.run([*command, good], capture_output=True, text=True, check=False)
    assert (clean.returncode, clean.stdout) == (0, "Verilog lint: 1 checked, 0 faulty\n")
    empty = tmp_path / "empty"
    empty.mkdir()
    both = subprocess.run([*command, good, bad, empty], capture_output=True, text=True, check=False)
    assert (both.returncode, both.stdout) == (1, "Verilog lint: 3 checked, 2 faulty\n")
    assert "WIDTHTRUNC" in both.stderr
    assert "no Verilog in this folder" in both.stderr
