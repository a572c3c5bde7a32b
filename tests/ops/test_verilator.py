"""Every case of every operator in Verilator: one build, all units, four stall profiles."""

from __future__ import annotations

import subprocess
from collections.abc import Sequence
from pathlib import Path

import pytest
from amaranth import Cat, Module, Signal
from amaranth.back import rtlil

from hwgen.build.rtlil_to_verilog import VerilogModule, verilog_modules
from hwgen.ops.case import Case
from hwgen.ops.registry import OPERATOR_MODULES
from hwgen.verify.verilator import verilator_environment
from tests.ops.self_check import SelfCheck
from tests.ops.simulation import to_beats
from tests.ops.test_conformance import FRAMES, stimulus

pytestmark = pytest.mark.sim

VERDICTS = ("done", "wrong", "unstable")

HARNESS = r"""
#include "Vbench.h"
#include <cstdio>
#include <cstdlib>
int main(int argc, char** argv) {
  VerilatedContext context;
  Vbench bench(&context);
  for (int profile = 0; profile < 4; ++profile) {
    bench.idle = profile & 1; bench.stall = profile >> 1;
    long cycle = 0;
    for (; cycle < 40000; ++cycle) {
      bench.rst = cycle < 2;
      bench.clk = 0; bench.eval();
      bench.clk = 1; bench.eval();
      if (bench.all_done && cycle > 8) break;
    }
    // A few more cycles would show beats that nobody asked for.
    for (int k = 0; k < 50; ++k) { bench.clk = 0; bench.eval(); bench.clk = 1; bench.eval(); }
    for (int unit = 0; unit < UNITS; ++unit) {
      bench.select = unit; bench.eval();
      printf("%d %d %d %d %d\n", profile, unit, bench.done, bench.wrong, bench.unstable);
    }
  }
}
"""


def unit_of(case: Case, seed: int, spoil: bool = False) -> SelfCheck:
    out = case.op.infer(*case.inputs)
    codes, beats = stimulus(case, FRAMES, seed=5)
    expected = to_beats(case.op.evaluate(*codes), out.codes, case.op.lanes[1])
    if spoil:
        expected[-1] ^= 1
    return SelfCheck(case.op.hardware(*case.inputs), beats, expected, seed)


def bench_modules(units: list[SelfCheck]) -> list[VerilogModule]:
    """Return the modules of a bench; what is tested is (bench, unit{k}, unit)."""
    m = Module()
    ports = {name: Signal(name=name) for name in ("idle", "stall", "all_done", *VERDICTS)}
    ports["select"] = select = Signal(range(len(units)))
    for k, unit in enumerate(units):
        m.submodules[f"unit{k}"] = unit
        m.d.comb += [unit.idle.eq(ports["idle"]), unit.stall.eq(ports["stall"])]
    m.d.comb += ports["all_done"].eq(Cat(unit.done for unit in units).all())
    for name in VERDICTS:
        all_units = Cat(getattr(unit, name) for unit in units)
        m.d.comb += ports[name].eq(all_units.bit_select(select, 1))
    named = {name: (signal, None) for name, signal in ports.items()}
    text = rtlil.convert(m, name="bench", ports=named, emit_src=False)
    return verilog_modules(text, lambda path: "_".join(path))


def run_bench(
    modules: Sequence[str], units: int, folder: Path, models: Sequence[Path] = ()
) -> list[tuple[int, int, bool, bool, bool]]:
    """Return (profile, unit, done, wrong, unstable) of every run.

    `models` are files of cells, beside what they include.
    """
    (folder / "bench.v").write_text("\n".join(modules))
    (folder / "main.cpp").write_text(HARNESS.replace("UNITS", str(units)))
    flags = [
        "--cc",
        "--exe",
        "--build",
        "-j",
        "2",
        "-Wno-fatal",
        "-Wno-lint",
        "-MAKEFLAGS",
        "OPT_FAST=-O0",
    ]
    subprocess.run(
        [
            "verilator",
            *flags,
            "-MAKEFLAGS",
            "OPT_FAST=-O0",
            "--top-module",
            "bench",
            *(f"-I{model.parent}" for model in models),
            *(word for model in models for word in ("-v", str(model))),
            "bench.v",
            "main.cpp",
        ],
        cwd=folder,
        env=verilator_environment(),
        check=True,
        capture_output=True,
    )
    lines = subprocess.run(
        [folder / "obj_dir" / "Vbench"], check=True, capture_output=True, text=True
    ).stdout.split("\n")
    rows = [tuple(int(word) for word in line.split()) for line in lines if line]
    return [(p, u, bool(d), bool(w), bool(s)) for p, u, d, w, s in rows]


def test_all_cases(tmp_path: Path) -> None:
    named = [
        (f"{module.__name__.rsplit('.', 1)[1]}-{k}", case)
        for module in OPERATOR_MODULES
        for k, case in enumerate(module.CASES)
    ]
    units = [unit_of(case, seed) for seed, (_, case) in enumerate(named)]
    # Two spoilt expectations show that the bench can fail.
    units += [unit_of(named[0][1], 1000, spoil=True), unit_of(named[-1][1], 1001, spoil=True)]
    texts = [module.text for module in bench_modules(units)]
    rows = run_bench(texts, len(units), tmp_path)
    assert len(rows) == 4 * len(units)
    good = len(named)
    faults = [
        (named[unit][0], f"profile {profile}", done, wrong, unstable)
        for profile, unit, done, wrong, unstable in rows
        if unit < good and (not done or wrong or unstable)
    ]
    assert faults == []
    assert all(wrong for _, unit, _, wrong, _ in rows if unit >= good)
