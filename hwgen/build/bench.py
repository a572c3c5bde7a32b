"""`tb/`: the cocotb bench of a build, complete: `make` in that folder needs no hwgen.

The bench itself is the same text for every design; what differs is in `bench.json`.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

from hwgen import __version__
from hwgen.accelerator.top import OWN_NAMES
from hwgen.build.emit import EmittedDesign
from hwgen.ir import Graph, TensorType
from hwgen.mapping.layer_cycles import layer_cycles
from hwgen.mapping.layers import group_layers
from hwgen.mapping.timing import interval_cycles, latency_cycles
from hwgen.resources import data_folder
from hwgen.rtl.axi.registers import (
    CONTROL_SOFT_RESET,
    IDENTITY,
    OFFSETS,
    STATUS_TLAST_ERROR,
    sha256_words,
    version_word,
)
from hwgen.rtl.names import free_name
from hwgen.verify import packing
from hwgen.verify.mismatch import INPUT_LAYER, beat_format

_COPIED = ("Makefile", "run.py", "harness.py", "layer_monitor.v")
_STREAM_PARTS = ("valid", "ready", "payload")
_NOTED = ("first", "ends")  # by a monitor
# Every test of rtl_templates/tb/test_accelerator.py: one that did not run is a failure.
TESTS = (
    "frames_unhindered",
    "frames_with_idles",
    "frames_with_backpressure",
    "frames_with_idles_and_backpressure",
    "full_rate",
    "layer_cycles",
    "identity",
    "counters",
    "early_tlast",
    "missing_tlast",
    "reset_in_mid_frame",
    "soft_reset",
)
# Where a frame is short, FIFOs hold several of them.
_RATE_FRAMES_LEAST, _LONG_FRAME, _RATE_FRAMES_OF_LONG = 16, 1000, 8


def write_bench(out: Path, graph: Graph, design: EmittedDesign, model_sha256: str) -> None:
    """Write `tb/` into the build directory `out`.

    Parameters
    ----------
    graph : the mapped graph
    design : its Verilog, under `out`/rtl
    model_sha256 : 64 hexadecimal digits
    """
    folder = out / "tb"
    folder.mkdir()
    templates = data_folder("rtl_templates") / "tb"
    for name in _COPIED:
        shutil.copyfile(templates / name, folder / name)
    shutil.copyfile(templates / "test_accelerator.py", folder / f"test_{design.top}.py")
    shutil.copyfile(Path(packing.__file__), folder / "packing.py")
    (folder / "visible.vlt").write_text(_visible(design.top), encoding="utf-8")
    bench = bench_description(graph, design, model_sha256)
    (folder / "monitors.sv").write_text(_monitors(bench), encoding="utf-8")
    (folder / "bench.json").write_text(json.dumps(bench, indent=1) + "\n", encoding="utf-8")


def bench_description(graph: Graph, design: EmittedDesign, model_sha256: str) -> dict[str, object]:
    """Return the content of `bench.json`."""
    out = graph.types[graph.outputs[0]]
    words = sha256_words(bytes.fromhex(model_sha256))
    values = {"identity": IDENTITY, "version": version_word(__version__)}
    values |= {f"model_sha256_{k}": word for k, word in enumerate(words)}
    return {
        "top": design.top,
        "sources": [f"../rtl/{path.name}" for path in design.files if path.suffix == ".v"],
        "monitors": ["layer_monitor.v", "monitors.sv"],
        "input": _port(graph.inputs[0].type, graph.nodes[0].op.lanes[0]),
        "output": _port(out, graph.nodes[-1].op.lanes[1]),
        "interval_cycles": interval_cycles(graph),
        "latency_cycles": latency_cycles(graph),
        "rate_frames": rate_frames(graph),
        "registers": OFFSETS,
        "register_values": values,
        "control_soft_reset": CONTROL_SOFT_RESET,
        "status_tlast_error": STATUS_TLAST_ERROR,
        "probes": _probes(graph),
        "tests": list(bench_tests(graph)),
    }


def _probes(graph: Graph) -> list[dict[str, object]]:
    """Return the streams that the bench watches, with the cycles in which their frames may end."""
    instances = layer_instances(graph)
    source = {"layer": INPUT_LAYER, "instance": "stream_input"}
    beats = graph.inputs[0].type.size // graph.nodes[0].op.lanes[0]
    layers = (
        {"layer": name, "instance": instances[name], **asdict(cycles)}
        for name, cycles in layer_cycles(graph).items()
    )
    return [{**source, "beats": beats}, *layers]


def rate_frames(graph: Graph) -> int:
    """Return how many frames back to back show the interval: the first half fills the pipeline."""
    interval = interval_cycles(graph)
    on_the_way = -(-latency_cycles(graph) // interval)
    least = _RATE_FRAMES_OF_LONG if interval > _LONG_FRAME else _RATE_FRAMES_LEAST
    return max(4 * on_the_way, least)


def layer_instances(graph: Graph) -> dict[str, str]:
    """Return the name of each layer's instance in the top module, as `Accelerator` gives it."""
    instances: dict[str, str] = {}
    for layer in group_layers(graph):
        taken = {*instances.values(), *OWN_NAMES}
        instances[layer.name] = free_name(layer.name, taken, "layer")
    return instances


def bench_tests(graph: Graph) -> tuple[str, ...]:
    """Return the names of the tests that run: TLAST cannot be early in a frame of one beat."""
    one_beat = graph.inputs[0].type.size == graph.nodes[0].op.lanes[0]
    return tuple(name for name in TESTS if not (one_beat and name == "early_tlast"))


def _port(kind: TensorType, lanes: int) -> dict[str, object]:
    form = beat_format(kind.codes, lanes)
    return {"shape": list(kind.shape), "beats": kind.size // lanes, "format": vars(form)}


def _monitors(bench: Mapping[str, Any]) -> str:
    """Return the text that binds a monitor to each probe; no module of a model has a capital."""
    frames = len(bench["probes"][-1]["earliest"])
    lines = [
        f"bind {bench['top']} LayerMonitor #(.BEATS({probe['beats']}), .FRAMES({frames})) "
        f"Monitor{k} (.clk(aclk), .rst(!aresetn), "
        f".valid({probe['instance']}.o_valid), .ready({probe['instance']}.o_ready));"
        for k, probe in enumerate(bench["probes"])
    ]
    return "\n".join(["// A monitor on the stream that leaves each layer.", *lines]) + "\n"


def _visible(top: str) -> str:
    return (
        "// What the bench may look at: the design's ports, and the stream that leaves each unit.\n"
        "`verilator_config\n"
        f'public_flat_rw -module "{top}" -var "*"\n'
        + "".join(f'public_flat_rw -module "*" -var "o_{part}"\n' for part in _STREAM_PARTS)
        + "".join(f'public_flat_rw -module "LayerMonitor*" -var "{name}"\n' for name in _NOTED)
    )
