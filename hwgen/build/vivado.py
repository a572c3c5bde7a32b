"""The Vivado flow: a Tcl project that packages the RTL, builds a block design and a bitstream.

`write_vivado_project` needs no Vivado; `run_vivado` does. The scripts name their files relative
to themselves, so the build directory can be moved to the machine that has a licence.

Source: AMD UG835 (Tcl commands), UG994 (IP integrator), PG021 (AXI DMA), PG085 (width converter).
"""

from __future__ import annotations

import math
import os
import re
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

from hwgen.board import Board
from hwgen.build.templates import check_identifier, render
from hwgen.errors import ToolError

SCRIPTS = ("build.tcl", "package_ip.tcl", "block_design.tcl", "implement.tcl")
DMA_STREAM_BITS = (8, 16, 32, 64, 128, 256, 512, 1024)
_CONVERTER_BYTES = 512  # PG085: widest port, and limit on the common multiple of both widths
_REGISTER_BYTES = 4096


@dataclass(frozen=True)
class DesignInfo:
    """What the shell must know of the network it surrounds.

    Parameters
    ----------
    top : the top module, with ports aclk, aresetn, s_axis_*, m_axis_*, s_axil_*
    rtl_files : every Verilog source
    s_axis_tdata_bits, m_axis_tdata_bits : multiples of 8
    """

    top: str
    rtl_files: tuple[Path, ...]
    s_axis_tdata_bits: int
    m_axis_tdata_bits: int
    vendor: str = "hwgen"
    version: str = "1.0"

    def __post_init__(self) -> None:
        check_identifier(self.top, "the top module's name")
        check_identifier(self.vendor, "the IP's vendor")
        if not re.fullmatch(r"\d+\.\d+", self.version):
            raise ToolError(f"the IP's version is {self.version!r}, expected like '1.0'")
        for port, bits in (("s_axis", self.s_axis_tdata_bits), ("m_axis", self.m_axis_tdata_bits)):
            if bits <= 0 or bits % 8:
                raise ToolError(f"{port}_tdata has {bits} bits, expected a multiple of 8")

    @property
    def vlnv(self) -> str:
        """Vivado's name of the packaged IP: vendor, library, name, version."""
        return f"{self.vendor}:nn:{self.top}:{self.version}"


@dataclass(frozen=True)
class VivadoOutputs:
    """Files that a finished run leaves in the project folder."""

    bitstream: Path
    handoff: Path
    platform: Path
    utilization_report: Path
    timing_report: Path


def write_vivado_project(
    build_dir: Path, board: Board, design: DesignInfo, clock_mhz: float
) -> Path:
    """Write the Tcl scripts into `build_dir`/vivado and return the one to source, `build.tcl`."""
    board.check_clock(clock_mhz)
    missing = [str(file) for file in design.rtl_files if not file.is_file()]
    if missing or not design.rtl_files:
        raise ToolError(
            f"{design.top}: no such Verilog file: {', '.join(missing) or '(none given)'}"
        )
    folder = build_dir / "vivado"
    values = {
        "board": board,
        "design": design,
        "clock_mhz": clock_mhz,
        "rtl_files": [_relative(file, folder) for file in design.rtl_files],
        "input_dma_bits": dma_stream_bits(design.s_axis_tdata_bits),
        "output_dma_bits": dma_stream_bits(design.m_axis_tdata_bits),
        "processor_template": f"vivado/{board.vivado.processor}.tcl.j2",
        "register_bytes": _REGISTER_BYTES,
    }
    scripts = {name: render(f"vivado/{name}.j2", **values) for name in SCRIPTS}
    folder.mkdir(parents=True, exist_ok=True)
    for name, text in scripts.items():
        (folder / name).write_text(text, encoding="ascii", newline="\n")
    return folder / "build.tcl"


def run_vivado(build_dir: Path) -> VivadoOutputs:
    """Run `build_dir`/vivado/build.tcl to the end.

    Raises
    ------
    ToolError
        When Vivado is not installed, fails, or leaves a result out.
    """
    script = build_dir / "vivado" / "build.tcl"
    if not script.is_file():
        raise ToolError(f"{script}: not there; run hwgen build with a board whose flow is vivado")
    program = shutil.which("vivado")
    if program is None:
        raise ToolError(
            "vivado: not on the PATH. Source settings64.sh of your Vivado installation and try "
            f"again, or copy {build_dir} to a machine that has it and run there: "
            "vivado -mode batch -source vivado/build.tcl"
        )
    command = [program, "-mode", "batch", "-nojournal", "-log", "build.log", "-source", script.name]
    done = subprocess.run(
        command,
        cwd=script.parent,
        capture_output=True,
        encoding="utf-8",
        errors="replace",
        check=False,
    )
    if done.returncode != 0:
        lines = done.stdout.splitlines() + done.stderr.splitlines()
        errors = [line for line in lines if line.startswith(("ERROR", "hwgen:"))] or lines
        end = "\n".join(f"  {line}" for line in errors[-12:])
        log = script.with_name("build.log")
        raise ToolError(f"vivado: failed with exit code {done.returncode}; see {log}:\n{end}")
    return _outputs(script.parent)


def dma_stream_bits(tdata_bits: int) -> int:
    """Return the stream width of the DMA for a port of `tdata_bits`.

    Its own width if the DMA has it; otherwise the widest from which a converter can get there,
    up to the next power of two.
    """
    if tdata_bits in DMA_STREAM_BITS:
        return tdata_bits
    fitting = [
        bits
        for bits in DMA_STREAM_BITS
        if bits < 2 * tdata_bits and math.lcm(bits, tdata_bits) <= 8 * _CONVERTER_BYTES
    ]
    if not fitting:
        raise ToolError(
            f"a stream of {tdata_bits} bits cannot be converted to any width of the AXI DMA (up to "
            f"{8 * _CONVERTER_BYTES}); fold the first or last layer more, so that fewer lanes "
            "come and go in a cycle"
        )
    return fitting[-1]


def _relative(file: Path, out_dir: Path) -> str:
    return Path(os.path.relpath(file, out_dir)).as_posix()


def _outputs(folder: Path) -> VivadoOutputs:
    names = {"bitstream": "*.bit", "handoff": "*.hwh", "platform": "*.xsa"}
    names |= {"utilization_report": "utilization.rpt", "timing_report": "timing.rpt"}
    found = {}
    for field, pattern in names.items():
        matches = sorted(folder.glob(pattern))
        if not matches:
            raise ToolError(f"vivado: ended without an error but left no {pattern} in {folder}")
        found[field] = matches[0]
    return VivadoOutputs(**found)
