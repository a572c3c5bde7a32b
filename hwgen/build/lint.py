"""`python -m hwgen.build.lint PATH...`: Verilator's lint over Verilog files and folders.

A file is linted as a library of its own, a folder's `*.v` files together. `hwgen.build` output
must pass with exactly the rules waived that `rtl_templates/lint/waive.vlt` names.

Source: https://verilator.org/guide/latest/warnings.html
"""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from hwgen.errors import HwgenError, ToolError
from hwgen.resources import data_folder
from hwgen.verify.verilator import verilator_environment


def lint_verilog(files: Sequence[Path], top: str | None = None) -> None:
    """Raise ToolError, with Verilator's words, unless `files` together pass `-Wall`.

    Parameters
    ----------
    files : Verilog sources of one design
    top : the top module; without it Verilator takes the one that nobody instantiates
    """
    waivers = data_folder("rtl_templates") / "lint" / "waive.vlt"
    command = ["verilator", "--lint-only", "-Wall"]
    if top is not None:
        command += ["--top-module", top]
    command += [str(waivers.resolve()), *(str(Path(file).resolve()) for file in files)]
    done = subprocess.run(
        command, env=verilator_environment(), capture_output=True, text=True, check=False
    )
    if done.returncode != 0 or done.stderr.strip():
        names = ", ".join(Path(file).name for file in files)
        raise ToolError(f"verilator --lint-only -Wall on {names}:\n{done.stderr.strip()}")


def main(arguments: Sequence[str]) -> int:
    """Lint each path; return the exit code."""
    faults = []
    for path in map(Path, arguments):
        files = sorted(path.glob("*.v")) if path.is_dir() else [path]
        try:
            if not files:
                raise ToolError(f"{path}: no Verilog in this folder")
            lint_verilog(files)
        except HwgenError as error:
            faults.append(str(error))
    for fault in faults:
        sys.stderr.write(f"{fault}\n")
    sys.stdout.write(f"Verilog lint: {len(arguments)} checked, {len(faults)} faulty\n")
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
