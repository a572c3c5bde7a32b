"""Adder graphs side by side: hwgen, da4ml and alkaid on the same constant matrices.

    pip install -e '.[fast,bench]'
    python benchmarks/adder_graphs.py [--quick] [--effort SECONDS] [--matrix FILE.npy]...
                                      [--only TEXT]... [--synth] [--json] [--plot FILE.svg]
    python benchmarks/adder_graphs.py --rows FILE.json... [--plot FILE.svg]

Every tool's graph is read back into hwgen's `AdderGraph`, proved equal to the matrix through the
linear form of each output, and costed by the same rule (`Adder.bits`: the real width of each
adder, from exact intervals, without the bits that are wires). `own` is what the peer itself
reports. A peer runs with its defaults and with the other pattern score; the best of these runs
is the one to beat, and hwgen may be no deeper than it. Inputs are signed 8-bit. With three
operands, alkaid's graphs went through the pass that its RTL writer runs by default.

`--synth` writes the pipelined form of the best runs, a register behind every adder, with the same
writer for every tool, simulates it against the matrix and has yosys count it for xcup and, two
operands, for ecp5, where a carry chain of two bits counts as the two LUT4 that it takes.
"""

from __future__ import annotations

import argparse
import json
import resource
import statistics
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
from adder_matrices import matrices, random_matrix
from adder_peers import BYTE, SCORES, alkaid, da4ml
from amaranth.back import rtlil
from amaranth.sim import Simulator
from lattice import cells, logic_cells, registers

from hwgen.adders import (
    AdderGraph,
    AdderTarget,
    SolveOptions,
    level_stages,
    minimum_depth,
    solve,
)
from hwgen.board import load_board
from hwgen.build.rtlil_to_verilog import verilog_modules
from hwgen.build.synthesis_attributes import with_attributes
from hwgen.build.synthesize import synthesize
from hwgen.numeric import CodeType
from hwgen.rtl.adder_graph import build_graph
from hwgen.rtl.adder_tree import widen
from hwgen.rtl.constant_matvec import ConstantMatVec
from hwgen.rtl.stream.pipeline import Pipeline

__all__ = ["BYTE", "Pipelined", "compare", "graphs_of", "random_matrix"]

# Three operands have the depth that a build gives them at 200 MHz.
XCUP = AdderTarget(three_operands=True, period_ps=3_500)
SAMPLES = 12  # vectors that a synthesized design is simulated with
Made = tuple[AdderGraph, float | None]


@dataclass
class Row:
    """One tool on one matrix; memory is the peak of the process until then."""

    matrix: str
    tool: str
    operands: int
    adders: int
    bits: int
    own: float | None
    depth: int
    seconds: float
    memory_mb: int
    lut: float | None = None
    ff: float | None = None
    ecp5_lut4: int | None = None
    ecp5_ff: int | None = None


def measure(
    name: str, tool: str, operands: int, matrix: np.ndarray, make: Callable[[], Made]
) -> tuple[Row, AdderGraph]:
    """Run a tool, prove its graph and cost it."""
    begin = time.perf_counter()
    graph, own = make()
    seconds = time.perf_counter() - begin
    graph.verify(matrix)
    memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024
    counts = (operands, len(graph.adders), graph.cost_bits(), own, graph.depth())
    return Row(name, tool, *counts, round(seconds, 2), memory), graph


def best_of(found: Sequence[tuple[Row, AdderGraph]], operands: int, of_hwgen: bool) -> Row:
    """Return the cheapest row of the peers, or of hwgen."""
    rows = [row for row, _ in found if row.operands == operands]
    return min((r for r in rows if ("hwgen" in r.tool) == of_hwgen), key=lambda r: r.bits)


def compare(name: str, matrix: np.ndarray, effort: float) -> list[tuple[Row, AdderGraph]]:
    """Return the peers' runs and hwgen's, with two operands at no more depth than the best."""
    found = []
    for score in SCORES:
        for tool, operands, make in (
            ("da4ml", 2, lambda s=score: da4ml(matrix, s)),
            ("alkaid", 2, lambda s=score: alkaid(matrix, s)),
            ("alkaid", 3, lambda s=score: alkaid(matrix, s, three_operands=True)),
        ):
            found.append(measure(name, f"{tool} {score}", operands, matrix, make))
    depth = max(best_of(found, 2, of_hwgen=False).depth, minimum_depth(matrix))
    inputs = (BYTE,) * matrix.shape[1]
    for operands, most in ((2, depth), (3, ConstantMatVec.levels_of(matrix, inputs, XCUP))):
        for seconds in (0.0, effort):
            options = SolveOptions(most, seconds, operands=operands)

            def make(options: SolveOptions = options) -> Made:
                return solve(matrix, inputs, options), None

            found.append(measure(name, f"hwgen {seconds:g}", operands, matrix, make))
    return found


def graphs_of(name: str, matrix: np.ndarray, effort: float) -> dict[tuple[str, int], AdderGraph]:
    """Return the graph of each tool and number of operands."""
    return {(row.tool, row.operands): graph for row, graph in compare(name, matrix, effort)}


class Pipelined(Pipeline):
    """A graph between streams, a register after every adder: the same writer for every tool."""

    def __init__(self, graph: AdderGraph) -> None:
        self.graph = graph
        self.depth = max(graph.depth(), 1)
        ends = [graph.intervals[o.node] for o in graph.outputs if o.node is not None]
        reach = max((max(-codes.lo, codes.hi) for codes in ends), default=1)
        shift = max(output.shift for output in graph.outputs)
        self.result = CodeType(-(reach << shift), reach << shift)
        super().__init__(BYTE, len(graph.inputs), self.result, len(graph.outputs))

    def datapath(self, m, lanes, advance, accept):
        """Return the rows after the last level."""
        stages = level_stages(self.graph, self.depth)
        rows = build_graph(m, self.graph, lanes, advance, "sum", stages)
        return [widen(row, self.result.width) for row in rows]


def simulate(unit: Pipelined, matrix: np.ndarray) -> None:
    """Compare the hardware with the matrix, sample by sample."""
    rng = np.random.default_rng(0)
    x = rng.integers(BYTE.lo, BYTE.hi + 1, (SAMPLES, matrix.shape[1]))
    x[0], x[1] = BYTE.lo, BYTE.hi
    bits, found = unit.i_codes.to_bits(x), []

    async def bench(ctx):
        ctx.set(unit.o.ready, 1)
        ctx.set(unit.i.valid, 1)
        for cycle in range(SAMPLES + unit.depth):
            if cycle >= unit.depth:
                found.append([int(ctx.get(lane)) for lane in unit.o.payload])
            for lane, word in enumerate(bits[min(cycle, SAMPLES - 1)]):
                ctx.set(unit.i.payload[lane], int(word))
            await ctx.tick()

    simulator = Simulator(unit)
    simulator.add_clock(1e-6)
    simulator.add_testbench(bench)
    simulator.run()
    if not np.array_equal(np.array(found), x @ matrix.T):
        raise SystemExit("the hardware does not compute the matrix")


def add_synthesis(row: Row, graph: AdderGraph, matrix: np.ndarray) -> None:
    """Fill in LUTs and flip-flops of the pipelined form, simulated before."""
    simulate(Pipelined(graph), matrix)
    text = rtlil.convert(Pipelined(graph), name="unit", emit_src=False)
    modules = [(m.name, with_attributes(m.text, False)) for m in verilog_modules(text, "_".join)]
    with tempfile.TemporaryDirectory() as folder:
        files = [Path(folder) / f"{name}.v" for name, _ in modules]
        for file, (_, verilog) in zip(files, modules, strict=True):
            file.write_text(verilog, encoding="utf-8")
        report = synthesize(files, "unit", load_board("ultra96"), Path(folder) / "work")
    row.lut, row.ff = report.resources.lut, report.resources.ff
    if row.operands == 2:
        counts = cells([verilog for _, verilog in modules], "unit", "ecp5")
        row.ecp5_lut4, row.ecp5_ff = logic_cells(counts), registers(counts)


def synthesize_best(found: Sequence[tuple[Row, AdderGraph]], matrix: np.ndarray) -> None:
    """Synthesize da4ml with its defaults, the best of the peers, and the best of hwgen."""
    chosen = [best_of(found, n, of_hwgen) for n in (2, 3) for of_hwgen in (False, True)]
    for row, graph in found:
        if row in chosen or row.tool == f"da4ml {SCORES[0]}":
            add_synthesis(row, graph, matrix)


@dataclass
class Ratios:
    """hwgen over its peers on one matrix, smaller is better.

    Parameters
    ----------
    two : bits with two operands, over the best peer's
    three : bits with three operands, over alkaid's by the same rule
    three_own : the same over what alkaid reports
    lut : of hwgen with three operands over da4ml's, pipelined, by yosys
    depth : whether hwgen's depth with two operands is no greater than the best peer's
    """

    matrix: str
    two: float
    three: float
    three_own: float
    lut: float | None
    depth: bool


def ratios_of(rows: Sequence[Row]) -> Ratios:
    """Return the ratios of one matrix."""
    found = [(row, None) for row in rows]
    two, three = (best_of(found, n, of_hwgen=True) for n in (2, 3))
    peer, fused = (best_of(found, n, of_hwgen=False) for n in (2, 3))
    own = min(row.own for row in rows if row.operands == 3 and row.own)
    theirs = next(row for row in rows if row.tool == f"da4ml {SCORES[0]}")
    lut = three.lut / theirs.lut if three.lut and theirs.lut else None
    return Ratios(
        two.matrix,
        two.bits / peer.bits,
        three.bits / fused.bits,
        three.bits / own,
        lut,
        two.depth <= peer.depth,
    )


def summary(ratios: Sequence[Ratios]) -> str:
    """Return medians and worst cases."""
    lines = []
    for name in ("two", "three", "three_own", "lut"):
        values = [getattr(r, name) for r in ratios if getattr(r, name) is not None]
        if values:
            lines.append(f"{name}: median {statistics.median(values):.3f}, worst {max(values):.3f}")
    deeper = [r.matrix for r in ratios if not r.depth]
    return "\n".join([*lines, f"deeper than the best peer: {', '.join(deeper) or 'none'}"])


def table(rows: Sequence[Row], ratios: Sequence[Ratios]) -> str:
    """Return the table of RESULTS.md."""
    head = (
        "matrix",
        "best peer, bits / depth",
        "hwgen",
        "ratio",
        "three operands: alkaid, bits / depth",
        "hwgen",
        "ratio",
        "LUT da4ml",
        "LUT hwgen, two / three operands",
        "ratio",
        "FF da4ml / hwgen, three",
        "solve s, two / three",
    )
    lines = [f"| {' | '.join(head)} |", "|---" * len(head) + "|"]
    for ratio in ratios:
        found = [(row, None) for row in rows if row.matrix == ratio.matrix]
        two, three = (best_of(found, n, of_hwgen=True) for n in (2, 3))
        peer, fused = (best_of(found, n, of_hwgen=False) for n in (2, 3))
        theirs = next(row for row, _ in found if row.tool == f"da4ml {SCORES[0]}")
        cells = [
            ratio.matrix,
            f"{peer.bits:,} / {peer.depth}",
            f"{two.bits:,} / {two.depth}",
            f"{ratio.two:.3f}",
            f"{fused.bits:,} / {fused.depth}",
            f"{three.bits:,} / {three.depth}",
            f"{ratio.three:.3f}",
            *(
                [
                    f"{theirs.lut:,.0f}",
                    f"{two.lut:,.0f} / {three.lut:,.0f}",
                    f"{ratio.lut:.3f}",
                    f"{theirs.ff:,.0f} / {three.ff:,.0f}",
                ]
                if ratio.lut
                else [""] * 4
            ),
            f"{two.seconds:.0f} / {three.seconds:.0f}",
        ]
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


COLOURS = {"two": "#1f77b4", "three": "#2ca02c", "lut": "#d62728"}
LABELS = {
    "two": "bits, two operands / best peer",
    "three": "bits, three operands / alkaid",
    "lut": "LUT, three operands / da4ml",
}


def plot(ratios: Sequence[Ratios]) -> str:
    """Return the ratios as an SVG picture, one line a matrix."""
    height = 60 + 18 * len(ratios)
    body = [f'<rect width="760" height="{height}" fill="white"/>']
    for twentieth in range(8, 23):
        x = _across(twentieth / 20)
        body.append(f'<path d="M{x:.0f} 40V{height - 10}" stroke="#ddd"/>')
        if twentieth % 2 == 0:
            label = f'<text x="{x:.0f}" y="34" text-anchor="middle">{twentieth / 20:.1f}</text>'
            body.append(label)
    for place, (name, colour) in enumerate(COLOURS.items()):
        body.append(f'<text x="{20 + 250 * place}" y="16" fill="{colour}">{LABELS[name]}</text>')
    for line, ratio in enumerate(ratios):
        y = 56 + 18 * line
        body.append(f'<text x="160" y="{y + 4}" text-anchor="end">{ratio.matrix}</text>')
        for name, colour in COLOURS.items():
            value = getattr(ratio, name)
            if value is not None:
                body.append(f'<circle cx="{_across(value):.1f}" cy="{y}" r="4" fill="{colour}"/>')
    style = 'font-family="sans-serif" font-size="11"'
    head = f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 760 {height}" {style}>'
    return "\n".join([head, *body, "</svg>\n"])


def _across(ratio: float) -> float:
    return 170 + (ratio - 0.4) * 800


def parsed() -> argparse.Namespace:
    """Return the command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="16x16 only, one second each")
    parser.add_argument("--effort", type=float, default=20.0, help="seconds of search a matrix")
    parser.add_argument("--matrix", type=Path, action="append", default=[], help="[O, I] integers")
    parser.add_argument(
        "--only", action="append", default=[], help="matrices with this in the name"
    )
    parser.add_argument("--synth", action="store_true", help="also LUTs and FFs from yosys")
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--rows", type=Path, nargs="+", default=[], help="of earlier runs, --json")
    parser.add_argument("--plot", type=Path, help="write an .svg of the ratios here")
    return parser.parse_args()


def run(arguments: argparse.Namespace) -> list[Row]:
    """Run the comparison; print each matrix as it is done."""
    given = [(path.stem, np.load(path).astype(np.int64)) for path in arguments.matrix]
    effort = min(arguments.effort, 1.0) if arguments.quick else arguments.effort
    for operands in (2, 3):  # compile before the clock runs
        solve(np.array([[3, 5]]), (BYTE,) * 2, SolveOptions(effort=0.001, operands=operands))
    rows = []
    for name, matrix in given or matrices(arguments.quick):
        if arguments.only and not any(text in name for text in arguments.only):
            continue
        found = compare(name, matrix, effort)
        if arguments.synth:
            synthesize_best(found, matrix)
        rows += [row for row, _ in found]
        if not arguments.json:
            for row, _ in found:
                print(*asdict(row).values(), sep=" | ", flush=True)
            print(ratios_of([row for row, _ in found]), flush=True)
    return rows


def main() -> None:
    """Run the comparison, or read the rows of earlier runs."""
    arguments = parsed()
    if arguments.rows:
        texts = [path.read_text(encoding="utf-8") for path in arguments.rows]
        rows = [Row(**row) for text in texts for row in json.loads(text)["rows"]]
    else:
        rows = run(arguments)
    names = dict.fromkeys(row.matrix for row in rows)
    ratios = [ratios_of([row for row in rows if row.matrix == name]) for name in names]
    if arguments.plot:
        arguments.plot.write_text(plot(ratios), encoding="utf-8")
    if arguments.json:
        print(json.dumps({"rows": [asdict(row) for row in rows]}))
    else:
        print(table(rows, ratios), summary(ratios), sep="\n\n")


if __name__ == "__main__":
    main()
