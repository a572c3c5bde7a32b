"""`hwgen synth`: the board's synthesis over a build's Verilog, figures into its manifest."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from hwgen.board import load_board
from hwgen.build.synthesize import synthesize
from hwgen.build_directory import read_manifest, update_manifest
from hwgen.report.html import write_html


def synthesize_build(directory: Path) -> dict[str, Any]:
    """Synthesize and return the manifest with `resources.synthesized` filled in."""
    manifest: dict[str, Any] = read_manifest(directory)
    files = [directory / name for name in manifest["rtl"]]
    board = load_board(manifest["board"])
    result = synthesize(files, manifest["top"], board, directory / "synth")
    resources = {**manifest["resources"], "synthesized": result.resources.as_dict()}
    updated = update_manifest(directory, resources=resources)
    write_html(directory, updated)
    return updated
