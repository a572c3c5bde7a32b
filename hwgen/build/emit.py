"""`emit_verilog`: a mapped graph becomes Verilog files, one module a file, byte for byte the same.

Amaranth writes RTLIL, `rtlil_names` gives it plain names, yosys turns it into Verilog and
`verilog_text` brings that into the form people write. Strings of the model reach the files only
as escaped comments.
"""

from __future__ import annotations

import tempfile
from dataclasses import dataclass
from pathlib import Path

from amaranth.back import rtlil

from hwgen.build.rtlil_names import plain_names
from hwgen.build.verilog_text import comment_text, finished, header
from hwgen.build.yosys import quote_path, run_yosys
from hwgen.ir import Graph, Node
from hwgen.mapping.layers import Layer
from hwgen.ops.matvec import MatVec
from hwgen.rtl.names import free_name
from hwgen.rtl.top import Accelerator

# Instances too small for a file of their own: their parent takes them in.
_DISSOLVED = frozenset({"register_slice", "storage"})
_OWN_PURPOSES = {
    "stream_input": "AXI4-Stream in: TDATA to codes, TLAST checked",
    "stream_output": "AXI4-Stream out: codes to TDATA, TLAST made",
    "axi_lite": "AXI4-Lite port to the registers",
    "counters": "frames, cycles, stalls, TLAST errors",
}
_EQUAL_WIDTHS = Path(__file__).with_name("equal_widths.v")
_CLEAN_UP = (
    "proc",
    "opt_expr",
    "opt_clean -purge",
    "opt_dff",
    # Don't-cares of the step before: a definite 0 simulates the same everywhere.
    "setundef -zero",
    "opt_expr",
    "wreduce t:$add t:$sub t:$mux",
    f"techmap -max_iter 1 -map {quote_path(_EQUAL_WIDTHS)}",
    "opt_clean -purge",
)


@dataclass(frozen=True)
class ModelInfo:
    """Where a design comes from.

    Parameters
    ----------
    sha256 : 32 bytes, of the model file
    version : of hwgen
    source : name of the model file, for people
    """

    sha256: bytes
    version: str
    source: str


@dataclass(frozen=True)
class EmittedDesign:
    """What was written.

    Parameters
    ----------
    top : name of the top module
    files : one a module, in compile order, the top's last
    s_axis_bits, m_axis_bits : widths of TDATA
    modules : layer name -> module name
    """

    top: str
    files: tuple[Path, ...]
    s_axis_bits: int
    m_axis_bits: int
    modules: dict[str, str]


def emit_verilog(graph: Graph, out_dir: Path, info: ModelInfo) -> EmittedDesign:
    """Write the accelerator for `graph` into `out_dir`, which is made when missing.

    Raises
    ------
    MappingError : when the graph is no chain or neighbours disagree about lanes
    ToolError : when yosys fails
    """
    accelerator = Accelerator(graph, info.sha256, info.version)
    names = _ModuleNames(graph, accelerator)
    text = rtlil.convert(accelerator, name=graph.name, emit_src=False)
    text = plain_names(text, names)
    out_dir.mkdir(parents=True, exist_ok=True)
    files = []
    for name, verilog in _verilog(text, names).items():
        path = out_dir / f"{name}.v"
        lines = _describe(graph, accelerator, names.paths[name])
        path.write_text(header(name, lines[0], lines[1:], info) + finished(verilog), newline="\n")
        files.append(path)
    return EmittedDesign(
        top=names.top,
        files=tuple(files),
        s_axis_bits=len(accelerator.s_axis_tdata),
        m_axis_bits=len(accelerator.m_axis_tdata),
        modules={
            layer.name: names.of((graph.name, instance))
            for instance, (layer, _) in accelerator.layers.items()
        },
    )


class _ModuleNames:
    """Gives each path of instances a module name; remembers which path has which."""

    def __init__(self, graph: Graph, accelerator: Accelerator) -> None:
        self.layers = accelerator.layers
        self.top = free_name(graph.name, (), "top")
        self.paths: dict[str, tuple[str, ...]] = {}

    def __call__(self, path: tuple[str, ...]) -> str:
        if len(path) == 1:
            name = self.top
        else:
            below = path[1:] if path[1] in self.layers else (self.top, *path[1:])
            name = free_name("_".join(below), {self.top, *self.paths}, "module")
        self.paths[name] = path
        return name

    def of(self, path: tuple[str, ...]) -> str:
        """Return the name given to the module at `path`."""
        return next(name for name, known in self.paths.items() if known == path)

    def dissolved(self, name: str) -> bool:
        """Whether the module is to vanish into its parent."""
        return bool(_DISSOLVED & set(self.paths[name][2:]))


def _verilog(text: str, names: _ModuleNames) -> dict[str, str]:
    """Return the Verilog of each module, parts before the whole."""
    dissolved = [name for name in names.paths if names.dissolved(name)]
    kept = [name for name in reversed(names.paths) if not names.dissolved(name)]
    with tempfile.TemporaryDirectory(prefix="hwgen_emit_") as folder:
        work = Path(folder)
        (work / "design.il").write_text(text, encoding="utf-8")
        commands = [f"read_rtlil {quote_path(work / 'design.il')}"]
        if dissolved:
            cells = " ".join(f"t:{name}" for name in dissolved)
            commands.append(f"flatten -noscopeinfo -separator _ {cells}")
            commands.append(f"delete {' '.join(dissolved)}")
        commands += _CLEAN_UP
        for k, name in enumerate(kept):
            commands.append(f"select {name}")
            commands.append(f"write_verilog -noattr -selected {quote_path(work / f'{k}.v')}")
        run_yosys(commands)
        return {name: (work / f"{k}.v").read_text(encoding="utf-8") for k, name in enumerate(kept)}


def _describe(graph: Graph, accelerator: Accelerator, path: tuple[str, ...]) -> list[str]:
    """Return the purpose of the module at `path` and the header lines about it."""
    if len(path) == 1:
        chain = " -> ".join(accelerator.layers)
        source = graph.inputs[0]
        return [
            "accelerator between s_axis and m_axis, registers at s_axil",
            f"Layers: {chain}",
            f"Input:  {source.type}, from {comment_text(source.source)}",
            f"Output: {graph.types[graph.outputs[0]]}",
        ]
    if path[1] not in accelerator.layers:
        return [_OWN_PURPOSES[path[1]]]
    layer, unit = accelerator.layers[path[1]]
    nodes = layer.nodes
    if len(path) > 2:
        instances = [name for name, _ in getattr(unit, "units", [])]
        nodes = (layer.nodes[instances.index(path[2])],)
    purpose = f"layer {layer.name}" if len(path) == 2 else f"{nodes[0].op.name} of {layer.name}"
    return [purpose, *(line for node in nodes for line in _node_lines(graph, node))]


def _node_lines(graph: Graph, node: Node) -> list[str]:
    (before,) = graph.input_types(node)
    i_lanes, o_lanes = node.op.lanes
    folding = ""
    if isinstance(node.op, MatVec):
        folding = f", pe {node.op.pe}, simd {node.op.simd}, kernel {node.op.kernel.value}"
    return [
        f"Node {node.name}: {node.op.name}{folding}, from {comment_text(node.source)}",
        f"  in:  {before}, {i_lanes} a beat of {i_lanes * before.codes.width} bits",
        f"  out: {graph.types[node.name]}, {o_lanes} a beat of "
        f"{o_lanes * graph.types[node.name].codes.width} bits",
    ]
