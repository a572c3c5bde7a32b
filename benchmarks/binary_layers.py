"""Unrolled binary layers side by side: hwgen, da4ml, alkaid and popcounts written out naively.

    pip install -e '.[fast,bench,peers]'
    python benchmarks/binary_layers.py [--size ROWSxCOLUMNS]... [--tool NAME]... [--json]
                                       [--family xcup|ecp5|ice40] [--plan FAMILY]

Weights and inputs are -1 and +1, seeded. Every tool gives the same layer twice: its sums, and the
signs of its sums against a threshold a row. The peers and the naive popcounts get the easier task:
bits 0 and 1 come in, and they need not double a sum or take its constant off. Their Verilog is
their own, combinational; hwgen's has its registers and handshakes. Each design is run in Verilator
on random and corner vectors, every row compared, and synthesized by yosys, for xcup (ultra96) or
a family of LUTs with four inputs. hwgen plans for the same family, or for the one that is named.
"""

from __future__ import annotations

import argparse
import json
import re
import subprocess
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from importlib import import_module
from pathlib import Path

import numpy as np
from amaranth.back import rtlil
from lattice import FAMILIES, cells, logic_cells, registers

from hwgen.adders import FABRICS, AdderTarget
from hwgen.board import load_board
from hwgen.build.rtlil_to_verilog import verilog_modules
from hwgen.build.synthesis_attributes import with_attributes
from hwgen.build.synthesize import synthesize
from hwgen.ir import Codes, TensorType
from hwgen.numeric import CodeType
from hwgen.ops.matvec import Kernel, MatVec
from hwgen.ops.matvec_threshold import MatVecThreshold
from hwgen.verify.verilator import verilator_environment

SEED = 0
SIZES = ("32x64", "32x256")
VECTORS = 200
# How a peer names its array of inputs, and what turns arithmetic on it into logic.
PEERS = {"da4ml": ("FixedVariableArrayInput", "comb_trace"), "alkaid": ("FVArrayInput", "trace")}
SETTLED_CYCLES = 40  # longer than any latency here

HARNESS = r"""
#include "Vbench.h"
#include <cstdio>
static Vbench* bench;
static void tick() { bench->clk = 0; bench->eval(); bench->clk = 1; bench->eval(); }
int main() {
  bench = new Vbench;
  bench->rst = 1; tick(); tick(); bench->rst = 0;
  unsigned word;
  for (int vector = 0; vector < VECTORS; ++vector) {
    bench->write = 1;
    for (int k = 0; k < IN_WORDS; ++k) {
      if (scanf("%x", &word) != 1) return 1;
      bench->index = k; bench->word = word; tick();
    }
    bench->write = 0;
    for (int k = 0; k < SETTLED; ++k) tick();
    for (int k = 0; k < OUT_WORDS; ++k) {
      bench->index = k; bench->eval(); printf("%x ", bench->found);
    }
    printf("\n");
  }
}
"""


@dataclass(frozen=True)
class Design:
    """A layer as Verilog.

    Parameters
    ----------
    files : of all its modules
    top : module with input `x`, a bit an input, and output `y`, the rows side by side
    width : bits of a row
    clocked : whether it has `clk`, `rst` and ready/valid streams around x and y
    signed : whether a row's bits are a signed number
    expected : what a row should give, for int64 [vectors, rows] sums of -1 and +1
    """

    files: tuple[Path, ...]
    top: str
    width: int
    clocked: bool
    signed: bool
    expected: Callable[[Codes], Codes]


@dataclass
class Row:
    """One tool on one layer."""

    layer: str
    tool: str
    gives: str
    lut: float
    ff: float
    equal: bool
    seconds: float


def expression_of(row: Sequence[int], width: int) -> str:
    """Return the sum of the matches of a row, each a bit."""
    terms = (f"{{{width - 1}'b0, {'' if w > 0 else '~'}x[{k}]}}" for k, w in enumerate(row))
    return " + ".join(terms)


def naive(weights: Codes, thresholds: Codes | None, folder: Path) -> Design:
    """Write a popcount a row."""
    rows, columns = weights.shape
    width = columns.bit_length()
    lines = [
        f"wire [{width - 1}:0] sum{r} = {expression_of(w, width)};"
        for r, w in enumerate(weights.tolist())
    ]
    needed = None if thresholds is None else (thresholds + columns + 1) >> 1
    return written(
        "naive",
        lines,
        [(width, False)] * rows,
        needed,
        columns,
        folder,
        lambda sums: (sums + columns) >> 1,
    )


def extended(name: str, bits: int, signed: bool, width: int) -> str:
    """Return a wire of `bits` bits in `width` bits."""
    fill = f"{name}[{bits - 1}]" if signed else "1'b0"
    return f"{{{{{width - bits}{{{fill}}}}}, {name}}}" if width > bits else name


def literal(value: int) -> str:
    """Return a signed number of 32 bits."""
    return f"{'-' if value < 0 else ''}32'sd{abs(value)}"


def written(
    top: str,
    lines: list[str],
    kinds: list[tuple[int, bool]],
    needed: Codes | None,
    columns: int,
    folder: Path,
    meaning: Callable[[Codes], Codes],
    modules: tuple[Path, ...] = (),
) -> Design:
    """Write the top module around wires sum0, sum1, ...: sums of one width, or their comparison.

    Parameters
    ----------
    lines : that make the wires
    kinds : width and sign of each wire
    needed : what each is compared with
    meaning : the number on the wires, for sums of -1 and +1
    """
    width = 1
    if needed is None:
        width = max(bits + (not signed) for bits, signed in kinds)
        results = [extended(f"sum{r}", *kind, width) for r, kind in enumerate(kinds)]
    else:
        results = [
            f"$signed({extended(f'sum{r}', *kind, kind[0] + 1)}) >= {literal(value)}"
            for r, (kind, value) in enumerate(zip(kinds, needed.tolist(), strict=True))
        ]
    text = f"module {top}(input [{columns - 1}:0] x, output [{width * len(kinds) - 1}:0] y);\n"
    text += "".join(f"  {line}\n" for line in lines)
    text += "".join(
        f"  assign y[{r * width} +: {width}] = {result};\n" for r, result in enumerate(results)
    )
    path = folder / f"{top}.v"
    path.write_text(text + "endmodule\n", encoding="utf-8")

    def expected(sums: Codes) -> Codes:
        return meaning(sums) if needed is None else (meaning(sums) >= needed).astype(np.int64)

    return Design((path, *modules), top, width, False, needed is None, expected)


def peer(tool: str) -> Callable[[Codes, Codes | None, Path], Design]:
    """Return what writes a layer with `tool`, da4ml or alkaid, in its default settings."""

    def write(weights: Codes, thresholds: Codes | None, folder: Path) -> Design:
        columns = weights.shape[1]
        trace = import_module(f"{tool}.trace")
        verilog = import_module(f"{tool}.codegen.rtl.verilog.comb")
        array, solve = PEERS[tool]
        x = getattr(trace, array)(columns).quantize(0, 1, 0)
        logic = getattr(trace, solve)(x, x @ weights.T.astype(np.float32))
        module = folder / f"{tool}_logic.v"
        text = verilog.comb_logic_gen(logic, f"{tool}_logic")
        if tool == "alkaid":  # which makes tables of functions of a few bits
            tables = import_module("alkaid.codegen.rtl.verilog.lookup")
            text += tables.lookup_source([logic]) or ""
        module.write_text(text, encoding="utf-8")
        # Sign, integer and fraction bits of every output.
        shapes = np.asarray(logic.out_kifs, dtype=np.int64)
        lines = [
            f"wire [{shapes.sum() - 1}:0] out;",
            f"{tool}_logic logic_of_{tool}(.model_inp(x), .model_out(out));",
        ]
        kinds = [(int(shape.sum()), bool(shape[0])) for shape in shapes.T]
        begin = 0
        for r, (bits, _) in enumerate(kinds):
            lines.append(f"wire [{bits - 1}:0] sum{r} = out[{begin} +: {bits}];")
            begin += bits
        ones = weights.sum(axis=1)
        # Of bits 0 and 1 the sum is half of that of -1 and +1 and of all the weights.
        needed = None if thresholds is None else (thresholds + ones + 1) >> 1
        # Only those in use: one that is not names a memory file that is not there.
        all_sources = sorted((Path(verilog.__file__).parent / "source").glob("*.v"))
        sources = [source for source in all_sources if re.search(rf"\b{source.stem}\b", text)]
        return written(
            tool,
            lines,
            kinds,
            needed,
            columns,
            folder,
            lambda sums: (sums + ones) >> 1,
            (module, *sources),
        )

    return write


def hwgen(weights: Codes, thresholds: Codes | None, folder: Path, target: AdderTarget) -> Design:
    """Write hwgen's operator: what a build makes of the layer."""
    op = MatVec(weights, *weights.shape, Kernel.XNOR, target=target)
    if thresholds is not None:
        op = MatVecThreshold(weights, *weights.shape, Kernel.XNOR, 1, target, thresholds)
    x = TensorType((weights.shape[1],), CodeType.binary())
    unit, codes = op.hardware(x), op.infer(x).codes
    ports = {
        "x": unit.i.payload.as_value(),
        "i_valid": unit.i.valid,
        "i_ready": unit.i.ready,
        "y": unit.o.payload.as_value(),
        "o_valid": unit.o.valid,
        "o_ready": unit.o.ready,
    }
    text = rtlil.convert(
        unit, name="hwgen", ports={k: (v, None) for k, v in ports.items()}, emit_src=False
    )
    (module,) = verilog_modules(text, lambda path: "hwgen")
    path = folder / "hwgen.v"
    path.write_text(with_attributes(module.text, uses_dsp=False), encoding="utf-8")

    def expected(sums: Codes) -> Codes:
        return sums if thresholds is None else (sums >= thresholds).astype(np.int64)

    return Design((path,), "hwgen", codes.width, True, codes.signed, expected)


def tools(plan: str) -> dict[str, Callable[[Codes, Codes | None, Path], Design]]:
    """Return what writes a layer, by tool; hwgen plans for the family `plan`."""
    own = partial(hwgen, target=AdderTarget(family=plan))
    return {"hwgen": own, "alkaid": peer("alkaid"), "da4ml": peer("da4ml"), "naive": naive}


TOOLS = tuple(tools("xcup"))


def bench_text(design: Design, rows: int, columns: int) -> str:
    """Return a module through which x is written and y is read, 32 bits at a time."""
    words, bits = -(-columns // 32), rows * design.width
    streams = ".clk(clk), .rst(rst), .i_valid(1'b1), .i_ready(), .o_valid(), .o_ready(1'b1), "
    return f"""module bench(input clk, input rst, input write, input [7:0] index, input [31:0] word,
             output [31:0] found);
  reg [{32 * words - 1}:0] x;
  wire [{bits - 1}:0] y;
  wire [{32 * -(-bits // 32) - 1}:0] padded = {{{{{32 * -(-bits // 32) - bits + 1}{{1'b0}}}}, y}};
  always @(posedge clk) if (write) x[index * 32 +: 32] <= word;
  assign found = padded[index * 32 +: 32];
  {design.top} dut({streams if design.clocked else ""}.x(x[{columns - 1}:0]), .y(y));
endmodule
"""


def vectors(weights: Codes) -> Codes:
    """Return all -1, all +1, each row and its opposite, then random inputs."""
    columns = weights.shape[1]
    rng = np.random.default_rng(SEED + 1)
    corners = np.concatenate(
        [-np.ones((1, columns), np.int64), np.ones((1, columns), np.int64), weights, -weights]
    )[:VECTORS]
    return np.concatenate([corners, rng.choice([-1, 1], (VECTORS - len(corners), columns))])


def is_equal(design: Design, weights: Codes, folder: Path) -> bool:
    """Whether the design gives every row of every vector, in Verilator."""
    rows, columns = weights.shape
    x = vectors(weights)
    in_words, out_words = -(-columns // 32), -(-rows * design.width // 32)
    constants = {
        "VECTORS": VECTORS,
        "IN_WORDS": in_words,
        "OUT_WORDS": out_words,
        "SETTLED": SETTLED_CYCLES,
    }
    defines = "".join(f"#define {name} {value}\n" for name, value in constants.items())
    (folder / "main.cpp").write_text(defines + HARNESS, encoding="utf-8")
    (folder / "bench.v").write_text(bench_text(design, rows, columns), encoding="utf-8")
    # Optimized, Verilator 5.48 gets a sum of bits wrong that is compared with a constant.
    options = "--cc --exe --build -O0 -CFLAGS -O0 -Wno-fatal -Wno-lint --Mdir obj --top bench"
    command = ["verilator", *options.split(), "bench.v", "main.cpp", *map(str, design.files)]
    subprocess.run(
        command, cwd=folder, env=verilator_environment(), check=True, capture_output=True
    )
    bits = [sum(int(v > 0) << k for k, v in enumerate(vector)) for vector in x.tolist()]
    feed = "\n".join(
        f"{(value >> 32 * k) & 0xFFFFFFFF:x}" for value in bits for k in range(in_words)
    )
    run = subprocess.run(
        [str(folder / "obj" / "Vbench")], input=feed, capture_output=True, text=True, check=True
    )
    mask, found = (1 << design.width) - 1, []
    for line in run.stdout.splitlines():
        whole = sum(int(word, 16) << 32 * k for k, word in enumerate(line.split()))
        words = [whole >> (r * design.width) & mask for r in range(rows)]
        sign = 1 << (design.width - 1)
        found.append([(w ^ sign) - sign if design.signed else w for w in words])
    return np.array_equal(np.array(found), design.expected(x @ weights.T))


def resources(design: Design, family: str, folder: Path) -> tuple[float, float]:
    """Return LUTs and flip-flops by yosys."""
    if family == "xcup":
        report = synthesize(design.files, design.top, load_board("ultra96"), folder / "synth")
        return report.resources.lut, report.resources.ff
    texts = [file.read_text(encoding="utf-8") for file in design.files]
    counts = cells(texts, design.top, family)
    return logic_cells(counts), registers(counts)


def measure(
    layer: str, tool: str, weights: Codes, thresholds: Codes | None, family: str, plan: str
) -> Row:
    """Write, run and synthesize one design."""
    with tempfile.TemporaryDirectory() as name:
        folder, begin = Path(name), time.perf_counter()
        design = tools(plan)[tool](weights, thresholds, folder)
        seconds = time.perf_counter() - begin
        equal = is_equal(design, weights, folder)
        lut, ff = resources(design, family, folder)
    gives = "sums" if thresholds is None else "signs"
    return Row(layer, tool, gives, lut, ff, equal, round(seconds, 1))


def main() -> None:
    """Print a row for each design."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument(
        "--size", action="append", help="rows x columns, 32x64 and 32x256 by default"
    )
    parser.add_argument("--tool", choices=TOOLS, action="append", help="all by default")
    parser.add_argument("--family", choices=("xcup", *FAMILIES), default="xcup")
    parser.add_argument("--plan", choices=FABRICS, help="family that hwgen plans for")
    parser.add_argument("--json", action="store_true", help="print the rows as JSON")
    arguments = parser.parse_args()
    device = arguments.family, arguments.plan or arguments.family
    found = []
    for size in arguments.size or SIZES:
        rows, columns = map(int, size.split("x"))
        rng = np.random.default_rng(SEED)
        weights = rng.choice([-1, 1], (rows, columns))
        thresholds = rng.integers(-8, 9, rows)
        for tool in arguments.tool or TOOLS:
            for cuts in (None, thresholds):
                found.append(measure(size, tool, weights, cuts, *device))
                if not arguments.json:
                    print("  ".join(f"{k} {v}" for k, v in asdict(found[-1]).items()), flush=True)
    if arguments.json:
        print(json.dumps([asdict(row) for row in found], indent=2))


if __name__ == "__main__":
    main()
