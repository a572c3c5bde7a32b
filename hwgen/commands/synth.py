"""`hwgen synth`: the board's synthesis over a build's Verilog, figures into its manifest."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any, Literal

from hwgen.board import load_board
from hwgen.build.synthesize import synthesize
from hwgen.build.vivado import run_vivado
from hwgen.build.vivado_reports import read_utilization, read_worst_slack_ns
from hwgen.build_directory import read_manifest, update_manifest
from hwgen.report.html import write_html

Tool = Literal["auto", "yosys", "vivado"]


def synthesize_build(directory: Path, tool: Tool = "auto") -> dict[str, Any]:
    """Synthesize and return the manifest with `resources.synthesized` filled in.

    Parameters
    ----------
    tool : "yosys", "vivado" (the whole board design, to the bitstream), or "auto": Vivado where it
        is on the PATH
    """
    manifest: dict[str, Any] = read_manifest(directory)
    use_vivado = tool == "vivado" or (tool == "auto" and shutil.which("vivado") is not None)
    measured = _by_vivado(directory, manifest) if use_vivado else _by_yosys(directory, manifest)
    resources = {**manifest["resources"], "synthesized": measured["synthesized"]}
    updated = update_manifest(directory, resources=resources, synthesis=measured["synthesis"])
    write_html(directory, updated)
    return updated


def _by_yosys(directory: Path, manifest: dict[str, Any]) -> dict[str, Any]:
    files = [directory / name for name in manifest["rtl"]]
    own = directory / f"{manifest['board']}.toml"
    board = load_board(own if own.is_file() else manifest["board"])
    result = synthesize(files, manifest["top"], board, directory / "synth")
    return {"synthesized": result.resources.as_dict(), "synthesis": {"tool": "yosys"}}


def _by_vivado(directory: Path, manifest: dict[str, Any]) -> dict[str, Any]:
    outputs = run_vivado(directory)
    slack_ns = read_worst_slack_ns(outputs.timing_report)
    period_ns = 1e3 / manifest["clock_mhz"]
    return {
        "synthesized": read_utilization(outputs.utilization_report).as_dict(),
        "synthesis": {
            "tool": "vivado",
            "worst_slack_ns": slack_ns,
            "fmax_mhz": 1e3 / (period_ns - slack_ns),
            "bitstream": str(outputs.bitstream.relative_to(directory)),
        },
    }
