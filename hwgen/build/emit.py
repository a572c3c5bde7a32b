"""`emit_verilog`: a mapped graph becomes Verilog files, one module a file, byte for byte the same.

Amaranth writes RTLIL, `rtlil_names` gives it plain names, yosys turns it into Verilog and
`verilog_text` brings that into the form people write. Strings of the model reach the files only
as escaped comments.
"""

from __future__ import annotations

import gc
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from amaranth.back import rtlil  # type: ignore[attr-defined]  # absent from the stubs

from hwgen.accelerator.top import Accelerator, buildable_layers
from hwgen.build.rtlil_to_verilog import VerilogModule, verilog_modules
from hwgen.build.synthesis_attributes import with_attributes
from hwgen.build.verilog_text import comment_text, header
from hwgen.cost import Resources
from hwgen.ir import Graph, Node
from hwgen.ops.matvec import MatVec
from hwgen.rtl.names import free_name

# Instances too small for a file of their own: their parent takes them in.
_DISSOLVED = frozenset({"register_slice", "storage"})
_OWN_PURPOSES = {
    "stream_input": "AXI4-Stream in: TDATA to codes, TLAST checked",
    "stream_output": "AXI4-Stream out: codes to TDATA, TLAST made",
    "axi_lite": "AXI4-Lite port to the registers",
    "counters": "frames, cycles, stalls, TLAST errors",
}


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
    # Before anything is built: Amaranth complains of hardware that is begun and given up.
    buildable_layers(graph)
    accelerator = Accelerator(graph, info.sha256, info.version)
    names = _ModuleNames(graph, accelerator)
    with _collection_paused():
        text = rtlil.convert(accelerator, name=graph.name, emit_src=False)
    out_dir.mkdir(parents=True, exist_ok=True)
    files = []
    for module in verilog_modules(text, names, _DISSOLVED):
        purpose, *about = _describe(graph, accelerator, module.path)
        path = out_dir / f"{module.name}.v"
        promised = _promised(graph, accelerator, module.path)
        text = with_attributes(module.text, promised.dsp > 0, promised.uram > 0)
        path.write_text(file_text(replace(module, text=text), purpose, about, info), newline="\n")
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


@contextmanager
def _collection_paused() -> Iterator[None]:
    """Let Amaranth build its millions of small objects: the collector would take half the time."""
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_enabled:
            gc.enable()


def file_text(module: VerilogModule, purpose: str, about: Sequence[str], info: ModelInfo) -> str:
    """Return a whole file: header, module, and no implicit nets."""
    head = header(module.name, purpose, about, info)
    return f"{head}\n`default_nettype none\n\n{module.text}\n`default_nettype wire\n"


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


def _describe(graph: Graph, accelerator: Accelerator, path: tuple[str, ...]) -> list[str]:
    """Return the purpose of the module at `path` and the header lines about it."""
    if len(path) == 1:
        source = graph.inputs[0]
        return [
            "accelerator between s_axis and m_axis, registers at s_axil",
            *_layer_lines(accelerator),
            f"Input:  {source.type}, from {comment_text(source.source)}",
            f"Output: {graph.types[graph.outputs[0]]}",
        ]
    if path[1] in accelerator.forks.values():
        return [f"one stream to several readers: {path[1]}"]
    if path[1] not in accelerator.layers:
        return [_OWN_PURPOSES[path[1]]]
    layer, _ = accelerator.layers[path[1]]
    nodes = _nodes_of(accelerator, path)
    purpose = f"layer {layer.name}" if len(path) == 2 else f"{nodes[0].op.name} of {layer.name}"
    return [purpose, *(line for node in nodes for line in _node_lines(graph, node))]


def _nodes_of(accelerator: Accelerator, path: tuple[str, ...]) -> tuple[Node, ...]:
    """Return the nodes that the module at `path` is the hardware of."""
    if len(path) == 1 or path[1] not in accelerator.layers:
        return ()
    layer, unit = accelerator.layers[path[1]]
    if len(path) == 2:
        return layer.nodes
    instances = [name for name, _ in getattr(unit, "units", [])]
    return (layer.nodes[instances.index(path[2])],)


def _promised(graph: Graph, accelerator: Accelerator, path: tuple[str, ...]) -> Resources:
    """Return what the operators of the module at `path` promised."""
    nodes = _nodes_of(accelerator, path)
    return sum((node.op.resources(*graph.input_types(node)) for node in nodes), Resources())


def _node_lines(graph: Graph, node: Node) -> list[str]:
    after = graph.types[node.name]
    i_lanes, o_lanes = node.op.lanes
    folding = ""
    if isinstance(node.op, MatVec):
        folding = f", pe {node.op.pe}, simd {node.op.simd}, kernel {node.op.kernel.value}"
    return [
        f"Node {node.name}: {node.op.name}{folding}, from {comment_text(node.source)}",
        *(
            f"  in:  {before}, {i_lanes} a beat of {i_lanes * before.codes.width} bits"
            for before in graph.input_types(node)
        ),
        f"  out: {after}, {o_lanes} a beat of {o_lanes * after.codes.width} bits",
    ]


def _layer_lines(accelerator: Accelerator) -> list[str]:
    """Return the header's lines about layers: a chain in one line, else who reads whom."""
    if not accelerator.forks:
        return [f"Layers: {' -> '.join(accelerator.layers)}"]
    return ["Layers, each with the values it reads and gives:"] + [
        f"  {name}: {', '.join(layer.reads)} -> {layer.gives}"
        for name, (layer, _) in accelerator.layers.items()
    ]
