"""`run_yosys`: yosys in a process of its own.

pyosys prints to the C library's standard output, and an error in a pass ends the process it runs
in. Here both stay in a child: the log comes back as text, an error as a `ToolError`.

Source: https://yosyshq.readthedocs.io/projects/yosys (command reference, pyosys).
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from hwgen.errors import ToolError

_WORKER = Path(__file__).with_name("yosys_worker.py")
_LOG_LINES_IN_ERROR = 12


def run_yosys(
    commands: Sequence[str], *, cwd: Path | None = None, timeout_s: float | None = None
) -> str:
    """Run `commands` one after the other on an empty design and return the log.

    Parameters
    ----------
    commands : yosys commands, one each; file names go through `quote_path`
    cwd : folder that relative file names in the commands refer to
    timeout_s : give up after so many seconds; None waits for ever

    Raises
    ------
    ToolError
        When a command fails, yosys crashes or the time is up; shows the end of the log.
    """
    try:
        done = subprocess.run(
            # -P: a file called pyosys.py or json.py in the current folder is never imported.
            [sys.executable, "-P", str(_WORKER)],
            input=json.dumps(list(commands)),
            capture_output=True,
            encoding="utf-8",
            errors="replace",
            cwd=cwd,
            timeout=timeout_s,
            env={**os.environ, "LC_ALL": "C"},
            check=False,
        )
    except subprocess.TimeoutExpired as expired:
        raise ToolError(
            f"yosys: not done after {timeout_s:g} s (commands: {_abbreviate(commands)}); "
            "try a smaller design, or more folding, or a longer time limit"
        ) from expired
    if done.returncode != 0:
        raise ToolError(_failure(commands, done))
    return done.stdout


def quote_path(path: Path | str) -> str:
    """Return `path`, absolute, as one word of a yosys command.

    Raises
    ------
    ToolError
        When the path holds a character that yosys cannot quote.
    """
    absolute = os.path.abspath(path)
    if not absolute.isprintable() or '"' in absolute:
        raise ToolError(
            f"yosys: cannot be given the path {absolute!r}; use one without double quotes "
            "and control characters"
        )
    return f'"{absolute}"'


def _failure(commands: Sequence[str], done: subprocess.CompletedProcess[str]) -> str:
    output = [*done.stdout.splitlines(), *done.stderr.splitlines()]
    if "No module named 'pyosys'" in done.stderr:
        return "yosys: the Python package pyosys is missing; pip install pyosys"
    end = [line for line in output if line.strip()][-_LOG_LINES_IN_ERROR:]
    how = f"signal {-done.returncode}" if done.returncode < 0 else f"exit code {done.returncode}"
    return "\n".join(
        [f"yosys: failed with {how} (commands: {_abbreviate(commands)}); the log ends:"]
        + [f"  {line}" for line in end]
    )


def _abbreviate(commands: Sequence[str]) -> str:
    text = "; ".join(commands)
    return text if len(text) <= 300 else text[:297] + "..."
