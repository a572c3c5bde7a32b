"""`hwgen build`: options as the user gives them, checked, then the pipeline."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

from hwgen.adders.compiled import COMPILED
from hwgen.errors import MappingError
from hwgen.mapping.menus import FIELDS
from hwgen.pipeline import BuildOptions, Folding, build_directory


def build_model(
    model: Path,
    out: Path,
    *,
    board: str,
    target_fps: float | None = None,
    clock_mhz: float | None = None,
    folding: Path | None = None,
    effort: float = 0.0,
    seed: int = 0,
    dump_ir: Path | None = None,
    progress: Callable[[str, int, int], None] | None = None,
) -> dict[str, object]:
    """Build ONNX file `model` into folder `out` and return the manifest.

    Parameters
    ----------
    board : name of a board, or the path of a board file
    target_fps : frames a second to reach; None builds the fastest design that fits
    clock_mhz : None takes the board's default
    folding : JSON file by layer name, as a build leaves one in `folding.json`
    effort : search for the adders of each unrolled layer, in seconds of a common core; it counts
        work, not time, so the same effort gives the same hardware everywhere
    progress : called with a stage's name, its number and their count

    Raises
    ------
    HwgenError : whatever is wrong with model, board or options; `out` is then as before
    """
    if target_fps is not None and not target_fps > 0:
        raise MappingError(f"--target-fps is {target_fps:g}, expected a positive number")
    if not 0 <= effort < float("inf"):
        raise MappingError(f"--effort is {effort:g}, expected 0 or more seconds for each layer")
    options = BuildOptions(
        board=board,
        clock_mhz=clock_mhz,
        target_fps=target_fps,
        folding=read_folding(folding) if folding is not None else {},
        effort=effort,
        dump_ir=dump_ir,
        seed=seed,
    )
    return build_directory(model, out, options, progress)


def default_effort() -> float:
    """Return the effort of `hwgen build`: none without numba, where it takes 100 times longer."""
    return 20.0 if COMPILED else 0.0


def read_folding(path: Path) -> Folding:
    """Return the foldings in JSON file `path`, by layer name."""
    try:
        table = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise MappingError(f"{path}: cannot be read as JSON: {error}") from error
    shaped = isinstance(table, dict) and all(
        isinstance(row, dict) and set(row) <= {*FIELDS, "kernel"} for row in table.values()
    )
    if not shaped:
        raise MappingError(
            f'{path}: expected {{"LAYER": {{"pe": 4, "simd": 8, "kernel": "mac"}}}}, with any of '
            f"the keys {', '.join(FIELDS)}, kernel for each layer, as in a build's folding.json"
        )
    return dict(table)
