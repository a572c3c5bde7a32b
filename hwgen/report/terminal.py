"""Tables in the terminal."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.markup import escape
from rich.table import Table

LABELS = {"lut": "LUT", "ff": "FF", "dsp": "DSP", "bram36": "BRAM36", "uram": "URAM"}


def labels_of(manifest: Mapping[str, Any]) -> dict[str, str]:
    """Return the names of the resources; UltraRAM only where the board has some."""
    has_ultra_ram = manifest["resources"]["budget"].get("uram", 0)
    return {key: label for key, label in LABELS.items() if key != "uram" or has_ultra_ram}


def console() -> Console:
    """Return a console on standard output; wide enough for tables when it is not a terminal."""
    plain = Console()
    return plain if plain.is_terminal else Console(width=120)


def show_rows(title: str, rows: Sequence[Mapping[str, Any]]) -> None:
    """Print one row a mapping, its keys as columns."""
    table = Table(title=title, title_justify="left", header_style="bold")
    for key in rows[0] if rows else ():
        number = isinstance(rows[0][key], int | float)
        table.add_column(key, justify="right" if number else "left")
    for row in rows:
        table.add_row(*(escape(_cell(value)) for value in row.values()))
    console().print(table)


def _cell(value: object) -> str:
    return f"{value:,g}" if isinstance(value, float) else str(value)


def show_manifest(manifest: Mapping[str, Any], directory: Path) -> None:
    """Print what was built: speed, layers, resources, where things are."""
    out = console()
    out.print(
        f"[bold]{escape(str(manifest['model']['name']))}[/bold] for {manifest['board']} "
        f"({manifest['part']}) at {manifest['clock_mhz']:g} MHz: "
        f"[bold]{manifest['throughput_fps']:,.0f} frames/s[/bold], a frame every "
        f"{manifest['interval_cycles']:,} cycles, latency {manifest['latency_cycles']:,} cycles",
        highlight=False,
    )
    show_layers(manifest)
    slowest = manifest["bottleneck"]
    out.print(
        f"{escape(slowest['layer'])} sets the frame rate: {slowest['cycles']:,} of "
        f"{manifest['interval_cycles']:,} cycles a frame ({slowest['utilization']:.1%}); "
        "folding.json can be edited and given back with --folding",
        highlight=False,
    )
    show_resources(manifest)
    verified = manifest.get("verify")
    if verified:
        show_verification(verified)
    out.print(
        f"build directory {escape(str(directory))}: rtl/ ({len(manifest['rtl'])} Verilog files, "
        f"top {manifest['top']}), tb/, vivado/, driver/, report.html",
        highlight=False,
    )


def show_layers(manifest: Mapping[str, Any]) -> None:
    """Print one row a layer."""
    rows = [
        {
            "layer": layer["name"],
            "kernel": layer["kernel"],
            "pe": layer["pe"],
            "simd": layer["simd"],
            "cycles": layer["cycles"],
            "input": layer["input"],
            "accumulator": layer["accumulator"],
            "output": layer["output"],
            "LUT": layer["resources"]["lut"],
            "DSP": layer["resources"]["dsp"],
            "BRAM36": layer["resources"]["bram36"],
            **({"URAM": layer["resources"]["uram"]} if "uram" in labels_of(manifest) else {}),
        }
        for layer in manifest["layers"]
    ]
    show_rows("layers (resources predicted)", rows)


def show_resources(manifest: Mapping[str, Any]) -> None:
    """Print predicted and synthesized resources against the board's budget."""
    resources = manifest["resources"]
    rows = []
    for key, label in labels_of(manifest).items():
        budget = resources["budget"][key]
        row = {"resource": label, "board": f"{budget:,g}"}
        for stage in ("predicted", "synthesized"):
            if stage in resources:
                used = resources[stage][key]
                share = f" ({100 * used / budget:.1f} %)" if budget else ""
                row[stage] = f"{used:,g}{share}"
        rows.append(row)
    tool = manifest.get("synthesis", {}).get("tool", "yosys")
    source = tool if "synthesized" in resources else "predicted; `hwgen synth` measures"
    show_rows(f"resources ({source})", rows)


def show_verification(result: Mapping[str, Any]) -> None:
    """Print what the regression compared and what it found."""
    verdict = "[green]equal[/green]" if result["passed"] else "[red]FAILED[/red]"
    out = console()
    out.print(
        f"verified in Verilator: {result['codes_compared']:,} codes of {result['frames']:,} "
        f"frames, {result['mismatches']:,} mismatches: {verdict} (seed {result['seed']}; measured "
        f"interval {result['measured_interval_cycles']}, latency "
        f"{result['measured_latency_cycles']} cycles)",
        highlight=False,
    )
    if result["float_differences"]:
        out.print(
            f"{result['float_differences']} frames differ from the float execution of the model",
            highlight=False,
        )
    for failure in result.get("failures", ()):
        out.print(f"[red]failed[/red] {escape(failure)}", highlight=False)
    if result.get("first_mismatch"):
        out.print(f"first mismatch: {escape(result['first_mismatch'])}", highlight=False)
