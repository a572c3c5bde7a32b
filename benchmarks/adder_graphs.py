"""Adder graphs side by side: hwgen, da4ml and alkaid on the same constant matrices.

    pip install -e '.[fast,bench]'
    python benchmarks/adder_graphs.py [--quick] [--effort SECONDS] [--matrix FILE.npy]...
                                      [--synth] [--json]

Every tool's graph is read back into hwgen's `AdderGraph`, proved equal to the matrix through the
linear form of each output, and costed by the same rule (`Adder.bits`: the real width of each
adder, from exact intervals, without the bits that are wires). `own` is what the peer itself
reports. A peer runs with its defaults and with the other pattern score; the best of these runs
is the one to beat, and hwgen may be no deeper than it. Inputs are signed 8-bit.
"""

from __future__ import annotations

import argparse
import json
import resource
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
from amaranth.back import rtlil

from hwgen.adders import (
    Adder,
    AdderGraph,
    Output,
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
from hwgen.rtl.stream.pipeline import Pipeline

BYTE = CodeType(-128, 127)
SEED = 0
SCORES = ("wmc", "mc")  # the peers' default first


@dataclass
class Row:
    """One tool on one matrix."""

    matrix: str
    tool: str
    adders: int
    bits: int
    own: float | None
    depth: int
    seconds: float
    lut: float | None = None
    ff: float | None = None


def random_matrix(rows: int, columns: int, low: int, high: int) -> np.ndarray:
    """Return uniform integers low..high from a generator of its own."""
    return np.random.default_rng(SEED).integers(low, high + 1, (rows, columns))


def matrices(quick: bool) -> Iterator[tuple[str, np.ndarray]]:
    """Yield the standard set."""
    for size in (16,) if quick else (16, 32, 64):
        for bits in (4, 6, 8):
            half = 1 << (bits - 1)
            yield f"{size}x{size} {bits} bit", random_matrix(size, size, -half, half - 1)
    if not quick:
        yield "64x64 ternary", random_matrix(64, 64, -1, 1)


def da4ml_stages(matrix: np.ndarray, score: str) -> tuple[list[dict], float]:
    """Return da4ml's operations as (operand, operand, opcode, data), and the cost it reports."""
    from da4ml.cmvm import solve as solve_da4ml

    kernel = np.ascontiguousarray(matrix.T, dtype=np.float32)
    intervals = [(float(BYTE.lo), float(BYTE.hi), 1.0)] * matrix.shape[1]
    found = solve_da4ml(kernel, method0=score, qintervals=intervals, adder_size=1, carry_size=-1)
    stages = [
        stage_of(stage, [(op.id0, op.id1, op.opcode, op.data) for op in stage.ops])
        for stage in found.solutions
    ]
    return stages, float(found.cost)


def alkaid_stages(matrix: np.ndarray, score: str) -> tuple[list[dict], float]:
    """Likewise for alkaid."""
    from alkaid.cmvm import cmvm_solve

    kernel = np.ascontiguousarray(matrix.T, dtype=np.float32)
    intervals = [(float(BYTE.lo), float(BYTE.hi), 1.0)] * matrix.shape[1]
    found = cmvm_solve(kernel, method0=score, qintervals=intervals)
    stages = [
        stage_of(
            stage,
            [(*(op.addr or (op.data[0], -1)), op.opcode, op.data[0]) for op in stage.ops],
        )
        for stage in found
    ]
    return stages, float(sum(op.cost for stage in found for op in stage.ops))


def stage_of(stage: object, ops: list[tuple]) -> dict:
    """Return one stage of a peer's solution; both peers use these names."""
    names = ("inp_shifts", "out_idxs", "out_shifts", "out_negs")
    return {"ops": ops, **{name: list(getattr(stage, name)) for name in names}}


def graph_of(stages: list[dict], matrix: np.ndarray) -> AdderGraph:
    """Translate a peer's solution; a value is (node, shift, sign)."""
    inputs = matrix.shape[1]
    adders: list[Adder] = []
    values = [(k, 0, False) for k in range(inputs)]
    for stage in stages:
        buffer: list[tuple[int, int, bool]] = []
        for first, second, opcode, data in stage["ops"]:
            if opcode == -1:
                node, shift, negative = values[first]
                buffer.append((node, shift + int(stage["inp_shifts"][first]), negative))
                continue
            if opcode not in (0, 1):
                raise SystemExit(f"operation {opcode} is neither an addition nor a subtraction")
            low, high = buffer[first], buffer[second]
            high = (high[0], high[1] + int(data), high[2] ^ (opcode == 1))
            if low[1] > high[1] or (low[1] == high[1] and low[2] and not high[2]):
                low, high = high, low
            both = low[2] and high[2]
            signs = (low[2] and not both, high[2] and not both)
            adders.append(Adder(low[0], high[0], high[1] - low[1], *signs))
            buffer.append((inputs + len(adders) - 1, low[1], both))
        ends = zip(stage["out_idxs"], stage["out_shifts"], stage["out_negs"], strict=True)
        values = [
            (-1, 0, False)
            if index < 0
            else (buffer[index][0], buffer[index][1] + int(s), buffer[index][2] ^ bool(n))
            for index, s, n in ends
        ]
    outputs = tuple(Output(None) if node < 0 else Output(node, s, n) for node, s, n in values)
    return AdderGraph((BYTE,) * inputs, tuple(adders), outputs)


def measure(
    name: str, tool: str, matrix: np.ndarray, make: Callable[[], tuple[AdderGraph, float | None]]
) -> tuple[Row, AdderGraph]:
    """Run a tool, prove its graph and cost it."""
    begin = time.perf_counter()
    graph, own = make()
    seconds = time.perf_counter() - begin
    graph.verify(matrix)
    counts = (len(graph.adders), graph.cost_bits(), own, graph.depth(), round(seconds, 2))
    return Row(name, tool, *counts), graph


def compare(name: str, matrix: np.ndarray, effort: float) -> list[tuple[Row, AdderGraph]]:
    """Return the peers' runs and hwgen's, at no more depth than the best of them."""
    found = []
    for tool, stages in (("da4ml", da4ml_stages), ("alkaid", alkaid_stages)):
        for score in SCORES:

            def make(
                stages: Callable = stages, score: str = score
            ) -> tuple[AdderGraph, float | None]:
                operations, own = stages(matrix, score)
                return graph_of(operations, matrix), own

            found.append(measure(name, f"{tool} {score}", matrix, make))
    best = min(found, key=lambda pair: pair[0].bits)[0]
    depth = max(best.depth, minimum_depth(matrix))
    inputs = (BYTE,) * matrix.shape[1]
    for seconds in (0.0, effort):
        options = SolveOptions(depth, seconds)
        run = measure(
            name, f"hwgen {seconds:g}", matrix, lambda o=options: (solve(matrix, inputs, o), None)
        )
        found.append(run)
    return found


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


def add_synthesis(row: Row, graph: AdderGraph) -> None:
    """Fill in LUTs and flip-flops of the pipelined form, yosys for xcup."""
    unit = Pipelined(graph)
    with tempfile.TemporaryDirectory() as folder:
        text = rtlil.convert(unit, name="unit", emit_src=False)
        modules = verilog_modules(text, "_".join)
        files = []
        for module in modules:
            files.append(Path(folder) / f"{module.name}.v")
            files[-1].write_text(with_attributes(module.text, False), encoding="utf-8")
        report = synthesize(files, "unit", load_board("ultra96"), Path(folder) / "work")
    row.lut, row.ff = report.resources.lut, report.resources.ff


def ratio(rows: Sequence[Row]) -> float:
    """Return hwgen's bits over the best peer's."""
    return rows[-1].bits / min(row.bits for row in rows[:-2])


def main() -> None:
    """Run the comparison."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="16x16 only, one second each")
    parser.add_argument("--effort", type=float, default=20.0, help="seconds of search a matrix")
    parser.add_argument("--matrix", type=Path, action="append", default=[], help="[O, I] integers")
    parser.add_argument("--synth", action="store_true", help="also LUTs and FFs from yosys, xcup")
    parser.add_argument("--json", action="store_true")
    arguments = parser.parse_args()
    given = [(path.stem, np.load(path).astype(np.int64)) for path in arguments.matrix]
    effort = min(arguments.effort, 1.0) if arguments.quick else arguments.effort
    solve(np.array([[3]]), (BYTE,), SolveOptions(effort=0.001))  # compile before the clock runs
    everything: list[Row] = []
    ratios = []
    for name, matrix in given or matrices(arguments.quick):
        found = compare(name, matrix, effort)
        if arguments.synth:
            for row, graph in found:
                add_synthesis(row, graph)
        rows = [row for row, _ in found]
        everything += rows
        ratios.append(ratio(rows))
        if not arguments.json:
            for row in rows:
                print(*asdict(row).values(), sep=" | ", flush=True)
            print(f"{name}: {ratios[-1]:.3f} of the best peer", flush=True)
    memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024
    if arguments.json:
        print(json.dumps({"rows": [asdict(row) for row in everything], "memory_mb": memory}))
    else:
        print(f"median {statistics.median(ratios):.3f}, worst {max(ratios):.3f}, {memory} MB")


if __name__ == "__main__":
    main()
