"""Where the data folders are: `boards/`, `rtl_templates/` and `examples/`.

In a checkout they stand beside the package, in a wheel inside it (`hwgen/_data`; see
`force-include` in pyproject.toml).
"""

from __future__ import annotations

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
