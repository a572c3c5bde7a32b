"""`native_model`: the Verilated model of a build directory as a program of its own.

Compiled once: the program stays in the build directory's `native/` under a hash of everything it
was made from, and is used again until the Verilog, the options or the tools change.
"""

from __future__ import annotations

import hashlib
import importlib.metadata
import json
import shutil
import subprocess
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import cast

from hwgen.build_directory import read_manifest
from hwgen.errors import HwgenError, ToolError, VerificationError
from hwgen.resources import data_folder
from hwgen.verify.packing import BeatFormat
from hwgen.verify.verilator import verilator_environment

_VERILATOR_OPTIONS = (
    "--cc",
    "--exe",
    "--prefix",
    "Vmodel",
    "-O3",
    # Emitted registers all have a power-on value, so X would only cost time.
    "--x-assign",
    "fast",
    "--x-initial",
    "fast",
    "--no-assert",
    # Lint has its own gate; a file of at most so many operations keeps both cores of make busy.
    "-Wno-fatal",
    "-Wno-lint",
    "-Wno-style",
    "--output-split",
    "5000",
)
# Verilator has optimised already: -O2 and -O3 of g++ take longer and give no faster model.
_MAKE_VARIABLES = ("OPT_FAST=-O1", "OPT_SLOW=-O0", "OPT_GLOBAL=-O1")
_JOBS = "-j2"
_LOG_LINES = 15


@dataclass(frozen=True)
class NativeModel:
    """A compiled model and how to talk to it.

    Parameters
    ----------
    program : the executable
    inputs, outputs : layout of a beat
    input_beats, output_beats : of a frame
    output_shape : of a frame's codes
    interval_cycles, latency_cycles : what the manifest promises
    warm_up_frames : after so many the interval is steady
    compiled : whether Verilator had to run
    """

    program: Path
    inputs: BeatFormat
    outputs: BeatFormat
    input_beats: int
    output_beats: int
    output_shape: tuple[int, ...]
    interval_cycles: int
    latency_cycles: int
    warm_up_frames: int
    compiled: bool


def native_model(build: Path) -> NativeModel:
    """Return the model of build directory `build`, compiled now if need be.

    Raises
    ------
    VerificationError : when the build directory is not whole
    ToolError : when Verilator, make or the C++ compiler is missing or fails
    """
    build = Path(build).resolve()
    read_manifest(build)
    try:
        bench = json.loads((build / "tb" / "bench.json").read_text(encoding="utf-8"))
        sources = [(build / "tb" / name).resolve() for name in bench["sources"]]
        texts = [source.read_bytes() for source in sources]
    except (OSError, ValueError, KeyError) as error:
        raise VerificationError(
            f"{build}: {error}; the build directory is not whole, build the model again"
        ) from error
    environment = verilator_environment()
    harness = data_folder("rtl_templates") / "native" / "main.cpp"
    names = [source.name for source in sources]
    key = _fingerprint(names, [*texts, harness.read_bytes()], environment)
    program = build / "native" / key / "model"
    compiled = not program.is_file()
    if compiled:
        _compile(program, str(bench["top"]), [*sources, harness], environment)
    return _describe(program, bench, compiled)


def _describe(program: Path, bench: Mapping[str, object], compiled: bool) -> NativeModel:
    ports = cast(Mapping[str, Mapping[str, object]], bench)
    source, sink = ports["input"], ports["output"]
    return NativeModel(
        program=program,
        inputs=BeatFormat(**cast(dict[str, int], source["format"])),  # type: ignore[arg-type]
        outputs=BeatFormat(**cast(dict[str, int], sink["format"])),  # type: ignore[arg-type]
        input_beats=cast(int, source["beats"]),
        output_beats=cast(int, sink["beats"]),
        output_shape=tuple(cast(list[int], sink["shape"])),
        interval_cycles=cast(int, bench["interval_cycles"]),
        latency_cycles=cast(int, bench["latency_cycles"]),
        warm_up_frames=cast(int, bench["rate_frames"]) // 2,
        compiled=compiled,
    )


def _fingerprint(
    names: Sequence[str], texts: Sequence[bytes], environment: Mapping[str, str]
) -> str:
    """Return a hash of all that the program depends on."""
    facts = [
        *_VERILATOR_OPTIONS,
        *_MAKE_VARIABLES,
        importlib.metadata.version("verilator"),
        environment.get("CXX", ""),
        *names,
        *(hashlib.sha256(text).hexdigest() for text in texts),
    ]
    return hashlib.sha256("\n".join(facts).encode()).hexdigest()[:24]


def _compile(
    program: Path, top: str, sources: Sequence[Path], environment: Mapping[str, str]
) -> None:
    """Compile beside the program's place and move it there whole; older models go away."""
    compiler = environment.get("CXX", "g++")
    for tool, advice in (("make", "make"), (compiler, "g++")):
        if shutil.which(tool, path=environment["PATH"]) is None:
            raise ToolError(
                f"{tool}: not found on the PATH, and the RTL engine compiles C++; install it "
                f"(Debian: apt install {advice}) or use --engine reference"
            )
    folder = program.parent.parent
    try:
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix=".compile.", dir=folder) as staging:
            verilate = ["verilator", *_VERILATOR_OPTIONS, "--top-module", top]
            verilate += ["-Mdir", staging, "-o", "model", *map(str, sources)]
            _run(verilate, environment)
            make = ["make", "-C", staging, "-f", "Vmodel.mk", _JOBS, *_MAKE_VARIABLES]
            _run([*make, f"CXX={compiler}", f"LINK={compiler}"], environment)
            program.parent.mkdir(exist_ok=True)
            (Path(staging) / "model").replace(program)
    except OSError as error:
        raise HwgenError(f"{folder}: cannot be written: {error.strerror}") from error


def _run(command: Sequence[str], environment: Mapping[str, str]) -> None:
    done = subprocess.run(
        command,
        env=environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        encoding="utf-8",
        errors="replace",
        check=False,
    )
    if done.returncode == 0:
        return
    lines = [line for line in done.stdout.splitlines() if line.strip()]
    wrong = [line for line in lines if "error" in line.lower()] or lines
    shown = "\n".join(f"  {line[:200]}" for line in wrong[:_LOG_LINES])
    raise ToolError(
        f"{command[0]}: failed with exit code {done.returncode} on the model's Verilog:\n{shown}"
    )
