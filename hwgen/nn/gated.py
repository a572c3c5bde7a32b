"""FracBNN's two-bit activations with precision gating: most sums need one bit of the two.

Activations take four values, x_q in {-1, -1/3, 1/3, 1}. Three times that is 2 m + l with m and l
in {-1, +1}. A sum is first formed of the m alone; only where it exceeds a threshold, learned for
each output channel, does the l part count:

    y = 2 M + gate * L,    M = conv(m, w),    L = conv(l, w),    gate = [2 M > 3 D]

All numbers are integers; y is three times FracBNN's, which the BatchNorm behind absorbs.

Source: Zhang et al., FracBNN, arXiv 2012.12206, and its code (order, units and start of D, slope
of the gate).
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from hwgen.errors import NumericError
from hwgen.nn.config import BinaryConfig, OutputConfig, Scale
from hwgen.nn.layers import Conv2d, quantize_output
from hwgen.nn.scale import substitute

_GATE_SLOPE = 5.0  # of the sigmoid that stands for the gate in the backward pass


class PrecisionGatedConv2d(Conv2d):
    """Binary convolution of two-bit activations whose low bit counts behind a gate.

    Training sends the gradient of x_q on to x where |x| < 1, as if the whole of x_q had been
    summed, and the gradient of an open gate through 5 sigma'(5 (2 M / 3 - D)) to D.

    Parameters
    ----------
    in_channels, out_channels, kernel_size, stride, padding, dilation, groups : as torch.nn.Conv2d
    weight : binary, without a scale
    output : how the result is quantized; None leaves the integers

    Attributes
    ----------
    threshold : parameter D, one for each output channel, in units of x_q; starts at -1
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: int | tuple[int, int],
        stride: int | tuple[int, int] = 1,
        padding: int | tuple[int, int] | str = 0,
        dilation: int | tuple[int, int] = 1,
        groups: int = 1,
        *,
        weight: BinaryConfig | None = None,
        output: OutputConfig | None = None,
    ) -> None:
        weight = weight or BinaryConfig()
        if weight.scale is not Scale.ONE:
            raise NumericError(
                f"PrecisionGatedConv2d: scale is {weight.scale.name}, expected ONE; the BatchNorm "
                "behind scales"
            )
        super().__init__(
            in_channels,
            out_channels,
            kernel_size,
            stride,
            padding,
            dilation,
            groups,
            bias=False,
            weight=weight,
            output=output,
        )
        self.threshold = nn.Parameter(torch.full((out_channels,), -1.0))

    @property
    def taps(self) -> int:
        """Products in one sum: the bound on |M| and |L|."""
        return self.weight[0].numel()

    @property
    def first_open(self) -> Tensor:
        """The smallest 2 M that opens the gate of each channel, a whole number."""
        beyond = 2.0 * self.taps + 2
        return (torch.floor(3 * self.threshold.detach()) + 1).clamp(-beyond, beyond)

    def forward(self, input: Tensor) -> Tensor:
        """Return 2 M + gate * L for each output."""
        coarse, fine = self._sums(input)
        is_open = self._is_open(coarse)
        threshold = self.threshold.reshape(-1, 1, 1)
        soft = torch.sigmoid(_GATE_SLOPE * (coarse / 3 - threshold)) * is_open
        gate = substitute(soft, is_open)
        return quantize_output(self.output_quantizer, coarse + gate * (fine - coarse))

    def gates(self, input: Tensor) -> Tensor:
        """Return where the low bit counts, as booleans in the shape of the result."""
        with torch.no_grad():
            return self._is_open(self._sums(input)[0]).bool()

    def _sums(self, input: Tensor) -> tuple[Tensor, Tensor]:
        """Return 2 M and 2 M + L."""
        odd = two_bit(input)
        high = substitute(odd, torch.where(odd.detach() >= 0, 2.0, -2.0).to(odd.dtype))
        weight = self.weight_quantizer(self.weight)
        if not self.training:
            # A float32 convolution may go through Winograd's transform, which rounds.
            wide = weight.double()
            coarse = self.sums(high.double(), wide, None).to(input.dtype)
            return coarse, self.sums(odd.double(), wide, None).to(input.dtype)
        return self.sums(high, weight, None), self.sums(odd, weight, None)

    def _is_open(self, coarse: Tensor) -> Tensor:
        return (coarse.detach() >= self.first_open.reshape(-1, 1, 1)).to(coarse.dtype)


def two_bit(x: Tensor) -> Tensor:
    """Return 3 x_q, one of -3, -1, 1, 3, with the gradient 3 where |x| < 1.

    Examples
    --------
    >>> two_bit(torch.tensor([-5.0, -0.6, 0.0, 0.66, 0.67])).tolist()
    [-3.0, -1.0, 1.0, 1.0, 3.0]
    """
    clipped = 3 * nn.functional.hardtanh(x)
    # round((3 x - 1) / 2) is -2 .. 1; ties go to even, as x = 0 to +1.
    return substitute(clipped, 2 * torch.round((clipped.detach() - 1) / 2).clamp(-2, 1) + 1)


def gate_penalty(module: nn.Module, target: float, strength: float = 0.5e-5) -> Tensor:
    """Return the part of the loss that draws thresholds to `target`: strength * sum (D - t)^2."""
    thresholds = [
        layer.threshold for layer in module.modules() if isinstance(layer, PrecisionGatedConv2d)
    ]
    if not thresholds:
        return torch.zeros(())
    return strength * torch.stack([(d - target).square().sum() for d in thresholds]).sum()
