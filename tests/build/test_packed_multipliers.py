"""A packed unit after synthesis: the multipliers that it promises, no more, and the same codes."""

from __future__ import annotations

import json
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest

from hwgen.adders import DSP48E2, MULT18X18D, SB_MAC16, AdderTarget, MultiplierShape
from hwgen.build.yosys import run_yosys
from hwgen.ir import TensorType
from hwgen.numeric import CodeType
from hwgen.ops.case import Case
from hwgen.ops.matvec import Kernel, MatVec
from tests.ops.test_verilator import bench_modules, run_bench, unit_of

pytestmark = pytest.mark.synth

SHARE = Path(find_spec("pyosys").origin).parent / "share"
OWN = Path(__file__).parent / "models"


@dataclass(frozen=True)
class Flow:
    """A family's multiplier, the command that takes it, and models of all cells."""

    multiplier: MultiplierShape
    synth: str
    models: tuple[Path, ...]


FLOWS = (
    Flow(
        DSP48E2,
        "synth_xilinx -family xcup -noiopad -noclkbuf",
        (SHARE / "xilinx/cells_sim.v", OWN / "dsp48e2.v"),
    ),
    Flow(MULT18X18D, "synth_ecp5", (SHARE / "ecp5/cells_sim.v", OWN / "mult18x18d.v")),
    Flow(SB_MAC16, "synth_ice40 -device u -dsp", (SHARE / "ice40/cells_sim.v",)),
)
# Bits of weights and inputs, and the products that share a DSP48E2.
SHAPES = ((8, 2), (4, 4))


def packed(bits: int, multiplier: MultiplierShape) -> Case:
    """Four rows and two inputs: eight products a step, four steps."""
    half = 1 << (bits - 1)
    weights = np.random.default_rng(0).integers(-half, half, (8, 4))
    weights[0, 0] = -half
    op = MatVec(weights, 4, 2, Kernel.PACKED_MAC, target=AdderTarget(multiplier=multiplier))
    return Case(op, (TensorType((4,), CodeType(0, 2 * half - 1)),))


@dataclass(frozen=True)
class Synthesized:
    """The netlist of each shape and its cells, in the bench that knows the codes."""

    flow: Flow
    cases: list[Case]
    cells: list[dict[str, int]]
    texts: list[str]


@pytest.fixture(scope="module", params=FLOWS, ids=lambda flow: flow.multiplier.name)
def synthesized(request, tmp_path_factory) -> Synthesized:
    flow = request.param
    cases = [packed(bits, flow.multiplier) for bits, _ in SHAPES]
    modules = bench_modules([unit_of(case, seed) for seed, case in enumerate(cases)])
    texts = [module.text for module in modules if module.path[2:3] != ("unit",)]
    cells = []
    for k in range(len(cases)):
        folder = tmp_path_factory.mktemp(flow.multiplier.name)
        own = [module.text for module in modules if module.path[1:3] == (f"unit{k}", "unit")]
        (folder / "unit.v").write_text("\n".join(own))
        synth = f"{flow.synth} -top bench_unit{k}_unit"
        outputs = ["tee -q -o stat.json stat -json", "write_verilog -noattr netlist.v"]
        run_yosys(["read_verilog unit.v", synth, *outputs], cwd=folder)
        stat = json.loads((folder / "stat.json").read_text())
        cells.append(stat["design"]["num_cells_by_type"])
        texts.append((folder / "netlist.v").read_text())
    return Synthesized(flow, cases, cells, texts)


def test_multipliers_are_those_promised(synthesized):
    for case, cells, (_, lanes) in zip(synthesized.cases, synthesized.cells, SHAPES, strict=True):
        multiplier = synthesized.flow.multiplier
        promised = case.op.resources(*case.inputs).dsp
        if multiplier is DSP48E2:
            assert promised == 8 / lanes
        assert cells[multiplier.name] == promised


@pytest.mark.sim
def test_netlists_compute_the_codes(synthesized, tmp_path):
    """Under all four profiles of idles and stalls, every beat compared."""
    count = len(SHAPES)
    rows = run_bench(synthesized.texts, count, tmp_path, synthesized.flow.models)
    assert rows == [(p, unit, True, False, False) for p in range(4) for unit in range(count)]
