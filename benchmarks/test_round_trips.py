"""Models of hwgen in other tools; needs the extra `peers`, so it is no part of `tests`.

    pip install -e '.[all,dev,peers]'
    pytest benchmarks/test_round_trips.py

hls4ml has to have all layers, of the right shapes, with the constants of the file; and its C++,
compiled with g++, to compute the same numbers.
"""

from __future__ import annotations

import contextlib
import io

import numpy as np
import onnx
import pytest
from qonnx.core.modelwrapper import ModelWrapper
from qonnx.core.onnx_exec import execute_onnx

import hwgen.nn as hnn
from benchmarks.round_trips import MODELS, into_hls4ml
from hwgen.frontend.execute import execute, execute_once
from hwgen.frontend.reader import read
from tests.nn.hls4ml_networks import MAKERS, trained

# Inputs and activations, products, BatchNorms, pools, sums, moves: what the graph has of each.
LAYERS = {
    "cifar10_cnv_w1a1": 38,
    "cifar10_resnet8": 26,
    "digits_binary": 12,
    "digits_conv": 18,
    "digits_fixed": 9,
    "digits_khot": 9,
    "ecg_conv1d": 22,
    "mnist_bnn": 15,
}
QUICK = sorted(set(LAYERS) - {"cifar10_cnv_w1a1", "cifar10_resnet8"})  # g++ wants seconds
PRODUCTS = ("Conv1D", "Conv2D", "DepthwiseConv1D", "DepthwiseConv2D", "Dense")
by_name = pytest.mark.parametrize("path", MODELS, ids=lambda path: path.stem)


def last(tensor):
    """Channels last, of images and sequences."""
    return np.moveaxis(tensor, 1, -1) if tensor.ndim > 2 else tensor


class Loaded:
    """A file of hwgen's beside hls4ml's graph of it."""

    def __init__(self, path, folder, io_type="io_parallel"):
        with contextlib.redirect_stdout(io.StringIO()):
            self.graph = into_hls4ml(path, folder, io_type)
        self.model = read(path)
        self.layers = {layer.name: layer for layer in self.graph.get_layers()}
        dims = self.model.graph.input[0].type.tensor_type.shape.dim[1:]
        self.frame = tuple(d.dim_value for d in dims)
        self.values = execute_once(self.model, np.zeros((1, *self.frame)))

    def layer(self, node, kinds):
        """Return hls4ml's layer for a node."""
        name = node.name.replace(".", "_")
        name = name if name[:1].isalpha() else f"layer_{name}"
        found = [self.layers[f"{kind}{name}"] for kind in kinds if f"{kind}{name}" in self.layers]
        assert len(found) == 1, (node.name, list(self.layers))
        return found[0]

    def vector_order(self, name, width):
        """Return where hls4ml has each element of a vector that a Flatten may have made."""
        makers = {output: node for node in self.model.graph.node for output in node.output}
        while name in makers and makers[name].op_type != "Flatten":
            if makers[name].op_type in ("MatMul", "Reshape"):
                return np.arange(width)
            name = makers[name].input[0]
        if name not in makers:
            return np.arange(width)
        return last(np.arange(width).reshape(self.values[makers[name].input[0]].shape)).ravel()

    def same_numbers(self, frames):
        """Whether hls4ml's C++ computes what the file says."""
        with contextlib.redirect_stdout(io.StringIO()):
            self.graph.compile()
        expected = last(execute(self.model, frames))
        found = self.graph.predict(np.ascontiguousarray(last(frames)))
        return np.array_equal(found.reshape(expected.shape), expected)


def real(variable):
    """The numbers of a weight; hls4ml has -1 and +1 as 0 and 1."""
    if "Xnor" in type(variable.type.precision).__name__:
        return 2 * variable.data - 1
    return variable.data


def assert_constants_equal(loaded):
    """Weights and BatchNorms of every layer; return how many were compared."""
    known = {tensor.name for tensor in loaded.model.graph.initializer}
    compared = 0
    for node in loaded.model.graph.node:
        if known.issuperset(node.input):
            known |= set(node.output)
        elif node.op_type in ("Conv", "MatMul"):
            layer = loaded.layer(node, [f"{kind}_" for kind in PRODUCTS])
            weights = loaded.values[node.input[1]]
            if node.op_type == "Conv":
                weights = np.moveaxis(weights, (1, 0), (-2, -1))  # rows, columns, inputs, outputs
                assert layer.get_output_variable().shape == list(
                    last(loaded.values[node.output[0]]).shape[1:]
                )
            else:
                order = loaded.vector_order(node.input[0], len(weights))
                weights = weights[order]
            assert np.array_equal(real(layer.weights["weight"]), weights), node.name
            compared += 1
        elif node.op_type == "Mul" and known & set(node.input):
            after = next(n for n in loaded.model.graph.node if node.output[0] in n.input)
            layer = loaded.layer(after, ["bn_"])
            shape = loaded.values[node.output[0]].shape
            for kind, source in (("scale", node.input[1]), ("bias", after.input[1])):
                constant = last(np.broadcast_to(loaded.values[source], shape))[0]
                assert np.array_equal(layer.weights[kind].data, constant), (node.name, kind)
            compared += 1
    return compared


def test_the_models_are_there() -> None:
    """All that are named above."""
    assert {path.stem for path in MODELS} == set(LAYERS)


@by_name
def test_hls4ml_reads_it(path, tmp_path) -> None:
    """All layers are there, with the constants of the file."""
    loaded = Loaded(path, tmp_path)
    assert len(loaded.layers) == LAYERS[path.stem]
    kinds = [node.op_type for node in loaded.model.graph.node]
    norms = sum(node.name.endswith("multiply") for node in loaded.model.graph.node)
    assert assert_constants_equal(loaded) == kinds.count("Conv") + kinds.count("MatMul") + norms


@pytest.mark.parametrize("name", QUICK)
def test_hls4ml_computes_the_same_as_the_file(name, tmp_path) -> None:
    """Bit for bit, in its own C++."""
    path = next(path for path in MODELS if path.stem == name)
    loaded = Loaded(path, tmp_path)
    frames = np.random.default_rng(0).integers(0, 17, (50, *loaded.frame)).astype(np.float32)
    assert loaded.same_numbers(frames)


@pytest.mark.parametrize("name", sorted(set(LAYERS) - set(QUICK)))
def test_hls4ml_computes_the_same_as_a_large_file(name, tmp_path) -> None:
    """As streams, which g++ compiles in less time and memory."""
    path = next(path for path in MODELS if path.stem == name)
    loaded = Loaded(path, tmp_path, "io_stream")
    frames = np.random.default_rng(0).integers(0, 256, (6, *loaded.frame)) / 256
    assert loaded.same_numbers(frames.astype(np.float32))


@pytest.mark.parametrize("make", MAKERS, ids=lambda make: make.__name__)
def test_hls4ml_computes_each_kind_of_layer(make, tmp_path) -> None:
    """Every layer that hwgen.nn exports, in its own C++."""
    network, batch = trained(make)
    path = hnn.export(network, batch, tmp_path / "network.onnx")
    assert Loaded(path, tmp_path).same_numbers(batch.numpy())


@by_name
def test_qonnx_computes_the_same(path) -> None:
    """Bit for bit what hwgen's own executor computes, and its integers are held to."""
    model = ModelWrapper(onnx.load(path))
    name = model.graph.input[0].name
    shape = [size or 1 for size in model.get_tensor_shape(name)]
    model.set_tensor_shape(name, shape)
    rng = np.random.default_rng(0)
    for _ in range(4):
        frame = rng.integers(0, 17, shape).astype(np.float32)
        (given,) = execute_onnx(model, {name: frame}).values()
        assert np.array_equal(given, execute(path, frame))
