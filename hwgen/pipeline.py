"""The table of contents: from a model file to a build directory, stage by stage.

Each stage takes the build so far and returns it with one thing more; a build can stop after any
of them. `hwgen build` and `hwgen.build` run this list and nothing else.
"""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

from hwgen import __version__
from hwgen.board import Board, load_board
from hwgen.build.bench import write_bench
from hwgen.build.driver import DriverInfo, FrameFormat, write_driver
from hwgen.build.emit import EmittedDesign, ModelInfo, emit_verilog
from hwgen.build.manifest import folding_file, manifest_of
from hwgen.build.reference import write_reference
from hwgen.build.vivado import DesignInfo, write_vivado_project
from hwgen.build_directory import staged_directory, write_manifest
from hwgen.errors import HwgenError
from hwgen.frontend import load
from hwgen.ir import Graph, Layout, TensorType
from hwgen.mapping.folding import fold
from hwgen.mapping.memories import in_ultra_ram
from hwgen.mapping.streams import connect_lanes, insert_fifos
from hwgen.mapping.targets import target_of, with_target
from hwgen.passes import PASSES, run_passes
from hwgen.report.html import write_html

Folding = Mapping[str, Mapping[str, int | str]]


@dataclass(frozen=True)
class BuildOptions:
    """What the user asks for.

    Parameters
    ----------
    board : name of a board, or the path of a board file
    clock_mhz : clock of the design; None takes the board's default
    target_fps : frames a second to reach; None builds the fastest design that fits
    folding : pe, simd and kernel by layer name, where the user decides
    effort : search for the adders of each unrolled layer, in seconds of a common core
    dump_ir : folder for the graph after every pass
    frames, seed : of the verification vectors stored with the build
    """

    board: str
    clock_mhz: float | None = None
    target_fps: float | None = None
    folding: Folding = field(default_factory=dict)
    effort: float = 0.0
    dump_ir: Path | None = None
    frames: int = 64
    seed: int = 0


@dataclass(frozen=True)
class Build:
    """A build in progress; each stage fills in one more part."""

    model: Path
    sha256: str
    options: BuildOptions
    board: Board
    clock_mhz: float
    out: Path
    graph: Graph | None = None
    design: EmittedDesign | None = None
    manifest: dict[str, object] = field(default_factory=dict)

    @property
    def network(self) -> Graph:
        """The graph as it stands."""
        if self.graph is None:
            raise HwgenError("the model has not been imported yet")
        return self.graph

    @property
    def hardware(self) -> EmittedDesign:
        """The emitted design."""
        if self.design is None:
            raise HwgenError("no hardware has been emitted yet")
        return self.design


def import_model(build: Build) -> Build:
    """ONNX to a graph of integer codes."""
    return replace(build, graph=load(build.model))


def find_integer_functions(build: Build) -> Build:
    """Every chain of float nodes becomes the cheapest exact integer function."""
    return replace(build, graph=run_passes(build.network, PASSES, dump_dir=build.options.dump_ir))


def fold_layers(build: Build) -> Build:
    """Kernel, pe and simd of every layer, within the board."""
    options = build.options
    target = target_of(build.board, build.clock_mhz, options.effort)
    network = with_target(build.network, target)
    folded = fold(network, build.board, build.clock_mhz, options.target_fps, options.folding)
    return replace(build, graph=folded)


def connect_streams(build: Build) -> Build:
    """Lane converters and FIFOs."""
    connected = insert_fifos(connect_lanes(build.network))
    return replace(build, graph=in_ultra_ram(connected, build.board))


def emit_hardware(build: Build) -> Build:
    """Verilog, one module a layer."""
    info = ModelInfo(bytes.fromhex(build.sha256), __version__, build.model.name)
    return replace(build, design=emit_verilog(build.network, build.out / "rtl", info))


def describe(build: Build) -> Build:
    """The manifest, and the folding in a file of its own that can be edited and given back."""
    manifest = manifest_of(
        build.network, build.board, build.clock_mhz, build.model.name, build.sha256
    )
    manifest["top"] = build.hardware.top
    if build.options.board.endswith(".toml"):  # the user's own: later commands need it again
        shutil.copyfile(build.options.board, build.out / f"{build.board.name}.toml")
    manifest["rtl"] = [f"rtl/{path.name}" for path in build.hardware.files]
    manifest["seed"] = build.options.seed
    write_manifest(build.out, manifest)
    text = json.dumps(folding_file(build.network), indent=1) + "\n"
    (build.out / "folding.json").write_text(text, encoding="utf-8")
    return replace(build, manifest=manifest)


def write_golden(build: Build) -> Build:
    """Model, graph and vectors that the hardware is compared with."""
    options = build.options
    write_reference(build.out, build.model, build.network, options.frames, options.seed)
    return build


def write_cocotb_bench(build: Build) -> Build:
    """A bench that runs by itself with `make`."""
    write_bench(build.out, build.network, build.hardware, build.sha256)
    return build


def write_tool_flow(build: Build) -> Build:
    """The project files of the board's tools, and a driver for its host."""
    graph, design = build.network, build.hardware
    info = DesignInfo(design.top, design.files, design.s_axis_bits, design.m_axis_bits)
    write_vivado_project(build.out, build.board, info, build.clock_mhz)
    driver = DriverInfo(
        top=design.top,
        input=_frame_format(
            graph.inputs[0].type,
            graph.nodes[0].op.lanes[0],
            design.s_axis_bits,
            graph.inputs[0].layout,
        ),
        output=_frame_format(
            graph.types[graph.outputs[0]],
            graph.nodes[-1].op.lanes[1],
            design.m_axis_bits,
            graph.output_layout,
        ),
        model_sha256=build.sha256,
    )
    write_driver(build.out / "driver", driver)
    return build


def _frame_format(
    kind: TensorType, lanes: int, tdata_bits: int, layout: Layout | None
) -> FrameFormat:
    return FrameFormat(kind.codes, kind.shape, lanes, tdata_bits, layout)


def write_report(build: Build) -> Build:
    """The HTML page."""
    write_html(build.out, build.manifest)
    return build


Stage = Callable[[Build], Build]

STAGES: dict[str, Stage] = {
    "import": import_model,
    "tabulate": find_integer_functions,
    "fold": fold_layers,
    "connect": connect_streams,
    "emit": emit_hardware,
    "describe": describe,
    "reference": write_golden,
    "bench": write_cocotb_bench,
    "flow": write_tool_flow,
    "report": write_report,
}


def start(model: Path, out: Path, options: BuildOptions) -> Build:
    """Return a build to which no stage has been applied."""
    board = load_board(options.board)
    clock_mhz = options.clock_mhz if options.clock_mhz is not None else board.default_clock_mhz
    board.check_clock(clock_mhz)
    try:
        data = model.read_bytes()
    except OSError as error:
        raise HwgenError(f"{model}: cannot be read: {error.strerror}") from error
    return Build(model, hashlib.sha256(data).hexdigest(), options, board, clock_mhz, out)


def run_stages(
    build: Build,
    stop_after: str | None = None,
    progress: Callable[[str, int, int], None] | None = None,
) -> Build:
    """Apply the stages in order.

    Parameters
    ----------
    stop_after : name of the last stage to apply; None applies all
    progress : called with a stage's name, its number and their count before it runs
    """
    if stop_after is not None and stop_after not in STAGES:
        raise HwgenError(f"no stage is called {stop_after!r}; there are {', '.join(STAGES)}")
    for number, (name, stage) in enumerate(STAGES.items()):
        if progress is not None:
            progress(name, number, len(STAGES))
        build = stage(build)
        if name == stop_after:
            break
    return build


def build_directory(
    model: Path,
    out: Path,
    options: BuildOptions,
    progress: Callable[[str, int, int], None] | None = None,
) -> dict[str, object]:
    """Build `model` into folder `out` and return the manifest; on an error `out` is as before."""
    with staged_directory(out) as staging:
        return run_stages(start(model, staging, options), progress=progress).manifest
