"""BatchNorm inside the layer before it: weights and bias carry it, hardware has no trace of it.

    w' = w * gamma / sqrt(var + eps),    b' = beta - mean * gamma / sqrt(var + eps)

and then w' and b' are quantized. Training takes mean and variance from the batch, of sums with the
float weights, eval the running ones. `layers.Weighted.fold` puts it there.

Source: Jacob et al., arXiv 1712.05877, section 3.2.
"""

from __future__ import annotations

import copy

import torch
from torch import Tensor, nn

from hwgen.nn.map_statistics import RunningStatistics, at_least_single


class FoldedNorm(nn.Module):
    """What is left of a BatchNorm: statistics, gamma and beta.

    Parameters
    ----------
    norm : of torch.nn, or of hwgen.nn; its numbers are copied
    bias : of the layer, which goes into the mean; None where it has none
    device : of the layer
    """

    running_mean: Tensor
    running_var: Tensor
    num_batches_tracked: Tensor

    def __init__(
        self, norm: nn.BatchNorm1d | nn.BatchNorm2d, bias: Tensor | None, device: torch.device
    ) -> None:
        super().__init__()
        norm = copy.deepcopy(norm).to(device)
        self.eps, self.momentum = norm.eps, norm.momentum
        ones, zeros = (make(norm.num_features, device=device) for make in (torch.ones, torch.zeros))
        mean = zeros if norm.running_mean is None else norm.running_mean
        variance = ones if norm.running_var is None else norm.running_var
        self.register_buffer("running_mean", mean - (0 if bias is None else bias.detach()))
        self.register_buffer("running_var", variance.clone())
        tracked = norm.num_batches_tracked
        self.register_buffer(
            "num_batches_tracked",
            torch.tensor(0, device=device) if tracked is None else tracked.clone(),
        )
        gamma, beta = (norm.weight, norm.bias) if norm.affine else (ones, zeros)
        self.weight = nn.Parameter(gamma.detach().clone(), requires_grad=norm.affine)
        self.bias = nn.Parameter(beta.detach().clone(), requires_grad=norm.affine)

    def forward(self, weight: Tensor, sums: Tensor | None) -> tuple[Tensor, Tensor]:
        """Return folded weights and bias; with the running statistics in float64, see `BatchNorm`.

        Parameters
        ----------
        weight : of the layer, output channels first
        sums : of a batch, (N, C, ...), whose statistics are taken; None takes the running ones
        """
        if sums is None:
            mean, variance = self.running_mean.double(), self.running_var.double()
        else:
            running = RunningStatistics(
                self.running_mean, self.running_var, self.num_batches_tracked, self.momentum
            )
            mean, variance = running.follow(at_least_single(sums), "folded BatchNorm")
        factor = self.weight * torch.rsqrt(variance + self.eps)
        along_rows = factor.reshape(-1, *[1] * (weight.dim() - 1))
        return weight * along_rows, self.bias - mean * factor
