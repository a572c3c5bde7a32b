"""Weights that learn how many bits they need: bits that buy no accuracy disappear.

A group of weights (a tensor, a channel, or each weight) has f fractional bits, f = round(f~), and
the integer bits i of its largest magnitude, 2**i > max |w|; that leaves m = i + f magnitude bits.
Codes are symmetric, |code| < 2**m, and with m <= 0 the whole group is zero. The gradients are

    d q / d w  = 1,    d q / d f~ = ln 2 * (w - q)

so the loss asks for bits where rounding hurts, and `price.LutPrice`, added to the loss, asks for
them back. In hardware a group without bits is a row or column of zeros: between two layers
`passes/remove_dead_channels.py` takes the channel out, and nothing is built for a zero weight
where the layer is unrolled. Activations learn theirs in `learned_output.py`.

Source: Sun et al., HGQ, arXiv 2405.00645 (fractional bits learned, integer bits from the range).
"""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn
from torch.autograd.function import FunctionCtx

from hwgen.nn.config import MAX_FRAC
from hwgen.nn.fixed_point_function import power_of_two
from hwgen.nn.quantizer import Quantizer
from hwgen.nn.weight_config import Group, LearnedWidthConfig


class LearnedWidthQuantizer(Quantizer):
    """Fixed point whose width is learned, for weights.

    Parameters
    ----------
    config : the kind
    weight : float weights to begin with, output channels first

    Attributes
    ----------
    frac : parameter f~ in the shape of the groups, which broadcasts to the weights
    integer : i in the same shape, of the weights last seen
    """

    integer: Tensor

    def __init__(self, config: LearnedWidthConfig, weight: Tensor) -> None:
        super().__init__()
        self.config = config
        shared = {
            Group.TENSOR: range(weight.dim()),
            Group.OUTPUT_CHANNEL: range(1, weight.dim()),
            Group.INPUT_CHANNEL: [axis for axis in range(weight.dim()) if axis != 1],
            Group.WEIGHT: (),
        }
        self.shared_axes = tuple(shared[config.group])
        self.register_buffer("integer", self._integer_bits(weight))
        self.frac = nn.Parameter(self._widest())

    @property
    def bit_width(self) -> int:  # type: ignore[override]  # learned, so it cannot be assigned
        """Bits of the codes in force on the grid that `grid` gives, at least 2."""
        magnitude, frac = self._word()
        alive = magnitude > 0
        if not bool(alive.any()):
            return 2
        if self.config.group is not Group.OUTPUT_CHANNEL:
            magnitude = (self.integer + frac[alive].max())[alive]
        return max(2, int(magnitude.max()) + 1)

    @property
    def bits(self) -> Tensor:
        """Bits of each group as a real number with a gradient: magnitude, and a sign if any.

        The sign fades with the last magnitude bit, so that nothing costs nothing.
        """
        magnitude = (self.frac + self.integer).clamp(min=0)
        # Beyond the limit bits cost no more, but the price still pulls.
        magnitude = magnitude - (magnitude.detach() - self._limit).clamp(min=0)
        return magnitude + magnitude.clamp(max=1)

    @property
    def widths(self) -> npt.NDArray[np.int64]:
        """The bits in force of each group, sign included; 0 where the group is zero."""
        magnitude, _ = self._word()
        return torch.where(magnitude > 0, magnitude + 1, 0).to(torch.int64).cpu().numpy()

    @property
    def fracs(self) -> npt.NDArray[np.int64]:
        """The fractional bits in force of each group."""
        return self._word()[1].to(torch.int64).cpu().numpy()

    def restart(self, weight: Tensor) -> None:
        """Begin again from these float weights, with all bits."""
        with torch.no_grad():
            self.integer.copy_(self._integer_bits(weight))
            self.frac.copy_(self._widest())

    def forward(self, x: Tensor) -> Tensor:
        """Return `x` rounded to each group's bits."""
        self.integer.copy_(self._integer_bits(x))
        if self.training:
            with torch.no_grad():
                # Out of reach f~ would take long to come back.
                none, all_of_them = -self.integer, self._widest()
                self.frac.copy_(torch.minimum(torch.maximum(self.frac, none), all_of_them))
        magnitude, frac = self._word()
        value: Tensor = _Rounded.apply(  # type: ignore[no-untyped-call]
            x, self.frac, self._codes(x.detach(), magnitude, frac), frac, self.config.gradient_scale
        )
        return value

    def grid(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Return integer codes on one scale, or on one for each output channel."""
        x = x.detach().double()
        self.integer.copy_(self._integer_bits(x))
        magnitude, frac = self._word()
        codes = self._codes(x, magnitude, frac)
        if self.config.group is not Group.OUTPUT_CHANNEL:
            alive = magnitude > 0
            finest = frac[alive].max() if bool(alive.any()) else torch.zeros_like(frac.flatten()[0])
            codes = codes * torch.where(alive, power_of_two(finest - frac, x.dtype), 0.0)
            frac = finest
        return codes, 1 / power_of_two(frac, x.dtype)

    def extra_repr(self) -> str:
        """Return the format for `repr`."""
        widths = self.widths
        return f"bits={widths.min()}..{widths.max()} a {self.config.group.value}"

    def _integer_bits(self, weight: Tensor) -> Tensor:
        with torch.no_grad():
            magnitude = weight.detach().abs()
            largest = (
                magnitude.amax(self.shared_axes, keepdim=True) if self.shared_axes else magnitude
            )
            # frexp's mantissa is below one: 2**exponent is larger than the number.
            return torch.frexp(largest.clamp(min=2.0**-MAX_FRAC))[1].float()

    def _widest(self) -> Tensor:
        return self._limit - self.integer

    @property
    def _limit(self) -> int:
        return self.config.bit_width - 1

    def _word(self) -> tuple[Tensor, Tensor]:
        """Return magnitude bits and fractional bits in force."""
        magnitude = (torch.round(self.frac.detach()) + self.integer).clamp(0, self._limit)
        return magnitude, (magnitude - self.integer).clamp(-MAX_FRAC, MAX_FRAC)

    @staticmethod
    def _codes(x: Tensor, magnitude: Tensor, frac: Tensor) -> Tensor:
        largest = power_of_two(magnitude, x.dtype) - 1  # zero where there are no bits
        scaled = torch.round(x * power_of_two(frac, x.dtype))
        return torch.minimum(torch.maximum(scaled, -largest), largest)


class _Rounded(torch.autograd.Function):
    """See the module docstring."""

    @staticmethod
    def forward(
        ctx: FunctionCtx,
        x: Tensor,
        learned: Tensor,
        codes: Tensor,
        frac: Tensor,
        gradient_scale: float,
    ) -> Tensor:
        value = codes / power_of_two(frac, x.dtype)
        ctx.save_for_backward(x, value)
        # Not f~ itself: a second call of the layer may move it before the backward pass.
        ctx.shape, ctx.gradient_scale = learned.shape, gradient_scale  # type: ignore[attr-defined]
        return value

    @staticmethod
    def backward(ctx: FunctionCtx, grad: Tensor) -> tuple[Tensor | None, ...]:
        x, value = ctx.saved_tensors  # type: ignore[attr-defined]
        slope = ((x - value) * grad).sum_to_size(ctx.shape)  # type: ignore[attr-defined]
        slope = slope * (math.log(2.0) * ctx.gradient_scale)  # type: ignore[attr-defined]
        return grad, slope, None, None, None
