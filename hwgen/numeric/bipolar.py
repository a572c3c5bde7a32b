"""`Bipolar`: the two-valued format {-1, +1} and the sign that makes it.

sign(0) is +1 everywhere: layer, exporter, interpreter, hardware.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from hwgen.numeric.code_type import CodeType


class Bipolar:
    """{-1, +1} in one bit; a namespace, since the format has no parameters."""

    type = CodeType.binary()

    @staticmethod
    def quantize(x: npt.ArrayLike) -> npt.NDArray[np.int64]:
        """Return +1 where x >= 0, else -1."""
        return np.where(np.asarray(x) >= 0, 1, -1).astype(np.int64)
