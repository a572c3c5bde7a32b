"""`hwgen verify`: the regression, as plain data; the report page learns of it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from hwgen.build_directory import read_manifest
from hwgen.report.html import write_html
from hwgen.verify.regression import verify


def verify_build(
    directory: Path,
    frames: int = 64,
    seed: int = 0,
    junit: Path | None = None,
    waves: bool = False,
    progress: Callable[[str, int, int], None] | None = None,
) -> dict[str, Any]:
    """Verify a build directory and return what was found; `passed` says it all."""
    result = verify(directory, frames, seed, junit, waves, progress)
    write_html(directory, read_manifest(directory))
    return result.as_dict()
