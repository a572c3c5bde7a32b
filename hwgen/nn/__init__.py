"""Training: PyTorch layers whose arithmetic is that of the hardware, and their export to QONNX.

Needs PyTorch, the extra `train`. Read in this order: `config`, `quantizer`, `binary`, `khot`,
`weight_config`, `layers`, `activations`, `batchnorm`, `structure`,
`prepare`, `calibration`, `bias_correction`,
`export`.
"""

from importlib.util import find_spec

from hwgen.errors import ToolError

if find_spec("torch") is None:
    raise ToolError("hwgen.nn needs PyTorch, which is not installed; pip install 'hwgen[train]'")

from torch.nn import Dropout, Flatten, MaxPool1d, MaxPool2d, Upsample

from hwgen.nn.activations import Hardtanh, Identity, PReLU, ReLU, ReLU6, RPReLU, Sign
from hwgen.nn.additive import AdditiveQuantizer, additive_levels
from hwgen.nn.batchnorm import BatchNorm1d, BatchNorm2d
from hwgen.nn.bias_correction import correct_biases
from hwgen.nn.binary import BinaryQuantizer, biper_penalty
from hwgen.nn.calibration import CalibrationMethod, calibrate
from hwgen.nn.config import (
    BinaryConfig,
    FixedPointConfig,
    KHotConfig,
    KHotVariant,
    Learning,
    Scale,
)
from hwgen.nn.encoders import Pixels, Thermometer
from hwgen.nn.estimators import Estimator
from hwgen.nn.export import export
from hwgen.nn.khot import KHotQuantizer, khot_projection
from hwgen.nn.layers import Conv1d, Conv2d, Linear
from hwgen.nn.power_of_two import DenseShiftQuantizer, PowerOfTwoQuantizer, ShiftQuantizer
from hwgen.nn.prepare import prepare
from hwgen.nn.quantizer import FixedPointQuantizer
from hwgen.nn.schedule import Schedule
from hwgen.nn.structure import AdaptiveAvgPool2d, Add, AvgPool2d, Cat
from hwgen.nn.summary import summary
from hwgen.nn.ternary import TernaryQuantizer
from hwgen.nn.twins import LayerConfig
from hwgen.nn.weight_config import (
    AdditiveConfig,
    DenseShiftConfig,
    PowerOfTwoConfig,
    ShiftConfig,
    TernaryConfig,
    TernaryMeasure,
)

__all__ = [
    "AdaptiveAvgPool2d",
    "Add",
    "AdditiveConfig",
    "AdditiveQuantizer",
    "AvgPool2d",
    "BatchNorm1d",
    "BatchNorm2d",
    "BinaryConfig",
    "BinaryQuantizer",
    "CalibrationMethod",
    "Cat",
    "Conv1d",
    "Conv2d",
    "DenseShiftConfig",
    "DenseShiftQuantizer",
    "Dropout",
    "Estimator",
    "FixedPointConfig",
    "FixedPointQuantizer",
    "Flatten",
    "Hardtanh",
    "Identity",
    "KHotConfig",
    "KHotQuantizer",
    "KHotVariant",
    "LayerConfig",
    "Learning",
    "Linear",
    "MaxPool1d",
    "MaxPool2d",
    "PReLU",
    "Pixels",
    "PowerOfTwoConfig",
    "PowerOfTwoQuantizer",
    "RPReLU",
    "ReLU",
    "ReLU6",
    "Scale",
    "Schedule",
    "ShiftConfig",
    "ShiftQuantizer",
    "Sign",
    "TernaryConfig",
    "TernaryMeasure",
    "TernaryQuantizer",
    "Thermometer",
    "Upsample",
    "additive_levels",
    "biper_penalty",
    "calibrate",
    "correct_biases",
    "export",
    "khot_projection",
    "prepare",
    "summary",
]
