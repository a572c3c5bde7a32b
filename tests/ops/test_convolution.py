"""Windows and products together are what PyTorch calls convolution and pooling."""

import numpy as np
import pytest

from hwgen.ir import Graph, Input, Node, TensorType, verify
from hwgen.ir.text import parse_graph, print_graph
from hwgen.numeric import CodeType
from hwgen.ops.argmax import ArgMax
from hwgen.ops.border_offset import zero_padding
from hwgen.ops.depthwise import Depthwise
from hwgen.ops.matvec import Kernel, MatVec
from hwgen.ops.max_pool import MaxPool
from hwgen.ops.pad import Pad
from hwgen.ops.registry import OPERATORS
from hwgen.ops.reshape import Reshape
from hwgen.ops.sliding_window import SlidingWindow
from hwgen.ops.sum_pool import SumPool
from hwgen.ops.upsample import Upsample
from hwgen.ops.window_max import WindowMax

pytestmark = pytest.mark.torch

GEOMETRIES = [
    # Kernel, stride, dilation; then padding at top, left, bottom and right.
    ((3, 3), (1, 1), (1, 1), (1, 1, 1, 1)),
    ((3, 3), (2, 2), (1, 1), (0, 0, 1, 1)),
    ((5, 3), (1, 2), (1, 1), (2, 0, 2, 1)),
    ((3, 3), (1, 1), (2, 2), (2, 2, 2, 2)),
    ((2, 2), (2, 2), (1, 1), (0, 0, 0, 0)),
    ((1, 1), (2, 2), (1, 1), (0, 0, 0, 0)),
    ((1, 7), (1, 3), (1, 1), (0, 3, 0, 3)),
    ((10, 4), (2, 2), (1, 1), (4, 1, 5, 1)),
]


def graph_of(kind, *ops):
    nodes, before = [], "x"
    for k, op in enumerate(ops):
        nodes.append(Node(f"n{k}", op, (before,)))
        before = f"n{k}"
    graph = Graph("g", (Input("x", kind),), tuple(nodes), (before,))
    verify(graph)
    assert parse_graph(print_graph(graph), OPERATORS) == graph
    return graph


def torch_convolution(frames, weights, stride, dilation, padding, groups=1, pad_code=0):
    """Exact: float64 holds every sum."""
    import torch

    top, left, bottom, right = padding
    images = torch.from_numpy(frames.transpose(0, 3, 1, 2)).double()
    images = torch.nn.functional.pad(images, (left, right, top, bottom), value=pad_code)
    kernels = torch.from_numpy(np.ascontiguousarray(weights)).double()
    out = torch.nn.functional.conv2d(
        images, kernels, stride=stride, dilation=dilation, groups=groups
    )
    return out.numpy().astype(np.int64).transpose(0, 2, 3, 1)


@pytest.mark.parametrize("geometry", GEOMETRIES)
@pytest.mark.parametrize("bipolar", [False, True])
def test_convolution(rng, geometry, bipolar):
    kernel, stride, dilation, padding = geometry
    codes = CodeType.binary() if bipolar else CodeType(-8, 7)
    pad_code = -1 if bipolar else 0
    frames = rng.integers(-8, 8, (3, 12, 13, 4))
    if bipolar:
        frames = np.where(frames < 0, -1, 1)
    weights = rng.integers(-8, 8, (6, 4, *kernel))
    window = SlidingWindow(kernel, stride, dilation, padding, pad_code, pe=2)
    matrix = weights.transpose(0, 2, 3, 1).reshape(6, -1)
    graph = graph_of(TensorType((12, 13, 4), codes), window, MatVec(matrix, 3, 2))
    expected = torch_convolution(frames, weights, stride, dilation, padding, pad_code=pad_code)
    assert np.array_equal(graph.evaluate(frames), expected)


@pytest.mark.parametrize("geometry", [g for g in GEOMETRIES if any(g[3])])
@pytest.mark.parametrize("pad_code", [-1, 1])
def test_zero_padding_of_a_binary_image(rng, geometry, pad_code):
    """One bit a code, and yet the border is that of zeros."""
    kernel, stride, dilation, padding = geometry
    frames, weights = rng.choice([-1, 1], (3, 12, 13, 4)), rng.choice([-1, 1], (6, 4, *kernel))
    kind = TensorType((12, 13, 4), CodeType.binary())
    window = SlidingWindow(kernel, stride, dilation, padding, pad_code, pe=2)
    matrix = weights.transpose(0, 2, 3, 1).reshape(6, -1)
    product = MatVec(matrix, 3, 2, Kernel.XNOR)
    graph = graph_of(kind, window, product, zero_padding(window, kind, matrix))
    expected = torch_convolution(frames, weights, stride, dilation, padding)
    assert np.array_equal(graph.evaluate(frames), expected)


@pytest.mark.parametrize("geometry", [g for g in GEOMETRIES if g[0] != (1, 1)])
def test_depthwise_convolution(rng, geometry):
    kernel, stride, dilation, padding = geometry
    frames = rng.integers(0, 16, (3, 12, 13, 4))
    weights = rng.integers(-8, 8, (4, 1, *kernel))
    window = SlidingWindow(kernel, stride, dilation, padding, pe=2)
    depthwise = Depthwise(weights.reshape(4, -1), pe=2)
    graph = graph_of(TensorType((12, 13, 4), CodeType(0, 15)), window, depthwise)
    expected = torch_convolution(frames, weights, stride, dilation, padding, groups=4)
    assert np.array_equal(graph.evaluate(frames), expected)


def test_conv1d(rng):
    import torch

    frames, weights = rng.integers(0, 16, (3, 40, 2)), rng.integers(-8, 8, (5, 2, 7))
    window = SlidingWindow((1, 7), (1, 2), padding=(0, 3, 0, 3))
    graph = graph_of(
        TensorType((40, 2), CodeType(0, 15)),
        Reshape((1, 40, 2)),
        window,
        MatVec(weights.transpose(0, 2, 1).reshape(5, -1)),
        Reshape((20, 5)),
    )
    images = torch.from_numpy(frames.transpose(0, 2, 1)).double()
    expected = torch.nn.functional.conv1d(
        images, torch.from_numpy(weights).double(), stride=2, padding=3
    )
    got = graph.evaluate(frames)
    assert np.array_equal(got, expected.numpy().astype(np.int64).transpose(0, 2, 1))


@pytest.mark.parametrize(("kernel", "stride", "padding"), [(2, 2, 0), (2, 3, 1), (3, 2, 1)])
def test_max_pooling(rng, kernel, stride, padding):
    import torch

    frames = rng.integers(-8, 8, (3, 12, 13, 4))
    pair, around = (kernel, kernel), (padding,) * 4
    if stride >= kernel:
        ops = (MaxPool(pair, (stride, stride), around),)
    else:
        window = SlidingWindow(pair, (stride, stride), padding=around, pad_code=-8)
        ops = (window, WindowMax(kernel * kernel))
    graph = graph_of(TensorType((12, 13, 4), CodeType(-8, 7)), *ops)
    images = torch.from_numpy(frames.transpose(0, 3, 1, 2)).double()
    expected = torch.nn.functional.max_pool2d(images, kernel, stride, padding)
    got = graph.evaluate(frames).transpose(0, 3, 1, 2)
    assert np.array_equal(got, expected.numpy().astype(np.int64))


def test_pooling_padding_upsampling_and_the_end_of_a_classifier(rng):
    """Average pooling without its division, global pooling, and the largest class."""
    import torch
    from torch.nn import functional

    frames = rng.integers(-8, 8, (5, 6, 8, 4))
    images = torch.from_numpy(frames.transpose(0, 3, 1, 2)).double()
    graph = graph_of(
        TensorType((6, 8, 4), CodeType(-8, 7)),
        Pad((1, 0, 1, 2), pe=2),
        SumPool((2, 2), (2, 2), pe=2),
        Upsample((2, 3), pe=2),
        SumPool((8, 15), (8, 15), pe=2),
        Reshape((4,), 2),
        ArgMax(2),
    )
    sums = functional.avg_pool2d(functional.pad(images, (0, 2, 1, 1)), 2) * 4
    big = functional.interpolate(sums, scale_factor=(2, 3), mode="nearest")
    total = big.sum(dim=(2, 3)).round().long()
    values = graph.trace(frames)
    assert np.array_equal(values["n4"], total.numpy())
    assert np.array_equal(values["n5"], total.numpy().argmax(axis=1)[:, None])
