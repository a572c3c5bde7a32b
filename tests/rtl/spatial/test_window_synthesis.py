"""Line memories become what the prediction says, in yosys; LUTs and flip-flops nearly so."""

import pytest
from amaranth import Module
from amaranth.back import rtlil

from hwgen.board import load_board
from hwgen.build.rtlil_to_verilog import verilog_modules
from hwgen.build.synthesis_attributes import with_attributes
from hwgen.build.synthesize import synthesize
from hwgen.ir import TensorType
from hwgen.numeric import CodeType
from hwgen.ops.fifo import Fifo
from hwgen.ops.sliding_window import SlidingWindow

pytestmark = pytest.mark.synth

SAME = (1, 1, 1, 1)
BYTES, BITS = CodeType(0, 255), CodeType(0, 1)
UNITS = (
    # LUT RAM, block RAM; then row delays in each, all taps or a row of them, two pixels.
    (SlidingWindow((3, 3), pe=3), TensorType((16, 16, 3), BYTES)),
    (SlidingWindow((3, 3), padding=SAME, pe=1), TensorType((16, 16, 16), BYTES)),
    (SlidingWindow((3, 3), pe=16, taps=9), TensorType((20, 20, 16), BITS)),
    (SlidingWindow((3, 3), padding=SAME, pe=4, taps=3), TensorType((9, 200, 4), BYTES)),
    (SlidingWindow((3, 3), padding=SAME, pe=8, taps=9, pixels=2), TensorType((9, 16, 8), BITS)),
)


# A line memory for taps, rows for whole windows, beats that wait.
ULTRA = (
    (SlidingWindow((3, 3), padding=SAME, pe=8, ultra_ram=True), TensorType((9, 640, 16), BYTES)),
    (
        SlidingWindow((3, 3), padding=SAME, pe=4, taps=9, ultra_ram=True),
        TensorType((9, 2000, 4), BYTES),
    ),
    (Fifo(4000, 9, ultra_ram=True), TensorType((9 * 4000,), BYTES)),
)


def synthesized(units, board, folder):
    """What each unit took, and its name."""
    m, ports = Module(), {}
    for k, (op, kind) in enumerate(units):
        m.submodules[f"unit{k}"] = unit = op.hardware(kind)
        for side, port in (("i", unit.i), ("o", unit.o)):
            signals = port.payload.as_value(), port.valid, port.ready
            for name, signal in zip(("payload", "valid", "ready"), signals, strict=True):
                ports[f"unit{k}_{side}_{name}"] = (signal, None)
    text = rtlil.convert(m, name="bench", ports=ports, emit_src=False)
    modules = verilog_modules(text, lambda path: "_".join(path), {"storage"})
    source = folder / "bench.v"
    ultra = bool(load_board(board).resources.uram)
    source.write_text("\n".join(with_attributes(part.text, False, ultra) for part in modules))
    names = [f"bench_unit{k}" for k in range(len(units))]
    report = synthesize([source], "bench", load_board(board), folder / "work", keep=names)
    assert report.resources.dsp == 0
    return [report.modules[name] for name in names]


def test_ultra_ram(tmp_path):
    for (op, kind), found in zip(ULTRA, synthesized(ULTRA, "kv260", tmp_path), strict=True):
        promised = op.resources(kind)
        assert promised.uram > 0
        assert (found.uram, found.bram36) == (promised.uram, 0)
        assert found.lut == pytest.approx(promised.lut, rel=0.25, abs=20)
        # The read register is the memory's own.
        assert found.ff == pytest.approx(promised.ff, rel=0.25, abs=20)


def test_prediction(tmp_path):
    memories = []
    for (op, kind), found in zip(UNITS, synthesized(UNITS, "ultra96", tmp_path), strict=True):
        promised = op.resources(kind)
        assert found.bram36 == promised.bram36
        assert found.lut == pytest.approx(promised.lut, rel=0.25, abs=20)
        assert found.ff == pytest.approx(promised.ff, rel=0.25, abs=20)
        memories.append(found.bram36)
    assert memories == [0, 0.5, 0, 1, 0]
