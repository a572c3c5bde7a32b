"""QONNX quantizers: their parameters checked, and what they do to real numbers.

Source: QONNX custom operators Quant (IntQuant) and BipolarQuant,
https://github.com/fastmachinelearning/qonnx/tree/main/docs/qonnx-custom-ops
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from hwgen.errors import FrontendError, NumericError
from hwgen.numeric import CodeType, Rounding, round_real, rounding_from_qonnx

MAX_BIT_WIDTH = 32


@dataclass(frozen=True, eq=False)
class Quantizer:
    """code = round(clip(x / scale + zero_point)) - zero_point, or the sign when bipolar.

    Parameters
    ----------
    scale : float32, any shape that broadcasts to the tensor; positive
    zero_point : integer
    codes : with the zero point taken off
    rounding : after the clip
    """

    scale: npt.NDArray[np.float32]
    zero_point: int
    codes: CodeType
    rounding: Rounding

    @property
    def bipolar(self) -> bool:
        """Whether the codes are -1 and +1."""
        return self.codes.bipolar

    def codes_of(self, real: npt.NDArray[np.float32]) -> npt.NDArray[np.int64]:
        """Return the codes of real numbers."""
        if self.bipolar:
            return np.where(real >= 0, 1, -1).astype(np.int64)
        try:
            with np.errstate(over="ignore", under="ignore"):  # infinity is clipped below
                shifted = real / self.scale + np.float32(self.zero_point)
        except ValueError as error:
            raise FrontendError(
                f"expected a scale for shape {real.shape}, got {self.scale.shape}"
            ) from error
        low, high = self.codes.lo + self.zero_point, self.codes.hi + self.zero_point
        clipped = np.clip(shifted.astype(np.float64), low, high)
        return round_real(clipped, self.rounding).astype(np.int64) - self.zero_point


def bipolar_quantizer(scale: npt.NDArray[np.float32]) -> Quantizer:
    """Return what a BipolarQuant does."""
    return Quantizer(positive(scale), 0, CodeType.binary(), Rounding.RND_CONV)


def integer_quantizer(
    scale: npt.NDArray[np.float32],
    zero_point: npt.NDArray[np.float32],
    bit_width: npt.NDArray[np.float32],
    attributes: Mapping[str, object],
) -> Quantizer:
    """Return what a Quant or IntQuant does.

    Raises
    ------
    FrontendError : naming the parameter without a meaning in integers
    """
    scale = positive(scale)
    width = _one_integer(bit_width, "bit_width")
    if width < 1:
        raise FrontendError(f"expected bit_width 1..{MAX_BIT_WIDTH}, got {width}")
    if width > MAX_BIT_WIDTH:
        raise FrontendError(
            f"type too wide: expected bit_width 1..{MAX_BIT_WIDTH}, got {width}; "
            "train with fewer bits"
        )
    zero = _one_integer(zero_point, "zero_point")
    # A missing narrow means 1 in QONNX's implementation, whatever its page says.
    signed, narrow = bool(attributes.get("signed", 1)), bool(attributes.get("narrow", 1))
    mode = attributes.get("rounding_mode", b"ROUND")
    try:
        rounding = rounding_from_qonnx(
            mode.decode("ascii") if isinstance(mode, bytes) else str(mode)
        )
    except (NumericError, UnicodeDecodeError) as error:
        raise FrontendError(f"expected a rounding_mode of QONNX, got {mode!r}: {error}") from error
    if signed and width == 1:
        if zero:
            raise FrontendError(f"expected zero_point 0 for one signed bit, got {zero}")
        return Quantizer(scale, 0, CodeType.binary(), rounding)
    low = -(1 << (width - 1)) + narrow if signed else 0
    high = (1 << (width - 1)) - 1 if signed else (1 << width) - 1 - narrow
    if abs(zero) > 1 << MAX_BIT_WIDTH:
        raise FrontendError(f"type too wide: expected a zero_point of 32 bits, got {zero}")
    return Quantizer(scale, zero, CodeType(low - zero, high - zero), rounding)


def positive(scale: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    """Return `scale`, whose numbers are normal and positive, or refuse."""
    if scale.size == 0 or not (np.isfinite(scale) & (scale > 0)).all():
        worst = scale.min() if scale.size else "none"
        raise FrontendError(f"expected positive scales, got {worst}; export the model again")
    if scale.min() < np.finfo(np.float32).smallest_normal:
        raise FrontendError(f"expected scales of at least 2**-126, got {scale.min()}")
    return scale


def _one_integer(values: npt.NDArray[np.float32], what: str) -> int:
    flat = np.unique(values)
    if flat.size != 1 or not np.isfinite(flat[0]) or flat[0] != np.round(flat[0]):
        raise FrontendError(
            f"expected one integer {what}, got {flat[:4].tolist()}; quantize per tensor"
        )
    return int(flat[0])
