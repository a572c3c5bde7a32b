"""Dot-product kernels, one file each, and the table that names them."""

from functools import lru_cache

from hwgen.adders import MultiplierShape
from hwgen.ir import Codes, Same
from hwgen.numeric import CodeType
from hwgen.rtl.dot.bit_serial import BitSerial
from hwgen.rtl.dot.kernel import DotKernel
from hwgen.rtl.dot.multiply_accumulate import MultiplyAccumulate
from hwgen.rtl.dot.packed_multiply import PackedMultiply
from hwgen.rtl.dot.shift_add import ShiftAdd
from hwgen.rtl.dot.signed_add import SignedAdd
from hwgen.rtl.dot.xnor_popcount import XnorPopcount

KERNELS: dict[str, type[DotKernel]] = {
    kernel.name: kernel
    for kernel in (
        XnorPopcount,
        SignedAdd,
        ShiftAdd,
        MultiplyAccumulate,
        PackedMultiply,
        BitSerial,
    )
}


# Kept by the identity of weights and types, which never change: a folding search asks for the
# same product thousands of times.
@lru_cache(maxsize=256)
def dot_kernel(
    name: str,
    weights: Same[Codes],
    inputs: CodeType,
    multiplier: MultiplierShape,
    lut_inputs: int,
) -> DotKernel:
    """Return the kernel `name` sized for these weights and inputs."""
    return KERNELS[name](weights.value, inputs, multiplier, lut_inputs)


@lru_cache(maxsize=256)
def kernel_rejects(
    name: str, weights: Same[Codes], inputs: CodeType, multiplier: MultiplierShape
) -> str:
    """Return why the kernel `name` cannot take these weights and inputs, or an empty string."""
    return KERNELS[name].rejects(weights.value, inputs, multiplier)


__all__ = [
    "KERNELS",
    "BitSerial",
    "DotKernel",
    "MultiplyAccumulate",
    "PackedMultiply",
    "ShiftAdd",
    "SignedAdd",
    "XnorPopcount",
    "dot_kernel",
    "kernel_rejects",
]
