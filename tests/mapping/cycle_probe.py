"""Many networks in one Verilator build: codes, latency of a lone frame, interval of many.

Profiles of a run: a lone frame; full rate; random idles and stalls; those at first, then full rate.
"""

from __future__ import annotations

import subprocess
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from amaranth import Cat, Module, Signal
from amaranth.back import rtlil

from hwgen.build.rtlil_to_verilog import verilog_modules
from hwgen.ir import Graph
from hwgen.verify.verilator import verilator_environment
from tests.mapping.network import Network
from tests.ops.self_check import SelfCheck
from tests.ops.simulation import to_beats

HARNESS = r"""
#include "Vbench.h"
#include <cstdio>
// A run of one unit: print each cycle in which its first beat enters or a beat leaves.
static const long DISTURBED[] = {CYCLES};
int main() {
  VerilatedContext context;
  Vbench bench(&context);
  for (int unit = 0; unit < UNITS; ++unit)
    for (int profile = 0; profile < 4; ++profile) {
      bench.select = unit; bench.limited = profile == 0;
      bool entered = false;
      long moved = 0;
      for (long cycle = 0; cycle - moved < PATIENCE && (cycle < 9 || !bench.done); ++cycle) {
        bench.rst = cycle < 2;
        bench.idle = bench.stall = profile == 2 || (profile == 3 && cycle < DISTURBED[unit]);
        bench.clk = 0; bench.eval();
        if (cycle >= 2 && (bench.given || (bench.taken && !entered))) {
          printf("%d %d %d %ld\n", unit, profile, int(bench.given), cycle);
          moved = cycle;
        }
        entered = entered || (cycle >= 2 && bench.taken);
        bench.clk = 1; bench.eval();
      }
      printf("%d %d %d %d\n", unit, profile, 2, int(bench.done && !bench.wrong));
    }
}
"""


@dataclass
class Measured:
    """What the simulation of one network showed."""

    latency: int
    intervals: list[int]
    intervals_after_stalls: list[int]
    equal: bool
    equal_under_stalls: bool


def probe(graph: Graph, codes: np.ndarray) -> SelfCheck:
    """The network of `graph` with frames of `codes` and what must come out."""
    network, out = Network(graph), graph.types[graph.outputs[0]]
    beats = to_beats(codes, network.i_codes, network.i_lanes)
    expected = to_beats(graph.evaluate(codes), out.codes, network.o_lanes)
    return SelfCheck(network, [beats], expected, 7, limit=len(beats) // len(codes))


def measure(
    graphs: list[Graph],
    frames: list[np.ndarray],
    patience: int,
    folder: Path,
    disturbed: list[int],
) -> list[Measured]:
    """Simulate every graph on its frames until nothing moves for `patience` cycles.

    `disturbed` says for how many cycles the last profile idles and stalls at random.
    """
    units = [probe(graph, codes) for graph, codes in zip(graphs, frames, strict=True)]
    _compile(units, patience, folder, disturbed)
    lines = subprocess.run(
        [folder / "obj_dir" / "Vbench"], check=True, capture_output=True, text=True
    ).stdout.splitlines()
    rows = np.array([[int(word) for word in line.split()] for line in lines])
    return [
        _measured(rows[rows[:, 0] == k], len(unit.expected) // len(codes))
        for k, (unit, codes) in enumerate(zip(units, frames, strict=True))
    ]


def _measured(rows: np.ndarray, per_frame: int) -> Measured:
    entered, given, verdict = (rows[rows[:, 2] == kind] for kind in (0, 1, 2))
    alone = given[given[:, 1] == 0][:, 3]
    many, recovered = (
        given[given[:, 1] == profile][:, 3][per_frame - 1 :: per_frame] for profile in (1, 3)
    )
    return Measured(
        latency=int(alone[per_frame - 1] - entered[0, 3]) if len(alone) >= per_frame else -1,
        intervals=np.diff(many).tolist(),
        intervals_after_stalls=np.diff(recovered).tolist(),
        equal=bool(verdict[1, 3]),
        equal_under_stalls=bool(verdict[2, 3] and verdict[3, 3]),
    )


def _compile(units: list[SelfCheck], patience: int, folder: Path, disturbed: list[int]) -> None:
    m = Module()
    controls = {name: Signal(name=name) for name in ("idle", "stall", "limited")}
    watched = {name: Signal(name=name) for name in ("taken", "given", "done", "wrong")}
    select = Signal(range(max(len(units), 2)), name="select")
    for k, unit in enumerate(units):
        m.submodules[f"unit{k}"] = unit
        m.d.comb += [getattr(unit, name).eq(signal) for name, signal in controls.items()]
    for name, signal in watched.items():
        m.d.comb += signal.eq(Cat(getattr(unit, name) for unit in units).bit_select(select, 1))
    ports = {**controls, **watched, "select": select}
    text = rtlil.convert(
        m, name="bench", ports={n: (s, None) for n, s in ports.items()}, emit_src=False
    )
    modules = verilog_modules(text, lambda path: "_".join(path))
    (folder / "bench.v").write_text("\n".join(module.text for module in modules))
    harness = HARNESS.replace("UNITS", str(len(units))).replace("PATIENCE", str(patience))
    harness = harness.replace("CYCLES", ", ".join(map(str, disturbed)))
    (folder / "main.cpp").write_text(harness)
    # The C++ compiler takes longer than the simulation, whatever it optimises.
    flags = "--cc --exe --build -j 2 -Wno-fatal -Wno-lint -MAKEFLAGS OPT_FAST=-O0".split()
    subprocess.run(
        ["verilator", *flags, "--top-module", "bench", "bench.v", "main.cpp"],
        cwd=folder,
        env=verilator_environment(),
        check=True,
        capture_output=True,
    )
