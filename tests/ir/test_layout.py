"""Frames of the model and what streams: quantize and dequantize lead from one to the other."""

import numpy as np
import pytest

from hwgen.errors import IRError
from hwgen.ir import Graph, Input, Layout, Node, TensorType, verify
from hwgen.numeric import CodeType
from hwgen.ops.reshape import Reshape

IMAGE = Layout((3, 2, 4), (3, 8), (1, 0))
SOURCE = Input("x", TensorType((2, 4, 3), CodeType(-8, 7)), 0.5, layout=IMAGE)


def graph_of(layout):
    return Graph("g", (SOURCE,), (Node("y", Reshape((8, 3)), ("x",), (0.5,)),), ("y",), layout)


def test_there_and_back(rng):
    frames = rng.integers(-8, 8, (5, 3, 2, 4)) / 2
    graph = graph_of(IMAGE)
    verify(graph)
    codes = SOURCE.quantize(frames)
    assert (codes == frames.transpose(0, 2, 3, 1) * 2).all()
    assert (graph.dequantize(graph.evaluate(codes)) == frames).all()
    assert graph.output_shape == SOURCE.frame_shape == (3, 2, 4)


def test_no_frames():
    assert SOURCE.quantize(np.zeros((0, 3, 2, 4))).shape == (0, 2, 4, 3)


@pytest.mark.parametrize("shape", [(5, 3, 2, 5), (24,), ()])
def test_frames_of_another_size(shape):
    with pytest.raises(IRError, match=r"input x: frames are shaped .*, expected \(frames, 3, 2, 4"):
        SOURCE.quantize(np.zeros(shape))


@pytest.mark.parametrize(
    ("fields", "error"),
    [
        (((2, 3), (5,), (0,)), r"layout: axes \(5,\) do not hold a frame of shape \(2, 3\)"),
        (((2, 3), (2, 3), (0, 0)), r"layout: \(0, 0\) is no permutation of 2 axes"),
    ],
)
def test_layouts_without_meaning(fields, error):
    with pytest.raises(IRError, match=error):
        Layout(*fields)


def test_layout_of_another_value():
    with pytest.raises(IRError, match=r"y: frames of the model are \(2, 3\), expected 24 codes"):
        verify(graph_of(Layout((2, 3), (6,), (0,))))
