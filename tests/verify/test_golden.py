"""The graph and the float execution of the model: equal, or told apart."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from hwgen.errors import VerificationError
from hwgen.frontend import load
from hwgen.ir import Input, Layout, TensorType
from hwgen.numeric import CodeType
from hwgen.passes import PASSES, run_passes
from hwgen.resources import data_folder
from hwgen.verify.golden import exact_scales, execute_model, golden, real_frames
from hwgen.verify.vectors import golden_frames
from tests.verify.designs import folded_graph, graph_executor

MODEL = Path("model.onnx")


def test_agreement():
    graph = folded_graph()
    inputs = golden_frames(graph, 16, 0)
    result = golden(graph, inputs, MODEL, graph_executor(graph))
    np.testing.assert_array_equal(result.outputs, graph.evaluate(inputs))
    assert result.float_differences == 0


def off_by_one(graph):
    """An executor that is one code off in frame 3, element 1."""
    right = graph_executor(graph)

    def execute(model, frames):
        outputs = right(model, frames)
        outputs[3, 1] += graph.scale_of(graph.outputs[0])[0]
        return outputs

    return execute


def test_disagreement_is_an_error_where_scales_are_powers_of_two():
    graph = folded_graph()
    inputs = golden_frames(graph, 16, 0)
    with pytest.raises(
        VerificationError, match=r"differ in 1 of 16 frames.*frame 3, element \[1\]"
    ):
        golden(graph, inputs, MODEL, off_by_one(graph))


def test_disagreement_is_counted_where_they_are_not():
    graph = folded_graph()
    source = replace(graph.inputs[0], scale=0.1)
    graph = replace(graph, inputs=(source,))
    assert not exact_scales(graph)
    inputs = golden_frames(graph, 16, 0)
    result = golden(graph, inputs, MODEL, off_by_one(graph))
    assert result.float_differences == 1
    np.testing.assert_array_equal(result.outputs, graph.evaluate(inputs))


@pytest.mark.parametrize("name", ["digits_fixed", "digits_khot", "digits_binary"])
def test_shipped_models_agree_with_their_float_execution(name):
    model = data_folder("examples") / "models" / f"{name}.onnx"
    graph = run_passes(load(model), PASSES)
    inputs = golden_frames(graph, 128, 0)
    result = golden(graph, inputs, model, execute_model)
    assert exact_scales(graph)
    np.testing.assert_array_equal(result.outputs, graph.evaluate(inputs))
    assert result.float_differences == 0


@pytest.mark.parametrize(
    "source",
    [
        Input("x", TensorType((2,), CodeType(-8, 7)), 0.25),
        Input("x", TensorType((2,), CodeType(0, 255)), 1 / 255, prepare=(("divide", 255.0),)),
        Input(
            "x",
            TensorType((2,), CodeType(-8, 7)),
            0.5,
            prepare=(("add", -3.0), ("multiply", 4.0)),
        ),
        Input("x", TensorType((2,), CodeType.binary()), 0.7),
        Input(
            "x",
            TensorType((2, 3, 4), CodeType(-8, 7)),
            0.25,
            layout=Layout((4, 2, 3), (4, 6), (1, 0)),
        ),
    ],
    ids=["scaled", "divided", "moved", "bipolar", "image"],
)
def test_real_frames_lead_back_to_their_codes(source):
    codes = np.resize(source.type.codes.codes(), (512, source.type.size))
    frames = np.random.default_rng(0).permuted(codes, axis=1).reshape(-1, *source.type.shape)
    assert real_frames(source, frames).shape == (512, *source.frame_shape)
    np.testing.assert_array_equal(source.quantize(real_frames(source, frames)), frames)
