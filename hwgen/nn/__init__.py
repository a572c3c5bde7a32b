"""Training: PyTorch layers whose arithmetic is that of the hardware, and their export to QONNX.

Needs PyTorch, the extra `train`. Read in this order: `config`, `quantizer`, `binary`, `khot`,
`layers`, `batchnorm`, `calibration`, `export`.
"""

from importlib.util import find_spec

from hwgen.errors import ToolError

if find_spec("torch") is None:
    raise ToolError("hwgen.nn needs PyTorch, which is not installed; pip install 'hwgen[train]'")

from hwgen.nn.batchnorm import BatchNorm1d
from hwgen.nn.binary import BinaryQuantizer
from hwgen.nn.calibration import calibrate
from hwgen.nn.config import BinaryConfig, FixedPointConfig, KHotConfig, KHotVariant
from hwgen.nn.export import export
from hwgen.nn.khot import KHotQuantizer, khot_projection
from hwgen.nn.layers import Identity, Linear, ReLU, Sign
from hwgen.nn.quantizer import FixedPointQuantizer

__all__ = [
    "BatchNorm1d",
    "BinaryConfig",
    "BinaryQuantizer",
    "FixedPointConfig",
    "FixedPointQuantizer",
    "Identity",
    "KHotConfig",
    "KHotQuantizer",
    "KHotVariant",
    "Linear",
    "ReLU",
    "Sign",
    "calibrate",
    "export",
    "khot_projection",
]
