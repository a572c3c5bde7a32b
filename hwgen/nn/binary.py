"""Binary numbers: weights and activations that are -1 or +1, with a scale beside weights.

sign(0) = +1, as everywhere in hwgen. What the gradient does at the sign is the choice of an
estimator, see `estimators.py`; it may change with the progress of training, which `Schedule` sets.

Source: Hubara et al., Binarized Neural Networks, NIPS 2016, eq. 4; Rastegari et al., XNOR-Net,
ECCV 2016 (scale); Qin et al., IR-Net, CVPR 2020 (centred weights, scale that is a shift).
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor
from torch.autograd.function import FunctionCtx

from hwgen.nn.config import BinaryConfig, Scale
from hwgen.nn.estimators import BIPER_FREQUENCY, BIPER_REAL_SHARE, SLOPES, Estimator
from hwgen.nn.quantizer import Quantizer
from hwgen.nn.scale import mean_magnitude, normalized, power_of_two_near

_BEYOND_ONE = float(np.nextafter(np.float32(1), np.float32(2)))


class BinaryQuantizer(Quantizer):
    """Quantize to {-1, +1}, times a scale where the config asks for one.

    Parameters
    ----------
    config : the kind
    channels : output channels, of weights; None for activations, which have no scale

    Attributes
    ----------
    progress : of training, 0 to 1; `Schedule` moves it
    """

    bit_width = 1
    bipolar = True

    def __init__(self, config: BinaryConfig, channels: int | None = None) -> None:
        super().__init__()
        self.config = config
        self.is_weight = channels is not None
        self.free_scale = self.is_weight and config.scale is Scale.FREE
        self.progress = 0.0

    def forward(self, x: Tensor) -> Tensor:
        """Return +1 where x >= 0, else -1, times the scale."""
        latent, scale = self._latent(x)
        biper = self.is_weight and self.config.estimator is Estimator.BIPER
        if biper and self.training and self.progress < BIPER_REAL_SHARE:
            signs = latent  # the first stage trains with the sine itself
        else:
            # BiPer's sign is a straight-through one: its gradient is that of the sine.
            estimator = Estimator.STE if biper else self.config.estimator
            signs = estimated_sign(latent, estimator, self.progress)
        return signs if scale is None else signs * scale

    def grid(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Return the signs, in double precision, and their scale."""
        with torch.no_grad():
            latent, scale = self._latent(x)
            one = torch.ones((), dtype=torch.float64, device=x.device)
            return sign(latent).double(), one if scale is None else scale.double()

    def extra_repr(self) -> str:
        """Return the kind for `repr`."""
        scale = f", scale={self.config.scale.value}" if self.is_weight else ""
        return f"{self.config.estimator.value}{scale}"

    def _latent(self, x: Tensor) -> tuple[Tensor, Tensor | None]:
        """Return the numbers whose sign counts, and the scale."""
        config = self.config
        if not self.is_weight:
            return x, None
        rest = list(range(1, x.dim()))
        if config.centred and rest:
            x = normalized(x, rest)
        if config.estimator is Estimator.BIPER:
            x = torch.sin(BIPER_FREQUENCY * x)
        if config.scale is Scale.ONE:
            return x, None
        source = x if config.learn_scale else x.detach()
        size = mean_magnitude(source, rest if config.per_channel else None)
        if config.scale is Scale.POWER_OF_TWO:
            size = power_of_two_near(size)
        return x, size


def estimated_sign(x: Tensor, estimator: Estimator, progress: float) -> Tensor:
    """Return sign(x) with the gradient of `estimator` at `progress` of training."""
    signs: Tensor = _EstimatedSign.apply(x, estimator, progress)  # type: ignore[no-untyped-call]
    return signs


class _EstimatedSign(torch.autograd.Function):
    @staticmethod
    def forward(ctx: FunctionCtx, x: Tensor, estimator: Estimator, progress: float) -> Tensor:
        ctx.save_for_backward(x)
        ctx.estimator, ctx.progress = estimator, progress  # type: ignore[attr-defined]
        return sign(x)

    @staticmethod
    def backward(ctx: FunctionCtx, grad: Tensor) -> tuple[Tensor | None, ...]:
        (x,) = ctx.saved_tensors  # type: ignore[attr-defined]
        estimator: Estimator = ctx.estimator  # type: ignore[attr-defined]
        if estimator is Estimator.STE:
            return grad, None, None
        if estimator is Estimator.CLIPPED_STE:
            # PyTorch's kernel of a clipped gradient, in one pass; its limits are exclusive.
            clipped = torch.ops.aten.hardtanh_backward(grad, x, -_BEYOND_ONE, _BEYOND_ONE)
            return clipped, None, None
        return grad * SLOPES[estimator](x, ctx.progress), None, None  # type: ignore[attr-defined]


def sign(x: Tensor) -> Tensor:
    """Return +1 where x >= 0, else -1; unlike torch.sign, which is 0 at 0."""
    return torch.where(x >= 0, 1.0, -1.0).to(x.dtype)


def biper_penalty(module: torch.nn.Module, tau: float) -> Tensor:
    """Return BiPer's part of the loss: tau * mean(sin(w0 w)^2), summed over layers."""
    penalties = []
    for layer in module.modules():
        quantizer, weight = getattr(layer, "weight_quantizer", None), getattr(layer, "weight", None)
        if not isinstance(quantizer, BinaryQuantizer) or not isinstance(weight, Tensor):
            continue
        if quantizer.config.estimator is Estimator.BIPER:
            penalties.append(torch.sin(BIPER_FREQUENCY * weight).square().mean())
    return tau * torch.stack(penalties).sum() if penalties else torch.zeros(())
