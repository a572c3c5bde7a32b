"""Conv, 1-D and 2-D, equals qonnx for every stride, dilation, padding, group and scale."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.frontend.equality import assert_equal_everywhere, kinds
from tests.frontend.models import Builder, grid_frames


def weights(b, rng, shape, *, bipolar=False, per_channel=False):
    if bipolar:
        return b.bipolar(b.constant(rng.choice([-1.0, 1.0], shape)), 0.5)
    ones = (1,) * (len(shape) - 1)
    scale = 2.0 ** rng.integers(-4, 0, (shape[0], *ones)) if per_channel else 0.25
    return b.weights(rng.integers(-7, 8, shape), scale, 4)


@st.composite
def convolutions(draw):
    axes = draw(st.integers(1, 2))
    groups = draw(st.sampled_from([1, 1, 2, 3]))
    kernel = [draw(st.integers(1, 3)) for _ in range(axes)]
    dilations = [draw(st.integers(1, 2)) for _ in range(axes)]
    reach = [(k - 1) * d + 1 for k, d in zip(kernel, dilations, strict=True)]
    attributes = {
        "kernel_shape": kernel,
        "dilations": dilations,
        "strides": [draw(st.integers(1, 3)) for _ in range(axes)],
        "group": groups,
    }
    padding = draw(st.sampled_from(["pads", "SAME_UPPER", "SAME_LOWER", "VALID", None]))
    if padding == "pads":
        attributes["pads"] = [draw(st.integers(0, r - 1)) for _ in (0, 1) for r in reach]
    elif padding is not None:
        attributes["auto_pad"] = padding
        if padding.startswith("SAME"):
            attributes["dilations"] = [1] * axes
    return {
        "seed": draw(st.integers(0, 2**32 - 1)),
        "attributes": attributes,
        "image": [r + draw(st.integers(0, 4)) for r in reach],
        "inputs": groups * draw(st.integers(1, 2)),
        "outputs": groups * draw(st.integers(1, 2)),
        "bipolar": draw(st.sampled_from(["none", "inputs", "weights", "both"])),
        "per_channel": draw(st.booleans()),
        "bias": draw(st.booleans()),
        "zero_point": draw(st.integers(-6, 6)),
    }


@settings(max_examples=50)
@given(case=convolutions())
def test_random_convolutions(case):
    rng = np.random.default_rng(case["seed"])
    shape = (case["inputs"], *case["image"])
    b = Builder(("N", *shape))
    if case["bipolar"] in ("inputs", "both"):
        x = b.bipolar("x", 0.5)
    else:
        x = b.quant("x", 0.25, 3, signed=0, zero_point=case["zero_point"])
    attributes = case["attributes"]
    kernel = (case["outputs"], case["inputs"] // attributes["group"], *attributes["kernel_shape"])
    bits = case["bipolar"] in ("weights", "both")
    inputs = [x, weights(b, rng, kernel, bipolar=bits, per_channel=case["per_channel"])]
    if case["bias"]:
        inputs.append(b.constant(rng.integers(-20, 21, case["outputs"]) / 16))
    y = b.node("Conv", *inputs, **attributes)
    y = b.quant(b.node("Relu", b.node("Add", y, b.constant(0.125))), 0.25, 5, signed=0)
    assert_equal_everywhere(b.model(y), grid_frames(rng, shape, 6))


@pytest.mark.parametrize(
    ("kernel", "options", "expected"),
    [
        ((4, 2, 1, 1), {}, ["matvec"]),
        ((4, 2, 1, 1), {"strides": [2, 2]}, ["sliding_window", "matvec"]),
        ((4, 2, 1, 1), {"pads": [1, 0, 1, 1]}, ["pad", "matvec"]),
        ((4, 2, 5, 6), {}, ["reshape", "matvec"]),
        ((4, 2, 5, 6), {"pads": [1, 1, 1, 1], "strides": [9, 9]}, ["reshape", "matvec"]),
        ((4, 2, 9, 3), {"pads": [3, 0, 3, 0]}, ["sliding_window", "matvec"]),
        ((4, 2, 9, 9), {"pads": [2, 1, 3, 3], "strides": [4, 4]}, ["reshape", "matvec"]),
        ((2, 1, 3, 4), {"dilations": [3, 2], "pads": [1, 0, 2, 1], "group": 2}, ["sliding_window"]),
        ((2, 1, 3, 3), {"group": 2}, ["sliding_window", "depthwise"]),
        ((2, 1, 5, 6), {"group": 2}, ["reshape", "depthwise"]),
        ((4, 1, 3, 3), {"group": 2}, ["sliding_window", "matvec"]),
    ],
)
def test_operators(rng, kernel, options, expected):
    b = Builder(("N", 2, 5, 6))
    y = b.node("Conv", b.quant("x"), weights(b, rng, kernel), **options)
    graph = assert_equal_everywhere(b.model(y), grid_frames(rng, (2, 5, 6), 4))
    assert kinds(graph)[: len(expected)] == expected


@pytest.mark.parametrize("pads", [[1, 0, 1, 0], [0, 1, 0, 0], [1, 1, 1, 1]])
def test_one_window_over_an_image_of_bits(rng, pads):
    """Taps in the padding simply go away."""
    b = Builder(("N", 2, 2, 2))
    w = weights(b, rng, (4, 2, 2, 2), bipolar=True)
    y = b.node("Conv", b.bipolar("x"), w, pads=pads, strides=[3, 3])
    graph = assert_equal_everywhere(b.model(y), grid_frames(rng, (2, 2, 2)))
    assert kinds(graph) == ["reshape", "matvec"]


def test_bits_with_zero_padding_stay_bits(rng):
    b = Builder(("N", 3, 6, 6))
    w = weights(b, rng, (4, 3, 3, 3), bipolar=True)
    y = b.node("Conv", b.bipolar("x"), w, pads=[1, 1, 1, 1], name="c")
    graph = assert_equal_everywhere(b.model(b.bipolar(y)), grid_frames(rng, (3, 6, 6), 8))
    assert kinds(graph)[:3] == ["sliding_window", "matvec", "border_offset"]
    assert graph.types["c_window"].codes.bipolar
    assert [node.name for node in graph.nodes[:3]] == ["c_window", "c", "c_border"]


def test_zero_outside_of_the_quantizers_range(rng):
    """Codes 3..10 only, yet padding is the number 0: code 0, wherever the zero point lies."""
    b = Builder(("N", 1, 4, 4))
    x = b.quant("x", 0.25, 3, signed=0, zero_point=-3)
    y = b.node("Conv", x, weights(b, rng, (2, 1, 3, 3)), pads=[1, 1, 1, 1])
    graph = assert_equal_everywhere(b.model(y), grid_frames(rng, (1, 4, 4)))
    assert (graph.types[graph.nodes[0].name].codes.lo, graph.inputs[0].type.codes.lo) == (0, 3)
