"""Batch statistics of maps (N, C, ...) and the line through them, in few passes over memory.

`batchnorm.py` and `folded_norm.py` train with these; PyTorch's var_mean over several axes takes ten
times as long on a CPU, and autograd would keep and walk through every intermediate map.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.autograd.function import FunctionCtx

from hwgen.errors import NumericError


@dataclass(frozen=True)
class RunningStatistics:
    """The buffers that follow the statistics of batches.

    Parameters
    ----------
    mean, variance : one for each channel
    batches : how many there were
    momentum : share of the newest batch; None averages over all
    """

    mean: Tensor
    variance: Tensor
    batches: Tensor
    momentum: float | None

    def follow(self, x: Tensor, what: str) -> tuple[Tensor, Tensor]:
        """Return mean and biased variance of the batch `x`; move the buffers toward them.

        Raises
        ------
        NumericError
            when there is but one number a channel; `what` names the layer
        """
        count = x.numel() // len(self.mean)
        if count < 2:
            raise NumericError(f"{what}: a training batch needs at least 2 samples, got {count}")
        if fused(x):
            mean, variance = moments(x)
        else:
            variance, mean = torch.var_mean(x, dim=_all_but_channels(x), correction=0)
        with torch.no_grad():
            self.batches.add_(1)
            share = 1 / float(self.batches) if self.momentum is None else self.momentum
            unbiased = variance * (count / (count - 1))
            self.mean.lerp_(mean, share)
            self.variance.lerp_(unbiased, share)
        return mean, variance


def at_least_single(x: Tensor) -> Tensor:
    """Return `x`, in float32 where autocast has made it a half: its statistics need that."""
    return x.float() if x.dtype in (torch.float16, torch.bfloat16) else x


def fused(x: Tensor) -> bool:
    """Say whether the kernels of this file are the fast way for `x`."""
    # A compiler fuses the plain expressions by itself, and could not see into these kernels.
    return x.dim() > 2 and not torch.compiler.is_compiling()


def moments(x: Tensor) -> tuple[Tensor, Tensor]:
    """Return mean and biased variance of each channel, both differentiable."""
    mean, variance = _Moments.apply(x)  # type: ignore[no-untyped-call]
    return mean, variance


def line(x: Tensor, scale: Tensor, bias: Tensor, centre: Tensor) -> Tensor:
    """Return x * scale + bias for channels; sums of the gradient are taken around `centre`."""
    y: Tensor = _Line.apply(x, scale, bias, centre.detach())  # type: ignore[no-untyped-call]
    return y


class _Moments(torch.autograd.Function):
    @staticmethod
    def forward(ctx: FunctionCtx, x: Tensor) -> tuple[Tensor, Tensor]:
        axes = _all_but_channels(x)
        mean = x.mean(axes)
        variance = (x - _spread(mean, x)).square_().mean(axes)
        ctx.save_for_backward(x, mean)
        return mean, variance

    @staticmethod
    def backward(ctx: FunctionCtx, grad_mean: Tensor, grad_variance: Tensor) -> Tensor:
        x, mean = ctx.saved_tensors  # type: ignore[attr-defined]
        count = x.numel() // mean.numel()
        # d mean / dx = 1 / n, d variance / dx = 2 (x - mean) / n
        slope = grad_variance * (2 / count)
        grad: Tensor = (x * _spread(slope, x)).add_(_spread(grad_mean / count - mean * slope, x))
        return grad


class _Line(torch.autograd.Function):
    @staticmethod
    def forward(ctx: FunctionCtx, x: Tensor, scale: Tensor, bias: Tensor, centre: Tensor) -> Tensor:
        ctx.save_for_backward(x, scale, centre)
        return (x * _spread(scale, x)).add_(_spread(bias, x))

    @staticmethod
    def backward(ctx: FunctionCtx, grad: Tensor) -> tuple[Tensor | None, ...]:
        x, scale, centre = ctx.saved_tensors  # type: ignore[attr-defined]
        around, total = _sums_around(centre, x, grad)
        return grad * _spread(scale, x), around + centre * total, total, None


def _sums_around(centre: Tensor, x: Tensor, grad: Tensor) -> tuple[Tensor, Tensor]:
    """Return the sums of grad * (x - centre) and of grad, for each channel."""
    if not x.is_cpu:
        axes = _all_but_channels(x)
        return ((x - _spread(centre, x)) * grad).sum(axes), grad.sum(axes)
    # PyTorch's batch-norm kernel has both in one pass; on a GPU it wants weights.
    _, around, total = torch.ops.aten.native_batch_norm_backward(
        grad.contiguous(),
        x.contiguous(),
        None,
        None,
        None,
        centre,
        torch.ones_like(centre),
        True,
        0.0,
        [False, True, True],
    )
    return around, total


def _all_but_channels(x: Tensor) -> list[int]:
    return [0, *range(2, x.dim())]


def _spread(values: Tensor, x: Tensor) -> Tensor:
    return values.reshape([1, -1] + [1] * (x.dim() - 2))
