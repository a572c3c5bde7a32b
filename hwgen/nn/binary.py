"""Binary numbers: weights and activations that are -1 or +1.

sign(0) = +1, as everywhere in hwgen. The gradient passes straight through where |x| <= 1 and is
zero elsewhere, so that values far from the decision stop moving.

Source: Hubara et al., Binarized Neural Networks, NIPS 2016, eq. 4.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn
from torch.autograd.function import FunctionCtx, once_differentiable

from hwgen.nn.config import BinaryConfig


class BinaryQuantizer(nn.Module):
    """Quantize to {-1, +1}."""

    def __init__(self, config: BinaryConfig) -> None:
        super().__init__()
        self.config = config

    @property
    def calibrated(self) -> bool:
        """Always: there is no binary point to find."""
        return True

    def forward(self, x: Tensor) -> Tensor:
        """Return +1 where x >= 0, else -1."""
        value: Tensor = _ClippedSign.apply(x)  # type: ignore[no-untyped-call]
        return value

    def codes(self, x: Tensor) -> npt.NDArray[np.int64]:
        """Return the integer codes of `x`."""
        return _sign(x.detach()).to(torch.int64).cpu().numpy()


class _ClippedSign(torch.autograd.Function):
    @staticmethod
    def forward(ctx: FunctionCtx, x: Tensor) -> Tensor:
        ctx.save_for_backward(x.abs() > 1)
        return _sign(x)

    @staticmethod
    @once_differentiable
    def backward(ctx: FunctionCtx, grad: Tensor) -> Tensor:
        (outside,) = ctx.saved_tensors  # type: ignore[attr-defined]
        return grad.masked_fill(outside, 0.0)


def _sign(x: Tensor) -> Tensor:
    # Not torch.sign, which is 0 at 0.
    return torch.where(x >= 0, 1.0, -1.0).to(x.dtype)
