"""MLPerf Tiny's ResNet-8 in int8 (QDQ): time to import and check, accuracy beside onnxruntime.

    python benchmarks/qdq_resnet8.py resnet8_int8.onnx images.npy labels.npy [--json]

`images.npy` are int8 or uint8 [N, 32, 32, 3] (uint8 has 128 taken off, as the model wants it),
`labels.npy` [N]. The integer graph after all passes is run on them, and so is onnxruntime, with its
own fusions of QDQ pairs. The goal is 0.3 points between the two, and 10 s for import and check.
"""

from __future__ import annotations

import argparse
import json
import time
from pathlib import Path

import numpy as np
import onnxruntime

from hwgen.commands.check import check_model
from hwgen.frontend import load
from hwgen.passes import PASSES, run_passes


def main() -> None:
    """Print one table of figures."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("model", type=Path)
    parser.add_argument("images", type=Path)
    parser.add_argument("labels", type=Path)
    parser.add_argument("--json", action="store_true")
    arguments = parser.parse_args()
    start = time.perf_counter()
    report = check_model(arguments.model)
    seconds = time.perf_counter() - start
    images = as_int8(np.load(arguments.images))
    labels = np.load(arguments.labels).ravel()
    ours, theirs = integer_outputs(arguments.model, images), float_outputs(arguments.model, images)
    figures = {
        "problems": len(report.problems),
        "import_and_check_s": round(seconds, 2),
        "images": len(images),
        "accuracy_hwgen": round(100 * float((ours == labels).mean()), 2),
        "accuracy_onnxruntime": round(100 * float((theirs == labels).mean()), 2),
        "classes_that_differ": int((ours != theirs).sum()),
    }
    if arguments.json:
        print(json.dumps(figures, indent=1))
    else:
        print("\n".join(f"{name:24} {value}" for name, value in figures.items()))


def as_int8(images: np.ndarray) -> np.ndarray:
    """Return pixels as the model's input has them."""
    if images.dtype == np.int8:
        return images
    return (images.astype(np.int16) - 128).astype(np.int8)


def integer_outputs(model: Path, images: np.ndarray) -> np.ndarray:
    """Return the class that the integer graph gives each image."""
    graph = run_passes(load(model), PASSES)
    codes = graph.evaluate(graph.inputs[0].quantize(images))
    return graph.dequantize(codes).argmax(axis=1)


def float_outputs(model: Path, images: np.ndarray) -> np.ndarray:
    """Return the class that onnxruntime gives each image."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    session = onnxruntime.InferenceSession(str(model), options, providers=["CPUExecutionProvider"])
    return np.asarray(session.run(None, {session.get_inputs()[0].name: images})[0]).argmax(axis=1)


if __name__ == "__main__":
    main()
