"""Models on their way between tools: hwgen's into others, Brevitas' all the way to Verilog.

    pip install -e '.[all,peers]'
    python benchmarks/round_trips.py [--frames 100] [--seconds 600] [--json]

1. Every shipped model is loaded by qonnx, which executes it, and by hls4ml's ONNX front end, as
   `hwgen convert` writes it for that. What a tool refuses is printed with its own words.
2. A Brevitas network is trained on scikit-learn's digits, exported by Brevitas, built by hwgen and
   simulated in Verilator. The codes must equal the integer reference's, all of them; how often the
   class differs from Brevitas' own in PyTorch is printed.
A tool that is not installed is an error. One that takes longer than `--seconds` is given up, which
the table says.
"""

from __future__ import annotations

import argparse
import contextlib
import io
import json
import logging
import signal
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import onnx
import torch
from qonnx.core.modelwrapper import ModelWrapper
from qonnx.core.onnx_exec import execute_onnx
from sklearn.datasets import load_digits
from torch import Tensor, nn

import hwgen
from hwgen.commands.run import run_build
from hwgen.pipeline import BuildOptions, build_directory

if TYPE_CHECKING:
    from hls4ml.model import ModelGraph

SEED, EPOCHS = 0, 30
MODELS = sorted((Path(__file__).parents[1] / "examples" / "models").glob("*.onnx"))


def into_qonnx(path: Path) -> str:
    """Execute the model once in qonnx."""
    model = ModelWrapper(str(path))
    name = model.graph.input[0].name
    shape = [size or 1 for size in model.get_tensor_shape(name)]
    model.set_tensor_shape(name, shape)  # qonnx reads a free batch as zero frames
    execute_onnx(model, {name: np.zeros(shape, dtype=np.float32)})
    return "executed"


def into_hls4ml(path: Path, folder: Path, io_type: str = "io_parallel") -> ModelGraph:
    """Convert the model to hls4ml's graph, as README tells its users."""
    from hls4ml.converters import convert_from_onnx_model
    from hls4ml.utils.config import config_from_onnx_model

    model = onnx.load(hwgen.convert(path, folder / f"{path.stem}_hls4ml.onnx"))
    precision = "fixed<32,16>"  # of what the file leaves open
    config = config_from_onnx_model(model, "name", "Vivado", default_precision=precision)
    return convert_from_onnx_model(
        model, output_dir=str(folder / "hls"), io_type=io_type, backend="Vivado", hls_config=config
    )


class Slow(Exception):
    """A tool took too long."""


def attempt(what: str, path: Path, folder: Path, seconds: int) -> str:
    """Return what came of it; a refusal of the other tool in its own words."""
    signal.alarm(seconds)
    try:
        with contextlib.redirect_stdout(io.StringIO()):
            if what == "qonnx":
                return into_qonnx(path)
            return f"{len(list(into_hls4ml(path, folder).get_layers()))} layers"
    except Slow:
        return f"no answer within {seconds} s"
    # Whatever another tool raises is its answer; the table shows it.
    except Exception as error:  # noqa: BLE001
        words = str(error).splitlines() or [""]
        return f"refused: {type(error).__name__}: {words[0]}"
    finally:
        signal.alarm(0)


def _too_long(*_: object) -> None:
    raise Slow


def brevitas_network() -> nn.Sequential:
    """Return 64-48-10 with 4-bit weights and activations, scales of powers of two."""
    from brevitas.nn import QuantIdentity, QuantLinear, QuantReLU
    from brevitas.quant import (
        Int8ActPerTensorFixedPoint,
        Int8WeightPerTensorFixedPoint,
        Uint8ActPerTensorFixedPoint,
    )

    weights = {"weight_quant": Int8WeightPerTensorFixedPoint, "weight_bit_width": 4}
    return nn.Sequential(
        QuantIdentity(act_quant=Int8ActPerTensorFixedPoint, bit_width=6),
        QuantLinear(64, 48, bias=False, **weights),
        nn.BatchNorm1d(48),
        QuantReLU(act_quant=Uint8ActPerTensorFixedPoint, bit_width=4),
        QuantLinear(48, 10, bias=False, **weights),
    )


def trained_brevitas() -> tuple[nn.Sequential, Tensor, Tensor]:
    """Return the trained network, held-out images and their classes."""
    torch.manual_seed(SEED)
    digits = load_digits()
    order = np.random.default_rng(SEED).permutation(len(digits.data))
    images = torch.tensor(digits.data[order] / 16, dtype=torch.float32)
    classes = torch.tensor(digits.target[order])
    held_out = len(images) // 5
    network = brevitas_network()
    optimizer = torch.optim.Adam(network.parameters(), lr=3e-3)
    for _ in range(EPOCHS):
        for batch in torch.randperm(len(images) - held_out).split(64):
            batch = batch + held_out
            loss = nn.functional.cross_entropy(network(images[batch]), classes[batch])
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
    return network.eval(), images[:held_out], classes[:held_out]


def from_brevitas(folder: Path, frames: int) -> dict[str, object]:
    """Train, export, build, simulate, compare."""
    from brevitas.export import export_qonnx

    network, images, classes = trained_brevitas()
    images, classes = images[:frames], classes[:frames]
    path, out = folder / "brevitas.onnx", folder / "built"
    export_qonnx(network, args=images[:1], export_path=str(path))
    manifest = build_directory(path, out, BuildOptions(board="ultra96", target_fps=1e6))
    np.save(folder / "in.npy", images.numpy())
    summary = run_build(out, folder / "in.npy", folder / "out.npy", "rtl", check=True)
    given = np.load(folder / "out.npy")
    with torch.no_grad():
        own = np.asarray(network(images))
    return {
        "frames": len(images),
        **summary["check"],
        "interval_cycles": manifest["interval_cycles"],
        "accuracy": float((given.argmax(1) == classes.numpy()).mean()),
        "outputs_other_than_brevitas": int((given != own).sum()),
        "classes_other_than_brevitas": int((given.argmax(1) != own.argmax(1)).sum()),
    }


def main() -> None:
    """Run both and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--frames", type=int, default=359, help="held-out digits to simulate")
    parser.add_argument("--seconds", type=int, default=600, help="for each tool and model")
    parser.add_argument("--json", action="store_true")
    arguments = parser.parse_args()
    signal.signal(signal.SIGALRM, _too_long)
    logging.disable(logging.WARNING)
    say = (lambda *words, **how: None) if arguments.json else print
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        brevitas = from_brevitas(folder, arguments.frames)
        say("Brevitas to Verilog:", brevitas, flush=True)
        tables = {}
        for path in MODELS:
            answers = {
                tool: attempt(tool, path, folder, arguments.seconds) for tool in ("qonnx", "hls4ml")
            }
            tables[path.stem] = answers
            said = (f"{tool}: {answer}" for tool, answer in answers.items())
            say(path.stem, *said, sep=" | ", flush=True)
    if arguments.json:
        print(json.dumps({"models": tables, "brevitas": brevitas}))


if __name__ == "__main__":
    main()
