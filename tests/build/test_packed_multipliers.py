"""The multipliers that a packed unit promises are those that yosys takes, no more."""

from __future__ import annotations

import json

import numpy as np
import pytest
from amaranth.back import rtlil

from hwgen.adders import DSP48E2, MULT18X18D, SB_MAC16, AdderTarget
from hwgen.build.rtlil_to_verilog import verilog_modules
from hwgen.build.yosys import run_yosys
from hwgen.ir import TensorType
from hwgen.numeric import CodeType
from hwgen.ops.matvec import Kernel, MatVec

pytestmark = pytest.mark.synth

FLOWS = {
    "DSP48E2": ("synth_xilinx -family xcup -noiopad -noclkbuf", DSP48E2),
    "MULT18X18D": ("synth_ecp5", MULT18X18D),
    "SB_MAC16": ("synth_ice40 -device u -dsp", SB_MAC16),
}


@pytest.mark.parametrize("primitive", FLOWS)
@pytest.mark.parametrize(("bits", "lanes"), [(8, 2), (4, 4)])
def test_multipliers(primitive, bits, lanes, tmp_path):
    """Four rows and two inputs: eight products."""
    flow, shape = FLOWS[primitive]
    half = 1 << (bits - 1)
    weights = np.random.default_rng(0).integers(-half, half, (8, 4))
    weights[0, 0] = -half
    op = MatVec(weights, 4, 2, Kernel.PACKED_MAC, target=AdderTarget(multiplier=shape))
    x = TensorType((4,), CodeType(0, 2 * half - 1))
    promised = op.resources(x).dsp
    if shape is DSP48E2:
        assert promised == 8 / lanes
    text = rtlil.convert(op.hardware(x), name="unit", emit_src=False)
    verilog = "\n".join(module.text for module in verilog_modules(text, "_".join))
    (tmp_path / "unit.v").write_text(verilog)
    commands = ["read_verilog unit.v", f"{flow} -top unit", "tee -q -o stat.json stat -json"]
    run_yosys(commands, cwd=tmp_path)
    stat = json.loads((tmp_path / "stat.json").read_text())
    cells = stat["design"]["num_cells_by_type"]
    assert cells[primitive] == promised
