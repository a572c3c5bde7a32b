"""Every layer as hls4ml reads it: eval == converted file in qonnx == imported graph."""

import numpy as np
import onnx
import pytest
import torch
from hypothesis import given, settings

import hwgen
import hwgen.nn as hnn
from hwgen import frontend
from hwgen.errors import ExportError
from hwgen.nn.lowering import LOWERINGS
from hwgen.numeric import Rounding
from tests.frontend.channels_last_execution import execute_channels_last
from tests.frontend.test_hls4ml import TAKEN, last
from tests.nn import test_every_layer as every_layer
from tests.nn.hls4ml_networks import MAKERS, trained

pytestmark = pytest.mark.torch


@pytest.fixture(scope="module", autouse=True)
def roundings_of_hls4ml():
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(every_layer, "SAYABLE", [Rounding.RND_CONV, Rounding.TRN])
        yield


def assert_equal(network, batch, folder):
    path = hnn.export(network, batch, folder / "model.onnx")
    target = hwgen.convert(path, folder / "converted.onnx")
    with torch.no_grad():
        expected = last(network.eval()(batch).numpy())
    frames = np.ascontiguousarray(last(batch.numpy()))
    model = onnx.load(target)
    assert {node.op_type for node in model.graph.node} <= TAKEN
    assert np.array_equal(execute_channels_last(model, frames), expected)
    graph = frontend.load(target)
    found = graph.dequantize(graph.evaluate(graph.inputs[0].quantize(frames)))
    # A free scale is a float64 number in the graph and was rounded to float32 in the others.
    assert np.array_equal(found.astype(np.float32), expected)


def test_every_layer_is_in_one_of_the_networks():
    found = {type(module) for make in MAKERS for module in make()[0].modules()}
    assert {lowering.kind for lowering in LOWERINGS} <= found


@pytest.mark.parametrize("make", MAKERS, ids=lambda make: make.__name__)
def test_each_kind_of_layer(make, tmp_path):
    assert_equal(*trained(make), tmp_path)


def check(case, folder):
    network, batch = case
    every_layer.vary(network)
    for _ in range(2):
        network(batch)
    try:
        assert_equal(network, batch, folder)
    except ExportError as error:
        # Too wide for float32, as the exporter finds; anything else is a failure.
        if not all("sums reach" in line for line in str(error).splitlines()[1:]):
            raise


@settings(max_examples=12, phases=every_layer.WITHOUT_SHRINKING)
@given(every_layer.chains())
def test_chains_of_linear_layers(tmp_path_factory, case):
    check(case, tmp_path_factory.mktemp("chain"))


@settings(max_examples=16, phases=every_layer.WITHOUT_SHRINKING)
@given(every_layer.images())
def test_networks_on_images(tmp_path_factory, case):
    check(case, tmp_path_factory.mktemp("image"))


@settings(max_examples=16, phases=every_layer.WITHOUT_SHRINKING)
@given(every_layer.sequences())
def test_networks_on_sequences(tmp_path_factory, case):
    check(case, tmp_path_factory.mktemp("sequence"))


@settings(max_examples=8, phases=every_layer.WITHOUT_SHRINKING)
@given(every_layer.encoded())
def test_networks_behind_encoders(tmp_path_factory, case):
    check(case, tmp_path_factory.mktemp("encoded"))


@settings(max_examples=8, phases=every_layer.WITHOUT_SHRINKING)
@given(every_layer.branches())
def test_networks_that_branch(tmp_path_factory, case):
    check(case, tmp_path_factory.mktemp("branch"))
