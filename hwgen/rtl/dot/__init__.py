"""Dot-product kernels, one file each, and the table that names them."""

from hwgen.rtl.dot.kernel import DotKernel
from hwgen.rtl.dot.multiply_accumulate import MultiplyAccumulate
from hwgen.rtl.dot.packed_multiply import PackedMultiply
from hwgen.rtl.dot.shift_add import ShiftAdd
from hwgen.rtl.dot.signed_add import SignedAdd
from hwgen.rtl.dot.xnor_popcount import XnorPopcount

KERNELS: dict[str, type[DotKernel]] = {
    kernel.name: kernel
    for kernel in (XnorPopcount, SignedAdd, ShiftAdd, MultiplyAccumulate, PackedMultiply)
}

__all__ = [
    "KERNELS",
    "DotKernel",
    "MultiplyAccumulate",
    "PackedMultiply",
    "ShiftAdd",
    "SignedAdd",
    "XnorPopcount",
]
