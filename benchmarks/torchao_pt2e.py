"""A network that torchao quantizes (PT2E), through torch's ONNX exporter into hwgen.

    pip install -e '.[all,dev,peers]' 'torchao==0.18.0'
    python benchmarks/torchao_pt2e.py [--frames 359] [--json]

A convolutional network with a residual block is trained on scikit-learn's digits, converted with
8-bit weights a channel and 8-bit activations a tensor, and exported as it comes. hwgen imports it;
its integer graph after all passes and onnxruntime, which runs the file node by node, classify the
held-out digits. Scales are free, so codes may differ from float32 where it rounds a tie; as in
`hwgen check --samples`, every frame that differs is followed to where that happened.
"""

from __future__ import annotations

import argparse
import copy
import json
import tempfile
import time
from pathlib import Path

import numpy as np
import onnxruntime
import torch
from sklearn.datasets import load_digits
from torch import Tensor, nn
from torchao.quantization.pt2e.quantize_pt2e import convert_pt2e, prepare_pt2e

# ExecuTorch's quantizer for XNNPACK, which torchao carries for its tests: a pair behind every node.
from torchao.testing.pt2e._xnnpack_quantizer import (
    XNNPACKQuantizer,
    get_symmetric_quantization_config,
)

from hwgen.commands.check_samples import compare
from hwgen.frontend import load
from hwgen.frontend.explain import explain
from hwgen.passes import PASSES, run_passes

SEED, EPOCHS, CALIBRATION = 0, 8, 64


class Network(nn.Module):
    """Two convolutions, a residual sum, an average, a classifier."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.norm = nn.Conv2d(1, 16, 3, padding=1), nn.BatchNorm2d(16)
        self.second = nn.Conv2d(16, 16, 3, padding=1)
        self.pool, self.classifier = nn.MaxPool2d(2), nn.Linear(16, 10)

    def forward(self, x: Tensor) -> Tensor:
        """Return the logits."""
        y = torch.relu(self.norm(self.first(x)))
        y = torch.relu(self.second(y) + y)
        return self.classifier(self.pool(y).mean((2, 3)))


def digits() -> tuple[Tensor, Tensor, int]:
    """Return shuffled images and classes, and how many of them are held out."""
    data = load_digits()
    order = np.random.default_rng(SEED).permutation(len(data.data))
    images = torch.tensor(data.images[order, None] / 16, dtype=torch.float32)
    return images, torch.tensor(data.target[order]), len(images) // 5


def trained(images: Tensor, classes: Tensor) -> Network:
    """Return the network in evaluation mode."""
    torch.manual_seed(SEED)
    network = Network()
    optimizer = torch.optim.Adam(network.parameters(), lr=5e-3)
    for _ in range(EPOCHS):
        for batch in torch.randperm(len(images)).split(64):
            loss = nn.functional.cross_entropy(network(images[batch]), classes[batch])
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
    return network.eval()


def converted(network: Network, images: Tensor) -> nn.Module:
    """Quantize with statistics of `images`; the batch is that of the export."""
    graph = torch.export.export(copy.deepcopy(network), (images[:1],)).module()
    config = get_symmetric_quantization_config(is_per_channel=True)
    prepared = prepare_pt2e(graph, XNNPACKQuantizer().set_global(config))
    for image in images:
        prepared(image[None])
    return convert_pt2e(prepared)


def main() -> None:
    """Print one table of figures."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--frames", type=int, default=359, help="held-out digits")
    parser.add_argument("--json", action="store_true")
    arguments = parser.parse_args()
    images, classes, held_out = digits()
    network = trained(images[held_out:], classes[held_out:])
    frames, labels = images[:held_out][: arguments.frames], classes[: arguments.frames].numpy()
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "pt2e.onnx"
        model = converted(network, images[held_out : held_out + CALIBRATION])
        torch.onnx.export(model, (frames[:1],), path, dynamo=True, external_data=False)
        start = time.perf_counter()
        graph = run_passes(load(path), PASSES)
        seconds = time.perf_counter() - start
        options = onnxruntime.SessionOptions()
        options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
        session = onnxruntime.InferenceSession(path.read_bytes(), options)
        name = session.get_inputs()[0].name
        theirs = np.concatenate([session.run(None, {name: f[None].numpy()})[0] for f in frames])
        agreement = compare(path, explain(path), frames.numpy())
    ours = graph.dequantize(graph.evaluate(graph.inputs[0].quantize(frames.numpy())))
    with torch.no_grad():
        floats = network(frames).argmax(1).numpy()
    figures = {
        "frames": len(frames),
        "import_and_passes_s": round(seconds, 2),
        "operators": len(graph.nodes),
        "accuracy_float": float((floats == labels).mean()),
        "accuracy_onnxruntime": float((theirs.argmax(1) == labels).mean()),
        "accuracy_hwgen": float((ours.argmax(1) == labels).mean()),
        "numbers": int(theirs.size),
        "differ_from_onnxruntime": int((ours.astype(np.float32) != theirs).sum()),
        "differ_from_float32": agreement.codes_that_differ,
        "frames_that_differ": agreement.frames_that_differ,
        "frames_at_rounding_ties": agreement.at_ties,
    }
    if arguments.json:
        print(json.dumps(figures))
    else:
        print("\n".join(f"{name:24} {value}" for name, value in figures.items()))


if __name__ == "__main__":
    main()
