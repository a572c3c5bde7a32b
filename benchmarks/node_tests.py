"""The onnx package's own node tests through the importer: accepted and equal, or refused.

    python benchmarks/node_tests.py [--only NAME] [--show refused|equal|wrong|broken]

Each of the models is tried as it is; with its other inputs as constants; and with that between
quantizers, since a model without any is refused. `equal` means that the integer graph gives the
outputs of ONNX's reference evaluator for 8 random frames, `ties` that it differs from them in a
chain of free scales, `refused` a FrontendError. Anything else is a fault: `wrong` numbers, `broken`
by another exception, `slow` beyond 20 seconds.
"""

from __future__ import annotations

import argparse
import json
import signal
import warnings
from collections import Counter
from collections.abc import Iterator

import numpy as np
import onnx
from onnx import ModelProto, TensorProto, helper, numpy_helper
from onnx.backend.test.case.node import collect_testcases

from hwgen.errors import FrontendError, PassError
from hwgen.frontend import load_model
from hwgen.frontend.execute import execute
from hwgen.passes import PASSES, run_passes
from hwgen.verify.golden import exact_scales

SECONDS = 20
KINDS = ("as it is", "constants", "quantized")


class Slow(Exception):
    """A model took too long."""


def main() -> None:
    """Count outcomes; the exit code says whether there is a fault."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--only", default="")
    parser.add_argument("--show", default="")
    parser.add_argument("--json", action="store_true")
    arguments = parser.parse_args()
    warnings.simplefilter("ignore")
    signal.signal(signal.SIGALRM, _too_long)
    counts: dict[str, Counter[str]] = {kind: Counter() for kind in KINDS}
    for name, kind, model in models(arguments.only):
        outcome, words = outcome_of(model)
        counts[kind][outcome] += 1
        if outcome == arguments.show or outcome in ("wrong", "broken", "slow"):
            print(f"{outcome:8} {kind:10} {name}: {words}")
    if arguments.json:
        print(json.dumps({kind: dict(count) for kind, count in counts.items()}, indent=1))
    for kind, count in counts.items():
        print(f"{kind:10}", ", ".join(f"{n} {what}" for what, n in sorted(count.items())))
    faults = sum(count[what] for count in counts.values() for what in ("wrong", "broken", "slow"))
    raise SystemExit(1 if faults else 0)


def models(only: str) -> Iterator[tuple[str, str, ModelProto]]:
    """Yield every case three times, where it can be changed that way."""
    for case in collect_testcases(None):
        if case.model is None or only not in case.name:
            continue
        yield case.name, "as it is", case.model
        inputs = case.data_sets[0][0] if case.data_sets else ()
        if not inputs or not isinstance(inputs[0], np.ndarray) or len(case.model.graph.output) != 1:
            continue
        constants = with_constants(case.model, inputs)
        if constants is None:
            continue
        yield case.name, "constants", constants
        if inputs[0].dtype == np.float32 and inputs[0].ndim > 1:
            yield case.name, "quantized", between_quantizers(constants)


def with_constants(model: ModelProto, inputs: tuple[np.ndarray, ...]) -> ModelProto | None:
    """Return `model` with all inputs but the first as initializers, quantized where float."""
    result = ModelProto()
    result.CopyFrom(model)
    given = list(zip(model.graph.input, inputs, strict=False))
    if any(not isinstance(value, np.ndarray) for _, value in given):
        return None
    for info, value in given[1:]:
        result.graph.input.remove(info)
        result.graph.initializer.append(numpy_helper.from_array(value, info.name))
    return result


def between_quantizers(model: ModelProto) -> ModelProto:
    """Return `model` behind a pair of 8 bits, weights on a grid too, and another pair behind it."""
    result = ModelProto()
    result.CopyFrom(model)
    graph = result.graph
    nodes = list(graph.node)
    graph.ClearField("node")
    scale, zero = np.float32(0.125), np.int8(3)
    graph.initializer.extend(
        numpy_helper.from_array(value, name)
        for name, value in (("qs", scale), ("qz", zero), ("wz", np.int8(0)))
    )
    source = graph.input[0].name
    sink = graph.output[0].name
    renamed = {source: "q_input"}
    graph.node.extend(_pair(source, "q_input", "qz"))
    weights = [t for t in graph.initializer if t.name not in ("qs", "qz", "wz")]
    if nodes and nodes[-1].op_type in ("Conv", "MatMul", "Gemm", "ConvTranspose"):
        for tensor in weights:
            if tensor.data_type == TensorProto.FLOAT:
                renamed[tensor.name] = f"q_{tensor.name}"
                graph.node.extend(_pair(tensor.name, f"q_{tensor.name}", "wz"))
    for node in nodes:
        for k, name in enumerate(node.input):
            node.input[k] = renamed.get(name, name)
        for k, name in enumerate(node.output):
            node.output[k] = "raw_output" if name == sink else name
        graph.node.append(node)
    graph.node.extend(_pair("raw_output", sink, "qz"))
    return result


def _pair(before: str, after: str, zero: str) -> list[onnx.NodeProto]:
    return [
        helper.make_node("QuantizeLinear", [before, "qs", zero], [f"{after}_codes"]),
        helper.make_node("DequantizeLinear", [f"{after}_codes", "qs", zero], [after]),
    ]


def outcome_of(model: ModelProto) -> tuple[str, str]:
    """Return one word, and more."""
    signal.alarm(SECONDS)
    try:
        graph = run_passes(load_model(model, "net"), PASSES)
    except (FrontendError, PassError) as error:
        return "refused", str(error).replace("\n", " ")
    except Slow:
        return "slow", f"more than {SECONDS} s"
    except Exception as error:  # noqa: BLE001  # what this script is looking for
        return "broken", f"{type(error).__name__}: {error}"
    finally:
        signal.alarm(0)
    rng = np.random.default_rng(0)
    frames = rng.integers(-40, 41, (8, *graph.inputs[0].frame_shape)).astype(np.float32) / 8
    try:
        floats = execute(model, frames)
    except FrontendError as error:
        return "accepted", f"not executed: {error}"
    ours = graph.dequantize(graph.evaluate(graph.inputs[0].quantize(frames))).astype(np.float32)
    if ours.shape != floats.shape:
        return "wrong", f"shape {ours.shape}, expected {floats.shape}"
    if np.array_equal(ours, floats):
        return "equal", ""
    count = int((ours != floats).sum())
    exact = exact_scales(graph)
    return "wrong" if exact else "ties", f"{count} of {ours.size} numbers differ"


def _too_long(*_: object) -> None:
    raise Slow


if __name__ == "__main__":
    main()
