"""Roundings to float32 that no compiler leaves out, or joins with what follows.

Numbers with a free scale are no multiples of a power of two, so that every rounding of theirs
counts. Compiled, a cast from float64 to float32 and back may be dropped (PyTorch 2.11), and a
product and a sum become one operation with one rounding (Triton). Where a compiler runs, the cast
is therefore an operator that it cannot look into.
"""

from __future__ import annotations

import torch
from torch import Tensor


def rounded_to(x: Tensor, dtype: torch.dtype) -> Tensor:
    """Return the float64 numbers `x` in `dtype`, each rounded."""
    if dtype is torch.float32 and torch.compiler.is_compiling():
        single: Tensor = _single(x)
        return single
    return x.to(dtype)


def rounded_product(x: Tensor, factor: Tensor) -> Tensor:
    """Return x * factor in the dtype of `x`, rounded before anything is added to it."""
    if not torch.compiler.is_compiling():
        return x * factor
    # Two float32 numbers have an exact product in float64.
    return rounded_to(x.double() * factor.double(), x.dtype)


@torch.library.custom_op("hwgen::single", mutates_args=())
def _single(x: Tensor) -> Tensor:
    return x.float()


@_single.register_fake
def _(x: Tensor) -> Tensor:
    return x.new_empty(x.shape, dtype=torch.float32)


def _widened(ctx: object, grad: Tensor) -> Tensor:
    return grad.double()


_single.register_autograd(_widened)
