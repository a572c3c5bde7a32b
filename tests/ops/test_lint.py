"""The Verilog of every case of every operator passes Verilator's lint."""

import pytest
from amaranth import Module
from amaranth.back import rtlil

from hwgen.build.lint import lint_verilog
from hwgen.build.rtlil_to_verilog import verilog_modules
from hwgen.ops.registry import OPERATOR_MODULES

pytestmark = pytest.mark.sim


@pytest.mark.parametrize("module", OPERATOR_MODULES, ids=lambda m: m.__name__.rsplit(".", 1)[1])
def test_all_cases(module, tmp_path):
    m, ports = Module(), {}
    for k, case in enumerate(module.CASES):
        unit = case.op.hardware(*case.inputs)
        m.submodules[f"unit{k}"] = unit
        for side in ("i", "o"):
            stream = getattr(unit, side)
            payload = stream.payload.as_value()
            for name, signal in (
                ("payload", payload),
                ("valid", stream.valid),
                ("ready", stream.ready),
            ):
                ports[f"u{k}_{side}_{name}"] = (signal, None)
    text = rtlil.convert(m, name="bench", ports=ports, emit_src=False)
    path = tmp_path / "bench.v"
    # As in a build: Amaranth's FIFO names its memory like its instance, so it is dissolved.
    parts = verilog_modules(text, lambda path: "_".join(path), {"storage"})
    path.write_text("\n".join(part.text for part in parts))
    lint_verilog([path], top="bench")
