"""The build directory: written beside its place, moved there whole, so none is ever half there."""

from __future__ import annotations

import json
import os
import shutil
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from hwgen.errors import HwgenError

MANIFEST = "manifest.json"


@contextmanager
def staged_directory(out: Path) -> Iterator[Path]:
    """Give a fresh folder that becomes `out` when the block ends without an error.

    An earlier build in `out` is replaced; anything else there is left alone.

    Raises
    ------
    HwgenError : when `out` holds something that is not a build
    """
    out = out.resolve()
    if out.exists() and not is_build(out) and not (out.is_dir() and not any(out.iterdir())):
        raise HwgenError(
            f"{out} exists and is not an hwgen build; choose another --out or remove it"
        )
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
        staging = Path(tempfile.mkdtemp(prefix=f".{out.name}.", dir=out.parent))
    except OSError as error:
        raise HwgenError(f"{out}: cannot be written: {error.strerror}") from error
    try:
        staging.chmod(0o755)
        yield staging
        if out.exists():
            shutil.rmtree(out)
        staging.rename(out)
    finally:
        shutil.rmtree(staging, ignore_errors=True)


def is_build(folder: Path) -> bool:
    """Whether `folder` is a build directory."""
    return (folder / MANIFEST).is_file()


def read_manifest(folder: Path) -> dict[str, object]:
    """Return the manifest of a build directory.

    Raises
    ------
    HwgenError : when `folder` is not a build directory
    """
    try:
        manifest = json.loads((folder / MANIFEST).read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise HwgenError(
            f"{folder} is not a build directory (no {MANIFEST}); make one with "
            "`hwgen build MODEL.onnx --board ultra96 --out DIR`"
        ) from error
    except (OSError, ValueError) as error:
        raise HwgenError(f"{folder / MANIFEST} cannot be read: {error}; build it again") from error
    if not isinstance(manifest, dict):
        raise HwgenError(f"{folder / MANIFEST} is not a manifest; build it again")
    return manifest


def write_manifest(folder: Path, manifest: Mapping[str, object]) -> None:
    """Write the manifest, whole or not at all."""
    temporary = folder / f".{MANIFEST}.{os.getpid()}"
    temporary.write_text(json.dumps(manifest, indent=2) + "\n", encoding="utf-8")
    temporary.replace(folder / MANIFEST)


def update_manifest(folder: Path, **parts: object) -> dict[str, object]:
    """Add or replace top-level keys of a build's manifest and return it."""
    manifest = {**read_manifest(folder), **parts}
    write_manifest(folder, manifest)
    return manifest
