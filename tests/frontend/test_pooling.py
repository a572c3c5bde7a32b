"""Pools and reductions equal qonnx, also where a MaxPool stands before the quantizer."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.frontend.equality import assert_equal_everywhere, kinds
from tests.frontend.models import Builder, grid_frames


@st.composite
def pools(draw):
    axes = draw(st.integers(1, 2))
    kernel = [draw(st.integers(1, 3)) for _ in range(axes)]
    attributes = {
        "kernel_shape": kernel,
        "strides": [draw(st.integers(1, 3)) for _ in range(axes)],
        "pads": [draw(st.integers(0, (k - 1) // 2)) for _ in (0, 1) for k in kernel],
    }
    image = [k + draw(st.integers(0, 5)) for k in kernel]
    return attributes, image, draw(st.integers(0, 2**32 - 1))


@settings(max_examples=25)
@given(case=pools(), ceil=st.booleans(), bipolar=st.booleans())
def test_max_pool(case, ceil, bipolar):
    attributes, image, seed = case
    rng = np.random.default_rng(seed)
    b = Builder(("N", 2, *image))
    x = b.bipolar("x", 0.5) if bipolar else b.quant("x")
    y = b.node("MaxPool", x, ceil_mode=int(ceil), **attributes)
    assert_equal_everywhere(b.model(y), grid_frames(rng, (2, *image), 6))


@settings(max_examples=25)
@given(case=pools(), bipolar=st.booleans())
def test_average_pool(case, bipolar):
    attributes, image, seed = case
    rng = np.random.default_rng(seed)
    b = Builder(("N", 2, *image))
    x = b.bipolar("x", 0.5) if bipolar else b.quant("x")
    y = b.node("AveragePool", x, count_include_pad=1, **attributes)
    # One more than the average's own grid, so that nothing lies on a tie of thirds.
    y = b.quant(b.node("Add", y, b.constant(1 / 64)), 0.0625, 7)
    assert_equal_everywhere(b.model(y), grid_frames(rng, (2, *image), 6))


def test_dilated_max_pool(rng):
    b = Builder(("N", 2, 7, 7))
    y = b.node("MaxPool", b.quant("x"), kernel_shape=[2, 3], dilations=[2, 2], strides=[2, 1])
    assert_equal_everywhere(b.model(y), grid_frames(rng, (2, 7, 7)))


def test_pool_as_large_as_the_image(rng):
    b = Builder(("N", 3, 4, 5))
    y = b.node("AveragePool", b.quant("x"), kernel_shape=[4, 5], strides=[1, 1])
    graph = assert_equal_everywhere(
        b.model(b.quant(b.node("Add", y, b.constant(1 / 128)), 0.125, 5)),
        grid_frames(rng, (3, 4, 5)),
    )
    assert kinds(graph)[0] == "sum_pool"


REDUCTIONS = [
    ("GlobalAveragePool", {}),
    ("GlobalMaxPool", {}),
    ("ReduceMean", {"axes": [2, 3]}),
    ("ReduceMean", {"axes": [-1, -2], "keepdims": 0}),
    ("ReduceMax", {"axes": [2, 3], "keepdims": 0}),
]


@pytest.mark.parametrize(("op_type", "options"), REDUCTIONS)
def test_reductions_then_a_classifier(rng, op_type, options):
    b = Builder(("N", 4, 4, 4))
    y = b.quant(b.node(op_type, b.quant("x"), **options), 0.125, 6)
    y = b.node("MatMul", b.node("Flatten", y), b.weights(rng.integers(-7, 8, (4, 3))))
    assert_equal_everywhere(b.model(y), grid_frames(rng, (4, 4, 4)))


def test_sum_over_space_with_axes_as_an_input(rng):
    b = Builder(("N", 3, 2, 5))
    axes = b.constant([2, 3], dtype=np.int64)
    assert_equal_everywhere(
        b.model(b.node("ReduceSum", b.quant("x"), axes)), grid_frames(rng, (3, 2, 5))
    )


def test_mean_of_sequences(rng):
    b = Builder(("N", 3, 8))
    y = b.node("ReduceMean", b.quant("x"), axes=[2], keepdims=0)
    assert_equal_everywhere(b.model(y), grid_frames(rng, (3, 8)))


def convolved(b, rng, channels=4):
    w = b.weights(rng.integers(-7, 8, (channels, 2, 3, 3)), 0.25, 4)
    return b.node("Conv", b.quant("x"), w, b.constant(rng.integers(-9, 10, channels) / 8))


def normalized(b, rng, x, gamma):
    ones = np.ones(len(gamma))
    constants = (gamma, rng.standard_normal(len(gamma)), rng.standard_normal(len(gamma)), ones)
    return b.node("BatchNormalization", x, *(b.constant(c) for c in constants))


POOL = {"kernel_shape": [2, 2], "strides": [2, 2]}
MIXED = np.array([0.5, -0.75, 0.0, 1.5])


@pytest.mark.parametrize("gamma", [MIXED, np.abs(MIXED)], ids=["falling", "rising"])
def test_max_pool_between_normalization_and_quantizer(rng, gamma):
    """Behind the pool nothing falls: the pool moves behind the quantizer, whatever came before."""
    b = Builder(("N", 2, 8, 8))
    y = b.node("Relu", normalized(b, rng, convolved(b, rng), gamma))
    y = b.quant(b.node("MaxPool", y, **POOL, name="pool"), 0.25, 4, signed=0, name="act")
    graph = assert_equal_everywhere(b.model(y), grid_frames(rng, (2, 8, 8), 8))
    assert kinds(graph)[-1] == "max_pool"
    assert graph.nodes[-1].source == "pool"


def test_max_pool_before_normalization(rng):
    """Behind the pool channels fall, but the sums before it are as they are."""
    b = Builder(("N", 2, 8, 8))
    y = normalized(b, rng, b.node("MaxPool", convolved(b, rng), **POOL), MIXED)
    graph = assert_equal_everywhere(b.model(b.quant(y, 0.5)), grid_frames(rng, (2, 8, 8), 8))
    assert kinds(graph)[:3] == ["sliding_window", "matvec", "max_pool"]


def test_max_pool_before_a_curve_that_is_found_to_rise(rng):
    b = Builder(("N", 2, 8, 8))
    y = normalized(b, rng, convolved(b, rng), MIXED)
    y = b.quant(b.node("Sigmoid", b.node("MaxPool", y, **POOL)), 0.125, 4, signed=0)
    graph = assert_equal_everywhere(b.model(y), grid_frames(rng, (2, 8, 8), 8))
    assert kinds(graph)[-1] == "max_pool"


def test_max_pool_between_two_things_that_fall(rng):
    """Neither in front nor behind: the numbers before the pool become codes of their own."""
    b = Builder(("N", 2, 8, 8))
    signs = b.constant(np.array([1, -1, -0.5, 2.0]).reshape(4, 1, 1))
    y = b.node("MaxPool", b.node("Mul", convolved(b, rng), signs), **POOL)
    y = b.quant(b.node("Mul", y, signs), 0.5)
    graph = assert_equal_everywhere(b.model(y), grid_frames(rng, (2, 8, 8), 8))
    assert kinds(graph)[2:4] == ["requantize", "max_pool"]


def test_two_pools_and_no_quantizer(rng):
    b = Builder(("N", 2, 10, 10))
    y = b.node("Relu", b.node("MaxPool", convolved(b, rng), **POOL))
    y = b.node("MaxPool", y, kernel_shape=[2, 2], strides=[1, 1])
    assert_equal_everywhere(b.model(b.node("Flatten", y)), grid_frames(rng, (2, 10, 10), 8))
