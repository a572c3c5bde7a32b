"""From a config to its quantizer: the one place that knows all kinds."""

from __future__ import annotations

from torch import Tensor

from hwgen.errors import NumericError
from hwgen.nn.additive import AdditiveQuantizer
from hwgen.nn.binary import BinaryQuantizer
from hwgen.nn.config import (
    BinaryConfig,
    FixedPointConfig,
    KHotConfig,
    LearnedOutputConfig,
    NumberConfig,
    OutputConfig,
    Scale,
)
from hwgen.nn.khot import KHotQuantizer
from hwgen.nn.learned_output import LearnedOutputQuantizer
from hwgen.nn.learned_width import LearnedWidthQuantizer
from hwgen.nn.power_of_two import DenseShiftQuantizer, PowerOfTwoQuantizer, ShiftQuantizer
from hwgen.nn.quantizer import FixedPointQuantizer, Quantizer
from hwgen.nn.ternary import TernaryQuantizer
from hwgen.nn.weight_config import (
    AdditiveConfig,
    DenseShiftConfig,
    LearnedWidthConfig,
    PowerOfTwoConfig,
    ShiftConfig,
    TernaryConfig,
    WeightConfig,
)

# Weight quantizers that round the float weight itself: the others normalize it, or train something
# else in its place.
APPROXIMATING = (FixedPointQuantizer, LearnedWidthQuantizer, PowerOfTwoQuantizer, TernaryQuantizer)


def weight_quantizer(config: WeightConfig, weight: Tensor) -> Quantizer:
    """Return the quantizer of a weight tensor whose first axis is the output channel."""
    match config:
        case FixedPointConfig() | KHotConfig():
            return constant_quantizer(config, weight.shape[0])
        case BinaryConfig():
            return BinaryQuantizer(config, weight.shape[0])
        case PowerOfTwoConfig():
            return PowerOfTwoQuantizer(config)
        case ShiftConfig():
            weight.requires_grad_(False)  # its place is taken by shift and sign
            return ShiftQuantizer(config, weight.detach())
        case DenseShiftConfig():
            return DenseShiftQuantizer(config, weight.detach())
        case AdditiveConfig():
            return AdditiveQuantizer(config)
        case TernaryConfig():
            return TernaryQuantizer(config)
        case LearnedWidthConfig():
            return LearnedWidthQuantizer(config, weight.detach())


def constant_quantizer(config: NumberConfig, channels: int) -> FixedPointQuantizer:
    """Return the quantizer of a bias, a scale or a slope: one number for each channel."""
    if isinstance(config, KHotConfig):
        return KHotQuantizer(config, channels)
    return FixedPointQuantizer(config, channels)


def output_quantizer(config: OutputConfig) -> FixedPointQuantizer | BinaryQuantizer:
    """Return the quantizer of activations."""
    if isinstance(config, BinaryConfig):
        if config.scale is not Scale.ONE:
            raise NumericError(
                f"BinaryConfig: scale is {config.scale.name} for an activation, expected ONE; the "
                "scale of the weights after it does the same"
            )
        return BinaryQuantizer(config)
    if isinstance(config, LearnedOutputConfig):
        return LearnedOutputQuantizer(config)
    return FixedPointQuantizer(config)


def result_quantizer(
    config: OutputConfig | None,
) -> FixedPointQuantizer | BinaryQuantizer | None:
    """Return the quantizer of a layer's result, None where it is left exact."""
    return None if config is None else output_quantizer(config)
