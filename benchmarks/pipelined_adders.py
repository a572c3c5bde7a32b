"""Pipelined adder graphs side by side on ECP5: hwgen, da4ml and alkaid on the same matrices.

    pip install -e '.[fast,bench,verify]'
    python benchmarks/pipelined_adders.py [--quick] [--effort SECONDS] [--seeds N]
                                          [--fused] [--matrix FILE.npy]... [--json]

Each peer traces, solves, pipelines and writes its own Verilog as its documentation shows, with one
adder a stage and with about two. hwgen places its registers for the shortest period, at da4ml's
stages and, where its graph has fewer levels than these, at one stage a level. All three register
inputs and outputs and run freely; a stage is what lies between two registers. Every design is
simulated in Verilator and equals the matrix, then goes through the same yosys and nextpnr. Inputs
are signed 8-bit.
"""

from __future__ import annotations

import argparse
import contextlib
import io
import json
import subprocess
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
from adder_graphs import BYTE, random_matrix
from amaranth import Cat, Const, Elaboratable, Module, Signal
from amaranth.back import rtlil
from lattice import place

from hwgen.adders import (
    FABRICS,
    AdderGraph,
    SolveOptions,
    Stages,
    cached_solve,
    minimum_depth,
    place_registers,
    shortest_period_ps,
)
from hwgen.build.rtlil_to_verilog import verilog_modules
from hwgen.numeric import CodeType
from hwgen.rtl.adder_graph import build_graph
from hwgen.rtl.adder_tree import widen
from hwgen.rtl.stream.component import code_shape
from hwgen.verify.verilator import verilator_environment

ECP5 = FABRICS["ecp5"]
SAMPLES = 64
BENCH = """module bench;
  reg clk = 0;
  reg [{inputs}-1:0] samples [0:{last}];
  reg [{inputs}-1:0] model_inp;
  wire [{outputs}-1:0] model_out;
  integer k;
  {top} dut (.clk(clk), .model_inp(model_inp), .model_out(model_out));
  initial begin
    $readmemh("samples.hex", samples);
    for (k = 0; k <= {last} + {stages}; k = k + 1) begin
      model_inp = samples[k <= {last} ? k : {last}];
      #1 clk = 1;
      #1 clk = 0;
      if (k >= {stages}) $display("row %h", model_out);
    end
    $finish;
  end
endmodule
"""


@dataclass(frozen=True)
class Design:
    """A pipelined product with ports `clk`, `model_inp`, `model_out`.

    Parameters
    ----------
    stages : combinational stages, each between two registers
    verilog : texts of all modules
    results : (width, signed, left shift) of each row in `model_out`, the first lowest
    """

    tool: str
    stages: int
    top: str
    verilog: tuple[str, ...]
    results: tuple[tuple[int, bool, int], ...]


@dataclass
class Row:
    """One design."""

    matrix: str
    tool: str
    stages: int
    lut4: int
    ccu2c: int
    ff: int
    mhz: float
    slowest_mhz: float
    fastest_mhz: float


def matrices(quick: bool) -> Iterator[tuple[str, np.ndarray]]:
    """Yield some of `adder_graphs.py`, and the last layer of the MLP 16-64-32-32-5."""
    yield "16x16 4 bit", random_matrix(16, 16, -8, 7)
    if not quick:
        yield "5x32 6 bit", random_matrix(5, 32, -32, 31)
        yield "16x16 8 bit", random_matrix(16, 16, -128, 127)


class FreeRunning(Elaboratable):
    """A graph between registers, loaded in every cycle."""

    def __init__(self, graph: AdderGraph, stages: Stages) -> None:
        self.graph, self.stages = graph, stages
        self.rows = [_row_interval(graph, k) for k in range(len(graph.outputs))]
        self.model_inp = Signal(sum(codes.width for codes in graph.inputs))
        self.model_out = Signal(sum(codes.width for codes in self.rows))

    def elaborate(self, platform: object) -> Module:
        """Input registers, graph, output registers."""
        m = Module()
        x, place = [], 0
        for k, codes in enumerate(self.graph.inputs):
            x.append(Signal(code_shape(codes), name=f"x{k}", reset_less=True))
            m.d.sync += x[-1].eq(self.model_inp[place : place + codes.width])
            place += codes.width
        rows = build_graph(m, self.graph, x, Const(1), "sum", self.stages)
        results = []
        for k, (row, codes) in enumerate(zip(rows, self.rows, strict=True)):
            results.append(Signal(codes.width, name=f"y{k}", reset_less=True))
            m.d.sync += results[-1].eq(widen(row, codes.width))
        m.d.comb += self.model_out.eq(Cat(*results))
        return m


def _row_interval(graph: AdderGraph, row: int) -> CodeType:
    weights = graph.matrix()[row]
    low = sum(min(w * c.lo, w * c.hi) for w, c in zip(weights, graph.inputs, strict=True))
    high = sum(max(w * c.lo, w * c.hi) for w, c in zip(weights, graph.inputs, strict=True))
    return CodeType(int(low), int(high))


def hwgen_designs(matrix: np.ndarray, most: int, effort: float) -> list[Design]:
    """Return the product in so many stages, and in one for each adder where these are fewer."""
    inputs = (BYTE,) * matrix.shape[1]
    graph = cached_solve(matrix, inputs, SolveOptions(minimum_depth(matrix), effort))
    return [hwgen_design(graph, stages) for stages in sorted({min(most, graph.depth()), most})]


def hwgen_design(graph: AdderGraph, stages: int) -> Design:
    """Return a graph with its registers placed for the shortest period."""
    latency = stages - 1
    placed = place_registers(graph, ECP5, shortest_period_ps(graph, ECP5, latency), latency)
    unit = FreeRunning(graph, placed)
    ports = {name: (getattr(unit, name), None) for name in ("model_inp", "model_out")}
    text = rtlil.convert(unit, name="unit", ports=ports, emit_src=False)
    verilog = tuple(module.text for module in verilog_modules(text, "_".join))
    results = tuple((codes.width, codes.signed, 0) for codes in unit.rows)
    return Design("hwgen", stages, "unit", verilog, results)


def da4ml_design(matrix: np.ndarray, adders_a_stage: int) -> Design:
    """Return da4ml's pipeline; its latency counts adders."""
    from da4ml.codegen.rtl.rtl_model import VerilogModel
    from da4ml.trace import FixedVariableArrayInput, HWConfig, comb_trace

    x = FixedVariableArrayInput(matrix.shape[1], HWConfig(1, -1, -1)).quantize(1, 7, 0)
    logic = comb_trace(x, x @ matrix.T.astype(np.float32))
    with tempfile.TemporaryDirectory() as folder:
        model = VerilogModel(logic, "da4ml", folder, latency_cutoff=adders_a_stage)
        model.write()
        verilog = _sources(Path(folder))
        stages = len(model._pipe.solutions)
        kif = np.asarray(model._pipe.solutions[-1].out_kifs)
    return Design("da4ml", stages, "da4ml", verilog, _results(kif))


def alkaid_design(matrix: np.ndarray, stages: int, fused: bool) -> Design:
    """Return alkaid's pipeline of so many stages, with three-operand adders or without."""
    from alkaid.codegen import RTLModel
    from alkaid.trace import FVArrayInput, HWConfig, trace

    x = FVArrayInput(matrix.shape[1], hwconf=HWConfig(1, -1, -1)).quantize(1, 7, 0)
    logic = trace(x, x @ matrix.T.astype(np.float32))
    with tempfile.TemporaryDirectory() as folder:
        model = RTLModel(logic, folder, "alkaid", n_stages=stages, ternary_fuse=fused)
        model.write()
        verilog = _sources(Path(folder))
    tool = "alkaid, three operands" if fused else "alkaid"
    return Design(tool, stages, "alkaid", verilog, _results(np.asarray(logic.out_kifs)))


def _sources(project: Path) -> tuple[str, ...]:
    files = sorted(p for p in project.glob("src/**/*.v") if not p.stem.endswith("_wrapper"))
    return tuple(file.read_text(encoding="utf-8") for file in files)


def _results(kif: np.ndarray) -> tuple[tuple[int, bool, int], ...]:
    """Return widths from rows of sign bits, integer bits and fraction bits."""
    return tuple((int(k + i + f), bool(k), -int(f)) for k, i, f in kif.T)


def check(design: Design, matrix: np.ndarray) -> None:
    """Simulate random and extreme inputs in Verilator; every row equals the matrix's."""
    rng = np.random.default_rng(0)
    x = rng.integers(BYTE.lo, BYTE.hi + 1, (SAMPLES, matrix.shape[1]))
    x[0], x[1] = BYTE.lo, BYTE.hi
    outputs = sum(width for width, _, _ in design.results)
    bench = BENCH.format(
        inputs=8 * matrix.shape[1],
        outputs=outputs,
        last=SAMPLES - 1,
        stages=design.stages,
        top=design.top,
    )
    words = [bytes(int(code) & 0xFF for code in row[::-1]).hex() for row in x]
    found = [_unpacked(int(word, 16), design) for word in _simulate(design, bench, words)]
    if not np.array_equal(np.array(found), x @ matrix.T):
        raise SystemExit(f"{design.tool}, {design.stages} stages: differs from the matrix")


def _simulate(design: Design, bench: str, words: Sequence[str]) -> list[str]:
    with tempfile.TemporaryDirectory() as folder:
        work = Path(folder)
        for k, text in enumerate((*design.verilog, bench)):
            (work / f"{k}.v").write_text(text, encoding="utf-8")
        (work / "samples.hex").write_text("\n".join(words), encoding="utf-8")
        options = ["--binary", "--timing", "-O1", "-Wno-fatal", "-Wno-lint", "--top", "bench"]
        files = [f"{k}.v" for k in range(len(design.verilog) + 1)]
        run = {"cwd": work, "capture_output": True, "text": True, "check": False}
        built = subprocess.run(["verilator", *options, *files], env=verilator_environment(), **run)
        if built.returncode:
            raise SystemExit(f"{design.tool}: verilator: {built.stderr[-2000:]}")
        done = subprocess.run([str(work / "obj_dir" / "Vbench")], **run)
    return [line.split()[1] for line in done.stdout.splitlines() if line.startswith("row ")]


def _unpacked(word: int, design: Design) -> list[int]:
    values = []
    for width, signed, shift in design.results:
        code = word & ((1 << width) - 1)
        word >>= width
        if signed and code >> (width - 1):
            code -= 1 << width
        values.append(code << shift if shift >= 0 else code >> -shift)
    return values


def compare(
    name: str, matrix: np.ndarray, effort: float, seeds: Sequence[int], fused: bool
) -> list[Row]:
    """Return the peers' designs and hwgen's at the same stages or fewer."""
    rows = []
    for adders_a_stage in (1, 2):
        with contextlib.redirect_stdout(io.StringIO()):
            first = da4ml_design(matrix, adders_a_stage)
            ways = (False, True) if fused else (False,)
            peers = [first, *(alkaid_design(matrix, first.stages, way) for way in ways)]
        for design in (*peers, *hwgen_designs(matrix, first.stages, effort)):
            check(design, matrix)
            placed = place(design.verilog, design.top, seeds, "ecp5")
            clocks = (placed.median_mhz, min(placed.mhz), max(placed.mhz))
            cells = (placed.lut, placed.carry, placed.ff)
            rows.append(Row(name, design.tool, design.stages, *cells, *clocks))
            print(*asdict(rows[-1]).values(), sep=" | ", flush=True)
    return rows


def main() -> None:
    """Run the comparison."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="one matrix of 16x16")
    parser.add_argument("--effort", type=float, default=5.0, help="seconds of search a matrix")
    parser.add_argument("--seeds", type=int, default=3, help="placements a design")
    parser.add_argument("--fused", action="store_true", help="also alkaid's three-operand adders")
    parser.add_argument("--matrix", type=Path, action="append", default=[], help="[O, I] integers")
    parser.add_argument("--json", action="store_true")
    arguments = parser.parse_args()
    given = [(path.stem, np.load(path).astype(np.int64)) for path in arguments.matrix]
    everything: list[Row] = []
    for name, matrix in given or matrices(arguments.quick):
        seeds = range(1, arguments.seeds + 1)
        everything += compare(name, matrix, arguments.effort, seeds, arguments.fused)
    if arguments.json:
        print(json.dumps([asdict(row) for row in everything]))


if __name__ == "__main__":
    main()
