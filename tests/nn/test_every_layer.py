"""Random networks of all layers and options: eval == file in qonnx == imported graph."""

import itertools

import numpy as np
import pytest
import torch
from hypothesis import Phase, assume, given, settings
from hypothesis import strategies as st
from torch import nn

import hwgen.nn as hnn
from hwgen.errors import ExportError
from hwgen.nn import Group, KHotVariant, Learning, Scale, TernaryMeasure
from hwgen.numeric import Overflow, Rounding

from .equality import assert_equal_everywhere

pytestmark = pytest.mark.torch

WITHOUT_SHRINKING = (Phase.explicit, Phase.generate)  # which takes minutes on networks
SAYABLE = [mode for mode in Rounding if mode not in (Rounding.RND, Rounding.RND_MIN_INF)]
learnings = st.sampled_from(list(Learning))

fixed_weights = st.builds(
    hnn.FixedPointConfig,
    bit_width=st.integers(2, 7),
    learning=learnings,
    per_channel=st.booleans(),
    overflow=st.sampled_from([Overflow.SAT, Overflow.SAT_SYM]),
)
khot_weights = st.builds(
    hnn.KHotConfig,
    bit_width=st.integers(3, 7),
    k=st.integers(1, 2),
    variant=st.sampled_from(list(KHotVariant)),
    per_channel=st.booleans(),
)
learned_weights = st.builds(
    hnn.LearnedWidthConfig, bit_width=st.integers(2, 6), group=st.sampled_from(list(Group))
)
foldable = st.one_of(fixed_weights, khot_weights, learned_weights)
weights = st.one_of(
    foldable,
    st.builds(
        hnn.BinaryConfig,
        scale=st.sampled_from(list(Scale)),
        per_channel=st.booleans(),
        centred=st.booleans(),
    ),
    st.builds(
        hnn.TernaryConfig,
        measure=st.sampled_from(list(TernaryMeasure)),
        scale=st.sampled_from([Scale.POWER_OF_TWO, Scale.FREE]),
    ),
    st.builds(hnn.ShiftConfig, bit_width=st.integers(2, 4)),
    st.builds(hnn.PowerOfTwoConfig, bit_width=st.integers(2, 4)),
    st.builds(hnn.DenseShiftConfig, bit_width=st.integers(2, 3)),
    st.builds(hnn.AdditiveConfig, bit_width=st.integers(2, 4)),
)
constants = st.one_of(
    st.builds(hnn.FixedPointConfig, bit_width=st.integers(3, 8), max_frac=st.just(8)),
    st.builds(hnn.KHotConfig, bit_width=st.integers(3, 8), k=st.integers(1, 2)),
)
biases = st.builds(hnn.FixedPointConfig, bit_width=st.integers(3, 8), max_frac=st.just(8))


def activations(signed):
    return st.builds(
        hnn.FixedPointConfig,
        bit_width=st.integers(2, 6),
        signed=st.just(signed),
        rounding=st.sampled_from(SAYABLE),
        overflow=st.sampled_from([Overflow.SAT, Overflow.SAT_SYM]),
        learning=learnings,
    )


@st.composite
def normalized(draw, layer, channels, norm):
    """The layer with a BatchNorm behind it or inside it, or without one."""
    can_fold = isinstance(
        layer.weight_quantizer, hnn.FixedPointQuantizer | hnn.LearnedWidthQuantizer
    )
    kind = draw(st.sampled_from(["none", "layer", "folded"] if can_fold else ["none", "layer"]))
    if kind == "folded":
        plain = nn.BatchNorm2d(channels) if norm is hnn.BatchNorm2d else nn.BatchNorm1d(channels)
        nn.init.uniform_(plain.weight, -1, 2)
        layer.fold(plain, draw(biases))
    if kind != "layer":
        return [layer]
    made = norm(channels, scale=draw(constants), bias=draw(biases))
    nn.init.uniform_(made.weight, -1, 2)
    return [layer, made]


@st.composite
def activated(draw, channels):
    """An activation of any kind, its result quantized."""
    kind = draw(st.sampled_from(["relu", "relu6", "hardtanh", "prelu", "rprelu", "sign", "none"]))
    signed = draw(activations(signed=True))
    match kind:
        case "relu":
            return hnn.ReLU(output=draw(activations(signed=False)))
        case "relu6":
            return hnn.ReLU6(output=draw(activations(signed=False)))
        case "hardtanh":
            return hnn.Hardtanh(output=signed)
        case "prelu":
            return hnn.PReLU(
                draw(st.sampled_from([1, channels])), slope=draw(constants), output=signed
            )
        case "rprelu":
            return hnn.RPReLU(channels, slope=draw(constants), offset=draw(biases), output=signed)
        case "sign":
            return hnn.Sign()
    return hnn.Identity(output=signed)


def vary(model):
    """Weights and slopes away from where they start, widths that were learned."""
    with torch.no_grad():
        for module in model.modules():
            if isinstance(module, hnn.LearnedWidthQuantizer):
                module.frac -= torch.randint(0, 4, module.frac.shape)
            if isinstance(module, hnn.RPReLU):
                module.before.normal_()
                module.after.normal_()


def check(model, x, folder):
    vary(model)
    for _ in range(2):
        model(x)
    try:
        assert_equal_everywhere(model, x, folder)
    except ExportError as error:
        # Too wide for float32, as the exporter finds; anything else is a failure.
        if not all("sums reach" in line for line in str(error).splitlines()[1:]):
            raise
        assume(False)


@st.composite
def chains(draw):
    torch.manual_seed(draw(st.integers(0, 2**32 - 1)))
    sizes = draw(st.lists(st.integers(1, 6), min_size=2, max_size=3))
    layers = [hnn.Identity(output=draw(activations(signed=True)))]
    for inputs, outputs in itertools.pairwise(sizes):
        linear = hnn.Linear(
            inputs, outputs, draw(st.booleans()), weight=draw(weights), bias_format=draw(biases)
        )
        layers += draw(normalized(linear, outputs, hnn.BatchNorm1d))
        layers.append(draw(activated(outputs)))
    return nn.Sequential(*layers), torch.randn(9, sizes[0]) * 2


@settings(max_examples=40, phases=WITHOUT_SHRINKING)
@given(chains())
def test_chains_of_linear_layers(tmp_path_factory, case):
    check(*case, tmp_path_factory.mktemp("chain"))


@st.composite
def images(draw):
    torch.manual_seed(draw(st.integers(0, 2**32 - 1)))
    channels, size = draw(st.integers(1, 3)), draw(st.integers(4, 6))
    outputs, kernel = draw(st.integers(1, 4)), draw(st.integers(1, 3))
    layers = [hnn.Identity(output=draw(activations(signed=draw(st.booleans()))))]
    if draw(st.booleans()):
        layers.append(hnn.ZeroPad2d(tuple(draw(st.integers(0, kernel - 1)) for _ in range(4))))
    convolution = hnn.Conv2d(
        channels,
        outputs,
        kernel,
        draw(st.integers(1, 2)),
        draw(st.integers(0, (kernel - 1) // 2)),
        bias=draw(st.booleans()),
        weight=draw(weights),
        bias_format=draw(biases),
    )
    layers += draw(normalized(convolution, outputs, hnn.BatchNorm2d))
    layers.append(draw(activated(outputs)))
    pools = {
        "none": list,
        "max": lambda: [hnn.MaxPool2d(2)],
        "average": lambda: [hnn.AvgPool2d(2, output=draw(activations(signed=True)))],
        "global": lambda: [hnn.AdaptiveAvgPool2d(1, output=draw(activations(signed=True)))],
        "upsample": lambda: [hnn.Upsample(scale_factor=2)],
    }
    x = torch.randn(4, channels, size, size) * 2
    with torch.no_grad():
        side = min(nn.Sequential(*layers)(x).shape[-2:])
    if side < 2:  # a stride has left a single pixel
        del pools["max"], pools["average"]
    layers += pools[draw(st.sampled_from(sorted(pools)))]()
    if draw(st.booleans()):
        layers.append(hnn.Conv2d(outputs, outputs, 1, groups=outputs, weight=draw(weights)))
        layers.append(draw(activated(outputs)))
    if draw(st.booleans()):
        layers.append(nn.Flatten())
        with torch.no_grad():
            width = nn.Sequential(*layers)(x).shape[1]
        layers.append(hnn.Linear(width, 3, weight=draw(weights)))
    return nn.Sequential(*layers), x


@settings(max_examples=36, phases=WITHOUT_SHRINKING)
@given(images())
def test_networks_on_images(tmp_path_factory, case):
    check(*case, tmp_path_factory.mktemp("image"))


@st.composite
def sequences(draw):
    torch.manual_seed(draw(st.integers(0, 2**32 - 1)))
    groups, kernel = draw(st.integers(1, 2)), draw(st.integers(1, 3))
    channels, outputs = groups * draw(st.integers(1, 2)), groups * draw(st.integers(1, 2))
    layers = [hnn.Identity(output=draw(activations(signed=True)))]
    if draw(st.booleans()):
        layers.append(hnn.ZeroPad1d((draw(st.integers(0, kernel - 1)), 0)))
    convolution = hnn.Conv1d(
        channels,
        outputs,
        kernel,
        draw(st.integers(1, 2)),
        draw(st.integers(0, (kernel - 1) // 2)),
        draw(st.integers(1, 2)),
        groups,
        draw(st.booleans()),
        weight=draw(weights),
        bias_format=draw(biases),
    )
    layers += draw(normalized(convolution, outputs, hnn.BatchNorm1d))
    layers.append(draw(activated(outputs)))
    average = draw(activations(signed=True))
    pools = {
        "none": list,
        "max": lambda: [hnn.MaxPool1d(2)],
        "average": lambda: [hnn.AvgPool1d(2, output=average)],
        "global": lambda: [hnn.AdaptiveAvgPool1d(1, output=average)],
        "upsample": lambda: [hnn.Upsample(scale_factor=2), hnn.Dropout()],
    }
    layers += pools[draw(st.sampled_from(sorted(pools)))]()
    return nn.Sequential(*layers), torch.randn(4, channels, draw(st.integers(8, 11))) * 2


@settings(max_examples=30, phases=WITHOUT_SHRINKING)
@given(sequences())
def test_networks_on_sequences(tmp_path_factory, case):
    check(*case, tmp_path_factory.mktemp("sequence"))


@st.composite
def encoded(draw):
    """Integers, some beyond the range, through each encoder."""
    torch.manual_seed(draw(st.integers(0, 2**32 - 1)))
    channels, bits = draw(st.integers(1, 2)), draw(st.integers(2, 8))
    encoder, planes = hnn.Pixels(bits), channels
    if draw(st.booleans()):
        resolution = draw(st.integers(max(1, 2 ** (bits - 3)), 2**bits - 1))
        encoder = hnn.Thermometer(channels, resolution, bits)
        planes = channels * encoder.planes
    convolution = hnn.Conv2d(planes, 3, 2, weight=draw(weights), bias_format=draw(biases))
    layers = [encoder, *draw(normalized(convolution, 3, hnn.BatchNorm2d)), draw(activated(3))]
    return nn.Sequential(*layers), torch.randint(-2, 2**bits + 2, (4, channels, 4, 5)).float()


@settings(max_examples=24, phases=WITHOUT_SHRINKING)
@given(encoded())
def test_networks_behind_encoders(tmp_path_factory, case):
    check(*case, tmp_path_factory.mktemp("encoded"))


class Shortcut(nn.Module):
    def __init__(self, draw, channels):
        super().__init__()
        weight = draw(foldable)
        self.start = hnn.Identity(output=draw(activations(signed=True)))
        self.left = hnn.Conv2d(channels, channels, 3, padding=1, weight=weight)
        self.act = draw(activated(channels))
        self.join = (
            hnn.Add(output=draw(activations(signed=True)))
            if draw(st.booleans())
            else hnn.Cat(output=draw(activations(signed=True)))
        )

    def forward(self, x):
        x = self.start(x)
        return self.join(self.act(self.left(x)), x)


@st.composite
def branches(draw):
    torch.manual_seed(draw(st.integers(0, 2**32 - 1)))
    channels = draw(st.integers(1, 3))
    return Shortcut(draw, channels), torch.randn(4, channels, 4, 5)


@settings(max_examples=14, phases=WITHOUT_SHRINKING)
@given(branches())
def test_networks_that_branch(tmp_path_factory, case):
    check(*case, tmp_path_factory.mktemp("branch"))


def test_the_networks_are_not_all_constant():
    """Equality of constants would say nothing."""
    torch.manual_seed(0)
    model = nn.Sequential(
        hnn.Identity(output=hnn.FixedPointConfig(5)), hnn.Linear(6, 4), hnn.ReLU()
    )
    x = torch.randn(30, 6) * 2
    model(x)
    assert len(np.unique(model.eval()(x).detach().numpy())) > 20
