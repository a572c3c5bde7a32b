"""Where things lie: the data folders `boards/`, `rtl_templates/`, `examples/`; the cache.

In a checkout they stand beside the package, in a wheel inside it (`hwgen/_data`; see
`force-include` in pyproject.toml).
"""

from __future__ import annotations

import os
from pathlib import Path

from hwgen.errors import ToolError

_PACKAGE = Path(__file__).resolve().parent


def data_folder(name: str) -> Path:
    """Return the folder `name`: "boards", "rtl_templates" or "examples"."""
    candidates = [_PACKAGE / "_data" / name, _PACKAGE.parent / name]
    for candidate in candidates:
        if candidate.is_dir():
            return candidate
    looked = " and ".join(str(candidate) for candidate in candidates)
    raise ToolError(f"hwgen: its folder {name!r} is neither in {looked}; install hwgen again")


def cache_folder() -> Path:
    """Return `$HWGEN_CACHE`, or the user's cache folder for hwgen."""
    given = os.environ.get("HWGEN_CACHE")
    return Path(given) if given else Path.home() / ".cache" / "hwgen"
