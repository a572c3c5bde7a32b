"""`Kernel`: the words for how a weight meets an input; `rtl/dot/` has one file for each."""

from __future__ import annotations

from enum import Enum


class Kernel(Enum):
    """The kernels of `rtl.dot.KERNELS`."""

    XNOR = "xnor"
    SIGNED_ADD = "signed_add"
    SHIFT_ADD = "shift_add"
    MAC = "mac"
    PACKED_MAC = "packed_mac"
    BIT_SERIAL = "bit_serial"
