"""Emitted Verilog: the same bytes every time, clean for a linter, safe whatever a model says."""

import hashlib
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from amaranth import Module
from amaranth.back import rtlil

from hwgen.build.emit import ModelInfo, emit_verilog
from hwgen.build.rtlil_to_verilog import verilog_modules
from hwgen.build.verilog_text import comment_text
from hwgen.errors import MappingError
from hwgen.ops import requantize
from hwgen.ops.matvec import Kernel
from hwgen.ops.registry import OPERATOR_MODULES
from hwgen.resources import data_folder
from hwgen.rtl.stream.wire import Wire
from hwgen.verify.verilator import verilator_environment
from tests.rtl.designs import chain, lone, perceptron

INFO = ModelInfo(bytes(range(32)), "0.1.0", "digits.onnx")
HOSTILE = [
    "fc1; initial $finish; //",
    "*/ endmodule /*",
    "a\nendmodule\nmodule b;",
    "a\r\nendmodule",
    "nul\0byte",
    "\u202eesrever",
    "\u2028 initial $finish;",
    "back\\",
    '`include "x"',
    "verilator lint_off ALL",
    "synthesis translate_off",
    '"quotes"',
    "x" * 5000,
    "{{ 7 * 7 }} {% for %}",
]
_EMIT = """
import sys
from pathlib import Path
from hwgen.build.emit import ModelInfo, emit_verilog
from hwgen.ops.matvec import Kernel
from tests.rtl.designs import perceptron
emit_verilog(perceptron(Kernel.MAC), Path(sys.argv[1]), ModelInfo(bytes(32), "0.1.0", "m.onnx"))
"""


def lint(files, top):
    """Return what Verilator has to say."""
    rules = data_folder("rtl_templates") / "lint" / "waive.vlt"
    done = subprocess.run(
        ["verilator", "--lint-only", "-Wall", "--top-module", top, str(rules), *map(str, files)],
        env=verilator_environment(),
        capture_output=True,
        text=True,
        check=False,
    )
    return done.stderr if done.returncode else ""


def digests(folder: Path) -> dict[str, str]:
    return {p.name: hashlib.sha256(p.read_bytes()).hexdigest() for p in sorted(folder.iterdir())}


def test_what_is_written(tmp_path):
    design = emit_verilog(perceptron(Kernel.MAC), tmp_path, INFO)
    assert design.top == "network"
    assert [path.stem for path in design.files][-1] == "network"
    assert {path.stem for path in design.files} == {
        "network",
        "network_stream_input",
        "network_stream_output",
        "network_axi_lite",
        "network_counters",
        "fc1",
        "fc1_matvec",
        "fc1_thresholds",
        "to_fc2",
        "fifo1",
        "fc2",
        "fc2_matvec",
        "fc2_requantize",
    }
    assert {path.name for path in tmp_path.iterdir()} == {path.name for path in design.files}
    assert (design.s_axis_bits, design.m_axis_bits) == (16, 8)
    assert design.modules["fc1"] == "fc1"
    for path in design.files:
        text = path.read_text()
        assert re.findall(r"^module (\w+)", text, re.MULTILINE) == [path.stem]
        assert text.startswith(f"// {path.stem}: ")
        assert INFO.sha256.hex() in text
        assert "\\" not in text, "an escaped identifier"
        assert not re.search(r"'[hb]x", text), "an unknown value"


def test_order_is_parts_first(tmp_path):
    design = emit_verilog(perceptron(Kernel.MAC), tmp_path, INFO)
    stems = [path.stem for path in design.files]
    for k, path in enumerate(design.files):
        used = re.findall(r"^  (\w+) \w+ \($", path.read_text(), re.MULTILINE)
        assert all(stems.index(name) < k for name in used)


def test_top_has_exactly_the_documented_ports(tmp_path):
    design = emit_verilog(perceptron(Kernel.MAC), tmp_path, INFO)
    text = design.files[-1].read_text()
    ports = re.findall(r"^  (input|output) +(?:wire|reg) (?:\[(\d+):0\] )?(\w+)", text, re.M)
    widths = {name: (way, int(high or 0) + 1) for way, high, name in ports}
    stream = {"tvalid": 1, "tlast": 1}
    expected = {"aclk": ("input", 1), "aresetn": ("input", 1)}
    for side, ways, bits in (("s", ("input", "output"), 16), ("m", ("output", "input"), 8)):
        for wire, width in {**stream, "tdata": bits}.items():
            expected[f"{side}_axis_{wire}"] = (ways[0], width)
        expected[f"{side}_axis_tready"] = (ways[1], 1)
    channels = "awaddr:12 awprot:3 awvalid wdata:32 wstrb:4 wvalid bready araddr:12 arprot:3 "
    for word in (channels + "arvalid rready").split():
        name, _, width = word.partition(":")
        expected[f"s_axil_{name}"] = ("input", int(width or 1))
    for word in "awready wready bresp:2 bvalid arready rdata:32 rresp:2 rvalid".split():
        name, _, width = word.partition(":")
        expected[f"s_axil_{name}"] = ("output", int(width or 1))
    assert widths == expected


def test_header_tells_the_folding(tmp_path):
    emit_verilog(perceptron(Kernel.MAC), tmp_path, INFO)
    head = (tmp_path / "fc1.v").read_text().split("module")[0]
    assert 'Node fc1: matvec, pe 2, simd 3, kernel mac, from "/fc1/MatMul"' in head
    assert "in:  [6] -8..7, 3 a beat of 12 bits" in head
    assert 'Node act1: thresholds, from "/relu1/Quant"' in head
    assert '"digits.onnx"' in head


def test_same_bytes_in_every_process(tmp_path):
    """Hash seeds, folders and times change; the files do not."""
    found = []
    for hash_seed in ("0", "1", "4242"):
        folder = tmp_path / f"run{hash_seed}"
        environment = {**os.environ, "PYTHONHASHSEED": hash_seed}
        environment["PYTHONPATH"] = str(Path(__file__).parents[2])
        subprocess.run([sys.executable, "-c", _EMIT, folder], check=True, env=environment)
        found.append(digests(folder))
    assert found[0] == found[1] == found[2]
    assert len(found[0]) == 13


@pytest.mark.parametrize("text", HOSTILE)
def test_comment_text_stays_in_its_line(text):
    shown = comment_text(text)
    assert shown.isascii()
    assert shown.isprintable()
    assert "*/" not in shown
    assert len(shown) < 800
    assert shown.startswith('"')


def test_comment_text_keeps_ordinary_names():
    assert comment_text("/model/fc1/MatMul:0") == '"/model/fc1/MatMul:0"'


@pytest.mark.parametrize("name", ["module", "axi_lite", "aclk", "class", "unit"])
def test_names_that_are_taken(tmp_path, name):
    """Keywords and own names as node and graph names give plain, distinct modules."""
    op, x = _small_op()
    design = emit_verilog(chain(name, x, (name, op, "")), tmp_path, INFO)
    stems = [path.stem for path in design.files]
    assert len(set(stems)) == len(stems)
    assert not {"module", "class"} & set(stems)
    assert design.modules[name] in stems


def _small_op():
    """Return an operator that can follow itself, and what it takes."""
    case = requantize.CASES[0]
    return case.op, case.inputs[0]


def test_broken_graphs_leave_no_files(tmp_path):
    op, x = _small_op()
    graph = chain("g", x, ("a", op, ""), ("b", op, ""))
    graph = graph.with_nodes((graph.nodes[0], graph.nodes[0].__class__("b", op, ("x",))))
    with pytest.raises(MappingError, match="a: nothing reads its result"):
        emit_verilog(graph, tmp_path / "out", INFO)
    assert not (tmp_path / "out").exists()


@pytest.mark.sim
def test_lint_finds_something(tmp_path):
    """The lint is not blind: a width error in an emitted file is reported."""
    design = emit_verilog(lone(*_small_op()), tmp_path, INFO)
    path = design.files[-1]
    path.write_text(path.read_text().replace("endmodule", "wire [3:0] w = 5'd17;\nendmodule"))
    assert "WIDTHTRUNC" in lint(design.files, design.top)


@pytest.mark.sim
def test_every_case_of_every_operator_is_clean(tmp_path):
    """One design with a unit for each case, one run of yosys and of Verilator."""
    m, components = Module(), {}
    ports = {}
    for module in OPERATOR_MODULES:
        for k, case in enumerate(module.CASES):
            name = f"{case.op.name}_{k}"
            m.submodules[name] = unit = components[name] = case.op.hardware(*case.inputs)
            streams = [f"i{number or ''}" for number in range(len(unit.streams_in))]
            for stream in (*streams, "o"):
                port = getattr(unit, stream)
                for wire, signal in (
                    ("payload", port.payload.as_value()),
                    ("valid", port.valid),
                    ("ready", port.ready),
                ):
                    ports[f"{name}_{stream}_{wire}"] = (signal, None)
    text = rtlil.convert(m, name="bench", ports=ports, emit_src=False)
    modules = verilog_modules(text, lambda path: "_".join(path[1:]) or path[0], {"storage"})
    files = []
    for module in modules:
        files.append(tmp_path / f"{module.name}.v")
        files[-1].write_text(module.text)
    # A unit that only passes beats on is wires in its parent.
    wires = {name for name, unit in components.items() if isinstance(unit, Wire)}
    assert set(components) - {file.stem for file in files} == wires
    assert len(components) > 250
    assert lint(files, "bench") == ""


@pytest.mark.sim
@pytest.mark.parametrize("unrolled", [False, True])
@pytest.mark.parametrize("kernel", list(Kernel))
def test_networks_are_clean(tmp_path, kernel, unrolled):
    design = emit_verilog(perceptron(kernel, unrolled), tmp_path, INFO)
    assert lint(design.files, design.top) == ""


@pytest.mark.sim
def test_hostile_names_are_harmless(tmp_path):
    """Whatever the model calls its nodes, only comments change."""
    op, x = _small_op()
    names = [(f"n{k}", op, text) for k, text in enumerate(HOSTILE)]
    plain = [(f"n{k}", op, "fine") for k in range(len(HOSTILE))]
    op_type = op.infer(x)
    assert op_type.codes.lo >= x.codes.lo
    assert op_type.codes.hi <= x.codes.hi
    sources = chain("network", x, *names), chain("network", x, *plain)
    stripped = []
    for k, graph in enumerate(sources):
        info = ModelInfo(bytes(32), "0.1.0", HOSTILE[2] if k == 0 else "fine")
        design = emit_verilog(graph, tmp_path / str(k), info)
        texts = [path.read_text() for path in design.files]
        assert all(text.isascii() for text in texts)
        code = ["\n".join(s for s in t.split("\n") if not s.startswith("//")) for t in texts]
        stripped.append(code)
        assert lint(design.files, design.top) == ""
    assert stripped[0] == stripped[1]
