"""`hwgen demo`: the whole path on real handwritten digits, narrated."""

from __future__ import annotations

import importlib.util
import time
from pathlib import Path
from types import ModuleType
from typing import Any

from hwgen.commands.build import build_model
from hwgen.commands.synth import synthesize_build
from hwgen.commands.verify import verify_build
from hwgen.errors import ToolError
from hwgen.report.terminal import console, show_manifest
from hwgen.resources import data_folder

TARGET_FPS = 1e6
EXTRAS = "pip install 'hwgen[all]'"


def run_demo(out: Path, network: str, seed: int, quiet: bool = False) -> dict[str, Any]:
    """Train, export, build, verify; return times and figures.

    Parameters
    ----------
    out : folder for `digits_NETWORK.onnx` and the build directory
    network : "fixed", "khot" or "binary"
    """

    def say(text: str) -> None:
        if not quiet:
            console().print(text, highlight=False)

    times: dict[str, float] = {}
    model = out / f"digits_{network}.onnx"
    out.mkdir(parents=True, exist_ok=True)
    with _Timed(times, "train"):
        digits = load_example("digits")
        say(f"[bold]1/4[/bold] training the {network} network on scikit-learn's handwritten digits")
        trained, data = digits.train(network, seed=seed)
        accuracy = digits.accuracy(trained, data)
        # Imported here: PyTorch is there, or `load_example` has said what to install.
        from hwgen.nn.export import export

        export(trained, data.test_images, model)
        say(f"      {100 * accuracy:.1f} % of the held-out digits; exported {model}")
    with _Timed(times, "build"):
        say(f"[bold]2/4[/bold] building it for ultra96, {TARGET_FPS:,.0f} frames/s asked for")
        folder = out / f"digits_{network}_ultra96"
        manifest = build_model(model, folder, board="ultra96", target_fps=TARGET_FPS, seed=seed)
        say(f"      Verilog in {folder / 'rtl'}, top module {manifest['top']}")
    with _Timed(times, "verify"):
        say("[bold]3/4[/bold] comparing Verilog and model in Verilator, code by code (cocotb)")
        result = verify_build(folder, frames=128, seed=seed)
    with _Timed(times, "synthesize"):
        say("[bold]4/4[/bold] synthesizing with yosys")
        manifest = synthesize_build(folder, "yosys")
    if not quiet:
        show_manifest(manifest, folder)
        spent = ", ".join(f"{name} {seconds:.1f} s" for name, seconds in times.items())
        say(f"time: {spent}, together {sum(times.values()):.1f} s")
    return {
        "accuracy": accuracy,
        "seconds": times,
        "directory": str(folder),
        "passed": result["passed"],
        "verify": result,
        "resources": manifest["resources"],
    }


class _Timed:
    """Note how long a block took."""

    def __init__(self, times: dict[str, float], name: str) -> None:
        self.times, self.name = times, name

    def __enter__(self) -> None:
        self.start = time.perf_counter()

    def __exit__(self, *error: object) -> None:
        self.times[self.name] = time.perf_counter() - self.start


def load_example(name: str) -> ModuleType:
    """Import `examples/NAME.py`, which needs PyTorch and scikit-learn.

    Raises
    ------
    ToolError : saying what to install
    """
    for needed, extra in (("torch", "PyTorch"), ("sklearn", "scikit-learn")):
        if importlib.util.find_spec(needed) is None:
            raise ToolError(f"the demo trains a network and needs {extra}: {EXTRAS}")
    path = data_folder("examples") / f"{name}.py"
    spec = importlib.util.spec_from_file_location(f"hwgen_example_{name}", path)
    if spec is None or spec.loader is None:
        raise ToolError(f"{path} cannot be imported; install hwgen again")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module
