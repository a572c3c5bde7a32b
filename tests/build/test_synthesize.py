"""Synthesis counts what small modules of known size take, per family, and caches by content."""

import json

import pytest

from hwgen.board import load_board
from hwgen.build.synthesize import synthesize
from hwgen.build.xilinx_cells import resources_of_cells
from hwgen.cost import Resources
from hwgen.errors import ToolError
from hwgen.resources import cache_folder

# An 8-bit adder is 8 LUTs and a carry chain, its register 9 flip-flops; two of them, an XOR of
# 9 bits with a register, a signed 8 x 8 product (one DSP, its output register perhaps inside), a
# memory of 1024 x 18 (half a block RAM).
DESIGN = """
module adder(input clk, input [7:0] a, b, output reg [8:0] s);
  always @(posedge clk) s <= a + b;
endmodule
module top(input clk, we, input [7:0] a, b, c, input [9:0] address, output reg [8:0] t,
           output reg [17:0] q, output reg [15:0] m);
  wire [8:0] s0, s1;
  adder u0(clk, a, b, s0);
  adder u1(clk, b, c, s1);
  reg [17:0] mem [0:1023];
  always @(posedge clk) begin
    t <= s0 ^ s1;
    m <= $signed(a) * $signed(b);
    q <= mem[address];
    if (we) mem[address] <= {a, b, c[1:0]};
  end
endmodule
"""


@pytest.fixture
def source(tmp_path):
    path = tmp_path / "top.v"
    path.write_text(DESIGN)
    return path


@pytest.fixture
def run(tmp_path):
    def run(source, board="ultra96", top="top", **options):
        work, cache = tmp_path / "work", tmp_path / "cache"
        return synthesize([source], top, load_board(board), work, cache_dir=cache, **options)

    return run


@pytest.mark.synth
@pytest.mark.parametrize(("board", "flip_flops"), [("ultra96", 9 + 9 + 9 + 16), ("pynq-z2", 27)])
def test_counts(run, source, board, flip_flops):
    report = run(source, board)
    # The 7-series mapping moves the product's register into the DSP.
    assert report.resources == Resources(lut=8 + 8 + 9, ff=flip_flops, dsp=1, bram36=0.5)
    assert "module top" in report.netlist.read_text()


@pytest.mark.synth
def test_kept_modules_are_counted_by_themselves_and_in_the_total(run, source):
    report = run(source, keep=["adder"])
    assert report.modules == {"adder": Resources(lut=8, ff=9)}
    assert report.resources == Resources(lut=25, ff=43, dsp=1, bram36=0.5)


@pytest.mark.synth
def test_distributed_memory_and_shift_registers_are_luts(run, tmp_path):
    source = tmp_path / "memory.v"
    source.write_text("""
module memory(input clk, we, d, input [4:0] w, r, input [7:0] x, output [7:0] q, output e);
  reg [7:0] mem [0:31];
  assign q = mem[r];
  always @(posedge clk) if (we) mem[w] <= x;
  reg [15:0] delay;
  always @(posedge clk) delay <= {delay[14:0], d};
  assign e = delay[15];
endmodule""")
    report = run(source, top="memory")
    assert report.cells.get("SRL16E") == 1
    # Sixteen bits of delay in one LUT; 32 x 8 bits with a second port in 8 to 16.
    assert 9 <= report.resources.lut <= 17
    assert report.resources.bram36 == 0


@pytest.mark.synth
@pytest.mark.parametrize(("attribute", "dsps"), [("", 2), ('(* use_dsp = "no" *)', 1)])
def test_use_dsp_attribute_of_a_module(run, tmp_path, attribute, dsps):
    source = tmp_path / "products.v"
    source.write_text(f"""
{attribute} module soft(input [5:0] a, b, output [11:0] p); assign p = a * b; endmodule
module hard(input [5:0] a, b, output [11:0] p); assign p = a * b; endmodule
module products(input [5:0] a, b, c, output [11:0] p, q);
  soft u0(a, b, p);
  hard u1(a, c, q);
endmodule""")
    report = run(source, top="products")
    assert report.resources.dsp == dsps
    assert (report.resources.lut > 20) is (dsps == 1)


@pytest.mark.synth
def test_late_flattening_keeps_one_carry_chain_an_adder(run, tmp_path):
    """Three chained 8-bit adders in modules: 8 + 9 + 10 LUTs, not a re-associated tree."""
    source = tmp_path / "chain.v"
    source.write_text("""
module add8(input [7:0] a, b, output [8:0] s); assign s = a + b; endmodule
module add9(input [8:0] a, input [7:0] b, output [9:0] s); assign s = a + b; endmodule
module add10(input [9:0] a, input [7:0] b, output [10:0] s); assign s = a + b; endmodule
module chain(input [7:0] a, b, c, d, output [10:0] s);
  wire [8:0] s0; wire [9:0] s1;
  add8 u0(a, b, s0);
  add9 u1(s0, c, s1);
  add10 u2(s1, d, s);
endmodule""")
    report = run(source, top="chain")
    assert report.resources.lut <= 8 + 9 + 10
    assert report.cells["CARRY4"] >= 2 + 3 + 3


@pytest.mark.synth
def test_second_run_comes_from_the_cache_until_the_source_changes(run, source, monkeypatch):
    first = run(source)
    netlist = first.netlist.read_bytes()
    with monkeypatch.context() as patch:
        patch.setattr("hwgen.build.synthesize.run_yosys", lambda *_, **__: pytest.fail("ran yosys"))
        second = run(source)
    assert (second.resources, second.cells) == (first.resources, first.cells)
    assert second.netlist.read_bytes() == netlist
    assert second.seconds == 0
    source.write_text(DESIGN.replace("s0 ^ s1", "s0"))
    assert run(source).resources.lut == 8 + 0  # the second adder is dead now


@pytest.mark.synth
def test_same_netlist_every_time(run, source, tmp_path):
    netlists = {
        synthesize(
            [source], "top", load_board("ultra96"), tmp_path / f"w{k}", cache_dir=tmp_path / f"c{k}"
        ).netlist.read_bytes()
        for k in range(2)
    }
    assert len(netlists) == 1


@pytest.mark.synth
def test_unwritable_cache_is_no_error(source, tmp_path):
    (tmp_path / "cache").write_text("a file where a folder should be")
    report = synthesize(
        [source], "top", load_board("ultra96"), tmp_path / "w", cache_dir=tmp_path / "cache"
    )
    assert report.resources.dsp == 1


@pytest.mark.synth
def test_missing_module_is_a_tool_error(run, tmp_path):
    source = tmp_path / "hole.v"
    source.write_text("module hole(input a, output y); absent u(.a(a), .y(y)); endmodule")
    with pytest.raises(ToolError, match="absent"):
        run(source, top="hole")


@pytest.mark.synth
def test_latch_is_not_counted_as_nothing(run, tmp_path):
    source = tmp_path / "latch.v"
    source.write_text("module latch(input e, d, output reg q); always @* if (e) q = d; endmodule")
    with pytest.raises(ToolError, match="LDCE"):
        run(source, top="latch")


def test_weights_of_memory_cells():
    counted = resources_of_cells({"RAM64M8": 2, "RAMB18E2": 3, "LUT6": 5, "FDRE": 7, "CARRY4": 9})
    assert counted == Resources(lut=16 + 5, ff=7, bram36=1.5)


def test_unknown_cell_is_refused():
    with pytest.raises(ToolError, match=r"no device resource is known for: HARD_SYNC;"):
        resources_of_cells({"LUT1": 1, "HARD_SYNC": 1})


def test_cache_folder_follows_the_environment(monkeypatch, tmp_path):
    monkeypatch.setenv("HWGEN_CACHE", str(tmp_path))
    assert cache_folder() == tmp_path


def test_report_that_is_none(tmp_path, monkeypatch, source, run):
    def write_nonsense(commands, cwd):
        for name in ("stat.json", "netlist.v"):
            (cwd / name).write_text(json.dumps({}))
        return "log"

    monkeypatch.setattr("hwgen.build.synthesize.run_yosys", write_nonsense)
    with pytest.raises(ToolError, match="not a yosys report"):
        run(source)


@pytest.mark.parametrize("depth", [256, 300, 512, 700])
def test_lut_ram_with_one_port(tmp_path, depth):
    """yosys' own description of the 512-word one is wrong; ours is not, and costs 8 LUTs a bit."""
    verilog = tmp_path / "deep.v"
    verilog.write_text(
        "module deep(input clk, input [9:0] a, input we, input d, output reg q);\n"
        f"  reg m [{depth - 1}:0];\n  wire r = m[a];\n"
        "  always @(posedge clk) begin if (we) m[a] <= d; q <= r; end\nendmodule\n"
    )
    report = synthesize([verilog], "deep", load_board("ultra96"), tmp_path / "work")
    assert report.resources.bram36 == 0
    assert 4 * -(-depth // 256) <= report.resources.lut <= 8 * -(-depth // 512) + 8
