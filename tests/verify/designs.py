"""Build directories of hand-made graphs, one of them with faults that plusargs wake up."""

from __future__ import annotations

import hashlib
import re
from pathlib import Path

import numpy as np

from hwgen import __version__
from hwgen.build.bench import write_bench
from hwgen.build.emit import EmittedDesign, ModelInfo, emit_verilog
from hwgen.build.reference import write_reference
from hwgen.build_directory import write_manifest
from hwgen.ir import Graph, Input, Node, TensorType
from hwgen.mapping.streams import connect_lanes, insert_fifos
from hwgen.mapping.timing import interval_cycles, latency_cycles
from hwgen.numeric import CodeType
from hwgen.ops.case import integers
from hwgen.ops.matvec import Kernel, MatVec
from hwgen.ops.thresholds import Thresholds

FRAMES, SEED = 64, 7


def folded_graph() -> Graph:
    """Two folded layers with different lanes; TDATA has padding on the input side."""
    source = Input("x", TensorType((16,), CodeType(-16, 15)), source="image")
    fc1 = Node("fc1", MatVec(integers((12, 16), -8, 7, seed=1), pe=3, simd=4), ("x",), source="/a")
    table = np.sort(integers((12, 3), -200, 200, seed=4), axis=1)
    act = Thresholds(table, np.zeros(12, dtype=np.int64), CodeType(0, 3), pe=3)
    fc2 = MatVec(integers((4, 12), -8, 7, seed=2), pe=2, simd=6)
    nodes = (fc1, Node("act1", act, ("fc1",)), Node("fc2", fc2, ("act1",), source="/b"))
    return insert_fifos(connect_lanes(Graph("folded", (source,), nodes, ("fc2",))))


def binary_graph() -> Graph:
    """One unrolled binary layer: a beat is a frame; its name is one the top module uses itself."""
    source = Input("x", TensorType((8,), CodeType.binary()))
    weights = integers((4, 8), -1, 1, step=2, seed=3)
    layer = Node("counters", MatVec(weights, 4, 8, Kernel.XNOR), ("x",))
    steps = Thresholds(integers((4, 1), -3, 3), np.array([0, 1, 0, 1]), CodeType.binary(), pe=4)
    nodes = (layer, Node("sign", steps, ("counters",)))
    return insert_fifos(connect_lanes(Graph("binary", (source,), nodes, ("sign",))))


def make_build(out: Path, graph: Graph) -> EmittedDesign:
    """Write all of a build directory that the regression needs."""
    out.mkdir()
    model = out / "model.onnx"
    model.write_bytes(b"stand-in: " + graph.name.encode())
    digest = hashlib.sha256(model.read_bytes())
    info = ModelInfo(digest.digest(), __version__, model.name)
    design = emit_verilog(graph, out / "rtl", info)
    write_reference(out, model, graph, FRAMES, SEED)
    write_bench(out, graph, design, digest.hexdigest())
    interval, latency = interval_cycles(graph), latency_cycles(graph)
    write_manifest(out, {"interval_cycles": interval, "latency_cycles": latency})
    return design


def graph_executor(graph: Graph):
    """An executor for builds whose model is a stand-in: real numbers by way of the graph."""

    def execute(model: Path, frames: np.ndarray) -> np.ndarray:
        return graph.dequantize(graph.evaluate(graph.inputs[0].quantize(frames)))

    return execute


def plant_faults(rtl: Path) -> None:
    """Mutate the Verilog of `folded_graph`; every fault sleeps until its plusarg is given."""
    _edit(
        rtl / "fc2_matvec.v",
        r"row0_accumulator <= (row0_sum\w+) \+",
        r'row0_accumulator <= (\1 ^ ($test$plusargs("flip_sum_bit") != 0)) +',
    )
    # To lower an input is to raise all thresholds of its channel.
    _edit(
        rtl / "fc1_thresholds.v",
        r"x1 <= (i_payload\[[0-9:]+\]);",
        r'x1 <= \1 - ((group == 2) & ($test$plusargs("raise_threshold") != 0));',
    )
    _edit(
        rtl / "fc1.v",
        r"register_slice_spare_full <= (?!1'h0)([^;]+);",
        r'register_slice_spare_full <= (\1) & !$test$plusargs("drop_beat");',
    )
    _edit(
        rtl / "folded.v",
        r"\.tlast\(m_axis_tlast\)",
        r".tlast(right_tlast)",
    )
    _edit(
        rtl / "folded.v",
        r"\nendmodule",
        "\n  wire right_tlast;\n"
        '  reg tlast_fault = 1\'b0;\n  initial tlast_fault = $test$plusargs("invert_tlast") != 0;\n'
        "  assign m_axis_tlast = right_tlast ^ tlast_fault;\n"
        '  initial if ($test$plusargs("crash")) $c("std::abort();");\n'
        "endmodule",
    )
    _edit(
        rtl / "folded.v",
        r"assign m_axis_tvalid = ([^;]+);",
        "reg odd = 1'b0;\n  always @(posedge aclk) odd <= ~odd;\n"
        '  wire withdrawn = odd & ~m_axis_tready & ($test$plusargs("withdraw_beat") != 0);\n'
        r"  assign m_axis_tvalid = (\1) & ~withdrawn;",
    )
    _hold_input(rtl / "fc1.v", "lose_cycles", "cycle % 7 == 0")
    _hold_input(rtl / "fc2.v", "hang", "cycle == 60")


def _hold_input(path: Path, fault: str, when: str) -> None:
    """Let the unit behind the module's input wait, from the first time on when it is `hang`."""
    _edit(path, r"\.i_ready\(i_ready\)", r".i_ready(right_ready)")
    _edit(path, r"\.i_valid\(i_valid\)", r".i_valid(i_valid & ~hold)")
    again = "hold |" if fault == "hang" else ""
    _edit(
        path,
        r"\nendmodule",
        "\n  wire right_ready;\n  reg [7:0] cycle = 8'h0;\n  reg hold = 1'b0;\n"
        "  always @(posedge aclk) cycle <= cycle + 8'h1;\n"
        f'  always @(posedge aclk) hold <= {again} ({when} && $test$plusargs("{fault}") != 0);\n'
        "  assign i_ready = right_ready & ~hold;\n"
        "endmodule",
    )


def _edit(path: Path, pattern: str, replacement: str) -> None:
    text, count = re.subn(pattern, replacement, path.read_text(), count=1)
    assert count == 1, f"{path.name} has nothing like {pattern}"
    path.write_text(text)
