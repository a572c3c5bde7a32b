"""Training: PyTorch layers whose arithmetic is that of the hardware, and their export to QONNX.

Needs PyTorch, the extra `train`. Read in this order:

- numbers: `config`, `quantizer`, `binary`, `khot`, `weight_config`, `learned_width`,
  `learned_output`
- layers: `layers`, `folded_norm`, `activations`, `batchnorm`, `structure`, `encoders`, `embedding`,
  `gated`
- a whole model: `prepare`, `calibration`, `bias_correction`, `price`, `summary`
- its file: `export`, `lowering`
"""

from importlib.util import find_spec

from hwgen.errors import ToolError

if find_spec("torch") is None:
    raise ToolError("hwgen.nn needs PyTorch, which is not installed; pip install 'hwgen[train]'")

from torch.nn import (
    Dropout,
    Flatten,
    MaxPool1d,
    MaxPool2d,
    Upsample,
    ZeroPad1d,
    ZeroPad2d,
)

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
    LearnedOutputConfig,
    Learning,
    Scale,
)
from hwgen.nn.embedding import Embedding
from hwgen.nn.encoders import Pixels, Thermometer
from hwgen.nn.estimators import Estimator
from hwgen.nn.export import export
from hwgen.nn.gated import PrecisionGatedConv2d, gate_penalty
from hwgen.nn.khot import KHotQuantizer, khot_projection
from hwgen.nn.layers import Conv1d, Conv2d, Linear
from hwgen.nn.learned_output import LearnedOutputQuantizer
from hwgen.nn.learned_width import LearnedWidthQuantizer
from hwgen.nn.power_of_two import DenseShiftQuantizer, PowerOfTwoQuantizer, ShiftQuantizer
from hwgen.nn.prepare import prepare
from hwgen.nn.price import LutPrice
from hwgen.nn.quantizer import FixedPointQuantizer
from hwgen.nn.schedule import Schedule
from hwgen.nn.structure import (
    AdaptiveAvgPool1d,
    AdaptiveAvgPool2d,
    Add,
    AvgPool1d,
    AvgPool2d,
    Cat,
)
from hwgen.nn.summary import summary
from hwgen.nn.ternary import TernaryQuantizer
from hwgen.nn.twins import LayerConfig
from hwgen.nn.weight_config import (
    AdditiveConfig,
    DenseShiftConfig,
    Group,
    LearnedWidthConfig,
    PowerOfTwoConfig,
    ShiftConfig,
    TernaryConfig,
    TernaryMeasure,
)

__all__ = [
    "AdaptiveAvgPool1d",
    "AdaptiveAvgPool2d",
    "Add",
    "AdditiveConfig",
    "AdditiveQuantizer",
    "AvgPool1d",
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
    "Embedding",
    "Estimator",
    "FixedPointConfig",
    "FixedPointQuantizer",
    "Flatten",
    "Group",
    "Hardtanh",
    "Identity",
    "KHotConfig",
    "KHotQuantizer",
    "KHotVariant",
    "LayerConfig",
    "LearnedOutputConfig",
    "LearnedOutputQuantizer",
    "LearnedWidthConfig",
    "LearnedWidthQuantizer",
    "Learning",
    "Linear",
    "LutPrice",
    "MaxPool1d",
    "MaxPool2d",
    "PReLU",
    "Pixels",
    "PowerOfTwoConfig",
    "PowerOfTwoQuantizer",
    "PrecisionGatedConv2d",
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
    "ZeroPad1d",
    "ZeroPad2d",
    "additive_levels",
    "biper_penalty",
    "calibrate",
    "correct_biases",
    "export",
    "gate_penalty",
    "khot_projection",
    "prepare",
    "summary",
]
