"""Number formats, rounding, overflow and code intervals: exact, in numpy and Python integers."""

from hwgen.numeric.bipolar import Bipolar
from hwgen.numeric.code_type import CodeType
from hwgen.numeric.fixed_point import FixedPoint
from hwgen.numeric.overflow import Overflow, apply_overflow
from hwgen.numeric.rounding import (
    QONNX_ROUNDING,
    Rounding,
    qonnx_name,
    round_real,
    round_shift,
    rounding_from_qonnx,
    rounding_increment,
)

__all__ = [
    "QONNX_ROUNDING",
    "Bipolar",
    "CodeType",
    "FixedPoint",
    "Overflow",
    "Rounding",
    "apply_overflow",
    "qonnx_name",
    "round_real",
    "round_shift",
    "rounding_from_qonnx",
    "rounding_increment",
]
