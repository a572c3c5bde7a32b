"""`hwgen ...`: the command line. Each command calls one function of the Python API.

Exit codes: 0 done, 1 the model or data are at fault, 2 usage, 3 a tool is missing or failed.
Imports of the heavy parts happen inside the commands, so that `hwgen --help` is instant.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any, Literal

import typer

from hwgen import __version__
from hwgen.errors import HwgenError

app = typer.Typer(
    name="hwgen",
    help="From a quantized network to Verilog that computes the same integers.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)

Json = Annotated[bool, typer.Option("--json", help="Print one JSON object for machines.")]
BoardOption = Annotated[str, typer.Option("--board", help="Board name or path of a board file.")]
Model = Annotated[Path, typer.Argument(help="ONNX model (QONNX nodes).", metavar="MODEL.onnx")]
BuildDir = Annotated[Path, typer.Argument(help="A build directory.", metavar="DIR")]


@contextmanager
def reporting_errors(as_json: bool) -> Iterator[None]:
    """Turn every error a user can cause into one message and an exit code."""
    try:
        yield
    except HwgenError as error:
        if as_json:
            print(json.dumps({"error": str(error), "kind": type(error).__name__}, indent=2))
        print(f"error: {error}", file=sys.stderr)
        raise typer.Exit(error.exit_code) from error
    except KeyboardInterrupt as error:
        print("interrupted", file=sys.stderr)
        raise typer.Exit(130) from error


def emit(as_json: bool, data: object, show: Callable[[], None]) -> None:
    """Print `data` as JSON, or call `show` for people."""
    if as_json:
        print(json.dumps(data, indent=2))
    else:
        show()


@contextmanager
def progress_bar(as_json: bool) -> Iterator[Callable[[str, int, int], None]]:
    """Give a `progress(what, done, total)` that draws a bar on a terminal and nothing elsewhere."""
    if as_json or not sys.stderr.isatty():
        yield lambda what, done, total: None
        return
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

    columns = (TextColumn("{task.description:<14}"), BarColumn(), TimeElapsedColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task("", total=1)

        def update(what: str, done: int, total: int) -> None:
            bar.update(task, description=what, completed=done, total=total)

        yield update


def version(wanted: bool) -> None:
    """Print the version and stop."""
    if wanted:
        print(f"hwgen {__version__}")
        raise typer.Exit


@app.callback()
def root(
    show_version: Annotated[
        bool, typer.Option("--version", callback=version, is_eager=True, help="Print the version.")
    ] = False,
) -> None:
    """From a quantized network to Verilog that computes the same integers."""


@app.command()
def check(
    model: Model,
    samples: Annotated[
        Path | None, typer.Option(help="Frames (.npy) to compare with the float execution.")
    ] = None,
    as_json: Json = False,
) -> None:
    """Say what each node of a model becomes, or why it cannot be built and what to do."""
    with reporting_errors(as_json):
        from hwgen.commands.check import check_model

        report = check_model(model, samples)
        emit(as_json, report.as_dict(), report.show)
        if report.problems:
            raise typer.Exit(1)


@app.command()
def convert(
    model: Model,
    target: Annotated[Path, typer.Argument(help="ONNX model to write.", metavar="OUT.onnx")],
    as_json: Json = False,
) -> None:
    """Write a model as hls4ml's ONNX front end reads it: channels last, the same numbers."""
    with reporting_errors(as_json):
        from hwgen.commands.convert import convert_model, show_conversion

        summary = convert_model(model, target)
        emit(as_json, summary, lambda: print(show_conversion(summary)))


@app.command()
def build(
    model: Model,
    board: BoardOption,
    out: Annotated[Path | None, typer.Option(help="Build directory [MODEL_BOARD].")] = None,
    target_fps: Annotated[
        float | None, typer.Option(help="Frames a second to reach; default: fastest that fits.")
    ] = None,
    clock: Annotated[float | None, typer.Option(help="Clock in MHz [the board's].")] = None,
    folding: Annotated[
        Path | None, typer.Option(help='JSON: {"LAYER": {"pe": 4, "simd": 8, "kernel": "mac"}}.')
    ] = None,
    effort: Annotated[
        float | None,
        typer.Option(
            envvar="HWGEN_EFFORT",
            help="Seconds of search for the adders of each unrolled layer [20; 0 without numba].",
        ),
    ] = None,
    seed: Annotated[int, typer.Option(help="Seed of the stored verification vectors.")] = 0,
    dump_ir: Annotated[Path | None, typer.Option(help="Write the graph after each pass.")] = None,
    as_json: Json = False,
) -> None:
    """Build a model for a board: Verilog, bench, tool project, driver, report."""
    with reporting_errors(as_json):
        from hwgen.commands.build import build_model, default_effort
        from hwgen.report.terminal import show_manifest

        folder = out or Path(f"{model.stem}_{Path(board).stem}")
        with progress_bar(as_json) as progress:
            manifest = build_model(
                model,
                folder,
                board=board,
                target_fps=target_fps,
                clock_mhz=clock,
                folding=folding,
                effort=default_effort() if effort is None else effort,
                seed=seed,
                dump_ir=dump_ir,
                progress=progress,
            )
        emit(as_json, manifest, lambda: show_manifest(manifest, folder))


@app.command()
def verify(
    directory: BuildDir,
    frames: Annotated[int, typer.Option(help="Frames to compare, code by code.", min=1)] = 64,
    seed: Annotated[int, typer.Option(help="Seed of frames, idles and backpressure.")] = 0,
    junit: Annotated[Path | None, typer.Option(help="Write JUnit XML for CI.")] = None,
    waves: Annotated[bool, typer.Option("--waves", help="Record a waveform into DIR/tb.")] = False,
    as_json: Json = False,
) -> None:
    """Run the cocotb regression in Verilator; succeed only if every code is equal."""
    with reporting_errors(as_json):
        from hwgen.commands.verify import verify_build
        from hwgen.report.terminal import show_verification

        with progress_bar(as_json) as progress:
            result = verify_build(directory, frames, seed, junit, waves, progress)
        emit(as_json, result, lambda: show_verification(result))
        if not result["passed"]:
            raise typer.Exit(1)


@app.command()
def run(
    directory: BuildDir,
    source: Annotated[Path, typer.Argument(help="Frames, shaped like the model's input.")],
    target: Annotated[Path, typer.Argument(help="Where the outputs go.")],
    engine: Annotated[
        Literal["reference", "rtl"],
        typer.Option(help="The exact integer reference, or the Verilog, compiled and simulated."),
    ] = "reference",
    check: Annotated[
        bool, typer.Option("--check", help="With rtl: compare all codes with the reference.")
    ] = False,
    as_json: Json = False,
) -> None:
    """Compute a model's outputs with the integer reference or with the Verilog itself."""
    if check and engine != "rtl":
        raise typer.BadParameter("compares the Verilog with the reference; add --engine rtl")
    # Read when numpy is loaded. The products of a chunk are short: a second thread of BLAS mostly
    # waits, and takes the processor from the simulation (measured: 4 times slower when busy).
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
    with reporting_errors(as_json):
        from hwgen.commands.run import run_build, show_run

        with progress_bar(as_json) as progress:
            summary = run_build(directory, source, target, engine, check, progress)
        emit(as_json, summary, lambda: print(*show_run(summary), sep="\n"))
        if summary.get("check", {}).get("mismatches"):
            raise typer.Exit(1)


@app.command()
def synth(
    directory: BuildDir,
    tool: Annotated[
        Literal["auto", "yosys", "vivado"],
        typer.Option(help="vivado goes to the bitstream; auto: vivado if on the PATH."),
    ] = "auto",
    as_json: Json = False,
) -> None:
    """Synthesize a build and put LUT, FF, DSP and BRAM into its manifest."""
    with reporting_errors(as_json):
        from hwgen.commands.synth import synthesize_build
        from hwgen.report.terminal import show_resources

        with progress_bar(as_json) as progress:
            progress("synthesis", 0, 1)
            manifest = synthesize_build(directory, tool)
        emit(as_json, manifest["resources"], lambda: show_resources(manifest))


@app.command()
def report(directory: BuildDir, as_json: Json = False) -> None:
    """Show a build in the terminal and write its HTML page again."""
    with reporting_errors(as_json):
        from hwgen.build_directory import read_manifest
        from hwgen.report.html import write_html
        from hwgen.report.terminal import show_manifest

        manifest = read_manifest(directory)
        write_html(directory, manifest)
        emit(as_json, manifest, lambda: show_manifest(manifest, directory))


@app.command()
def boards(as_json: Json = False) -> None:
    """List the boards."""
    with reporting_errors(as_json):
        from hwgen.commands.boards import board_rows
        from hwgen.report.terminal import show_rows

        rows = board_rows()
        emit(as_json, rows, lambda: show_rows("boards", rows))


@app.command()
def ops(as_json: Json = False) -> None:
    """List the operators of the graph, their kernels and the ONNX nodes that become them."""
    with reporting_errors(as_json):
        from hwgen.commands.ops import operator_rows
        from hwgen.report.terminal import show_rows

        tables: dict[str, list[dict[str, Any]]] = operator_rows()

        def show() -> None:
            for title, rows in tables.items():
                show_rows(title, rows)

        emit(as_json, tables, show)


@app.command()
def demo(
    out: Annotated[Path, typer.Option(help="Where model and build go.")] = Path("hwgen_demo"),
    network: Annotated[
        Literal["fixed", "khot", "binary"], typer.Option(help="What a number may be.")
    ] = "fixed",
    seed: Annotated[int, typer.Option(help="Seed of training and verification.")] = 0,
    as_json: Json = False,
) -> None:
    """Train a small network on real digits, build it for ultra96, verify it, show the report."""
    with reporting_errors(as_json):
        from hwgen.commands.demo import run_demo

        summary = run_demo(out, network, seed, quiet=as_json)
        emit(as_json, summary, lambda: None)
        if not summary["passed"]:
            raise typer.Exit(1)


def main() -> None:
    """Entry point of the `hwgen` program."""
    app()
