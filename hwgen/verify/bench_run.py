"""Run a build's own bench in a process of its own and read what it found.

The bench is `tb/run.py`, the one that `make` calls; nothing of cocotb is imported here.
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from xml.etree import ElementTree

import numpy as np

from hwgen.errors import ToolError, VerificationError
from hwgen.ir import Codes
from hwgen.verify.mismatch import Recording
from hwgen.verify.verilator import verilator_environment

_PASSED, _FAILED, _TOOL_FAILED = 0, 1, 3
_LOG_LINES = 15


@dataclass(frozen=True)
class BenchRun:
    """What one run of the bench left.

    Parameters
    ----------
    folder : of all its files
    measured : content of measured.json
    ran : names of the tests that ran
    failures : "test: reason" of those that failed
    compiled : whether Verilator had to run
    """

    folder: Path
    measured: Mapping[str, object]
    ran: tuple[str, ...]
    failures: tuple[str, ...]
    compiled: bool

    def recordings(self) -> list[Recording]:
        """Return what the probes saw."""
        rows = json.loads((self.folder / "probes.json").read_text(encoding="utf-8"))
        return [
            Recording(
                [int(beat, 16) for beat in row["beats"]], row["cycles"], row["valid"], row["ready"]
            )
            for row in rows
        ]


def run_bench(
    build: Path,
    results: Path,
    vectors: tuple[Codes, Codes],
    seed: int,
    *,
    only: str | None = None,
    probe: bool = False,
    waves: bool = False,
    progress: Callable[[str], None] = lambda line: None,
) -> BenchRun:
    """Compile if need be, simulate, and collect the results.

    Parameters
    ----------
    build : build directory
    results : folder to write to
    vectors : input and output codes
    only : name of the one test to run; None runs all
    probe : record every layer's output
    waves : record dump.vcd
    progress : called with each line the bench prints

    Raises
    ------
    ToolError : when Verilator or the C++ compiler is missing or fails
    VerificationError : when the simulation crashed and left no results
    """
    _write_inputs(results, vectors)
    environment = verilator_environment()
    environment |= {"HWGEN_SEED": str(seed), "HWGEN_RESULTS": str(results)}
    environment |= {"HWGEN_VECTORS": str(results), "PYTHONUNBUFFERED": "1"}
    for name in ("HWGEN_PROBE", "COCOTB_TEST_FILTER", "COCOTB_TESTCASE", "WAVES"):
        environment.pop(name, None)
    if probe:
        environment["HWGEN_PROBE"] = "1"
    if only is not None:
        environment["COCOTB_TEST_FILTER"] = rf"\.{only}$"
    code, output = _execute(build / "tb", environment, waves, progress)
    if code == _TOOL_FAILED:
        raise ToolError(f"verilator: {output.strip()}{_end_of(results / 'compile.log')}")
    junit, measured = results / "results.xml", results / "measured.json"
    if code not in (_PASSED, _FAILED) or not junit.is_file() or not measured.is_file():
        raise VerificationError(
            f"the simulation of {build.name} ended with exit code {code} and without results; "
            f"seed {seed}\n{output.strip()}{_end_of(results / 'simulation.log')}"
        )
    ran, failures = _read_junit(junit)
    if code == _FAILED and not failures:
        raise VerificationError(f"the bench of {build.name} ran no test{_end_of(junit)}")
    facts = json.loads(measured.read_text(encoding="utf-8"))
    return BenchRun(results, facts, ran, failures, "compiled the model" in output)


def _write_inputs(results: Path, vectors: tuple[Codes, Codes]) -> None:
    results.mkdir(parents=True, exist_ok=True)
    for name in ("results.xml", "measured.json", "probes.json", "simulation.log"):
        (results / name).unlink(missing_ok=True)
    np.save(results / "input.npy", vectors[0])
    np.save(results / "output.npy", vectors[1])


def _execute(
    folder: Path, environment: dict[str, str], waves: bool, progress: Callable[[str], None]
) -> tuple[int, str]:
    command = [sys.executable, "run.py", *(["--waves"] if waves else [])]
    try:
        child = subprocess.Popen(
            command,
            cwd=folder,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            encoding="utf-8",
            errors="replace",
        )
    except OSError as error:
        raise VerificationError(
            f"{folder}: the bench cannot be started: {error.strerror}; build the model again"
        ) from error
    lines = []
    with child:
        for line in child.stdout or ():
            lines.append(line)
            progress(line.rstrip())
    return child.returncode, "".join(lines)


def _end_of(log: Path) -> str:
    """Return the lines of a log that matter: those with errors, else its end."""
    if not log.is_file():
        return ""
    lines = log.read_text(encoding="utf-8", errors="replace").splitlines()
    errors = [line for line in lines if "error" in line.lower()]
    shown = [f"  {line[:200]}" for line in (errors or lines)[-_LOG_LINES:]]
    return "\n".join([f"\n{log.name} says:", *shown])


def _read_junit(path: Path) -> tuple[tuple[str, ...], tuple[str, ...]]:
    ran, failures = [], []
    for case in ElementTree.parse(path).getroot().iter("testcase"):
        name = str(case.get("name"))
        if case.find("skipped") is not None:
            continue
        ran.append(name)
        for kind in ("failure", "error"):
            for found in case.findall(kind):
                reason = found.get("error_msg") or found.get("message") or found.text or kind
                failures.append(f"{name}: {reason.strip().removeprefix(f'{name}: ')}")
    return tuple(ran), tuple(failures)
