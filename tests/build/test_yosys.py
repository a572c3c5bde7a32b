"""`run_yosys`: logs come back, failures become ToolError, awkward paths survive."""

import time

import pytest

from hwgen.build.yosys import quote_path, run_yosys
from hwgen.errors import ToolError

INVERTER = "module inverter(input a, output y); assign y = ~a; endmodule\n"


def test_log_is_returned():
    assert "all is well" in run_yosys(["log all is well"])


def test_commands_share_one_design(tmp_path):
    (tmp_path / "inverter.v").write_text(INVERTER)
    run_yosys(["read_verilog inverter.v", "write_verilog -noattr out.v"], cwd=tmp_path)
    assert "~ a" in (tmp_path / "out.v").read_text()


@pytest.mark.parametrize(
    "folder", ["with space", "semi;colon", "brackets[0]", "quote's", "dollar$x"]
)
def test_awkward_paths(tmp_path, folder):
    source = tmp_path / folder / "inverter.v"
    source.parent.mkdir()
    source.write_text(INVERTER)
    target = source.with_name("out.v")
    run_yosys([f"read_verilog {quote_path(source)}", f"write_verilog {quote_path(target)}"])
    assert "module inverter" in target.read_text()


@pytest.mark.parametrize("name", ['a"b', "a\nb"])
def test_unquotable_paths_are_refused(name):
    with pytest.raises(ToolError, match="cannot be given the path"):
        quote_path(name)


def test_error_shows_the_end_of_the_log(tmp_path):
    with pytest.raises(
        ToolError, match=r"(?s)exit code 1 .*read_verilog missing.*ERROR: .*missing"
    ):
        run_yosys(["read_verilog missing.v"], cwd=tmp_path)


def test_unknown_command_is_an_error():
    with pytest.raises(ToolError, match="No such command: frobnicate"):
        run_yosys(["frobnicate"])


def test_time_limit():
    with pytest.raises(ToolError, match="not done after 1 s"):
        run_yosys(["exec -- sleep 20"], timeout_s=1)


def test_local_files_do_not_shadow_modules(tmp_path):
    (tmp_path / "json.py").write_text("raise SystemExit(7)")
    assert "hello" in run_yosys(["log hello"], cwd=tmp_path)


def test_starts_quickly():
    run_yosys(["log warm"])
    begin = time.perf_counter()
    run_yosys(["log again"])
    # Measured at 0.1 s; the WASM build of yosys took 2.4 s, which is what this would catch.
    assert time.perf_counter() - begin < 2.0
