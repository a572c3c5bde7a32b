"""Whether the sums of a layer are exact: their range, from the codes that are there.

Sums of integers below 2**24 are exact in float32 in whatever order they are added, below 2**53 in
float64. `layers.py` computes in float64 in eval mode, always: a float32 convolution may go through
Winograd's or Fourier's transform, or TensorFloat-32, which round sums of any size. `exact=True`
checks that executors which add in float32, as those of ONNX do, get the same.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from hwgen.errors import NumericError

FLOAT32_EXACT = 2.0**24
_MANTISSA = 53  # bits of a float64


@dataclass(frozen=True)
class SumRange:
    """A bound on the magnitude of a layer's sums, bias included: `units` of 2**-frac."""

    units: float
    frac: int

    @property
    def float32_exact(self) -> bool:
        """Whether float32 holds every partial sum."""
        return self.units <= FLOAT32_EXACT

    def require_float32(self, where: str) -> None:
        """Raise where float32 would round.

        Raises
        ------
        NumericError
            with the numbers
        """
        if not self.float32_exact:
            raise NumericError(
                f"{where}: sums of these inputs may reach {self.units:.0f} units of "
                f"2**{-self.frac}, expected at most 2**24 = {FLOAT32_EXACT:.0f}, beyond which "
                "float32 executors round; lower the bit widths of weights or input, fix a coarser "
                "binary point for the bias with frac=, or leave exact=True out"
            )


def finest_bits(x: Tensor) -> Tensor:
    """Return f for each number k * 2**-f with k odd; -2**31 for zeros.

    Examples
    --------
    >>> finest_bits(torch.tensor([0.75, -3.0, 4.0])).tolist()
    [2, 0, -2]
    """
    mantissa, exponent = torch.frexp(x.detach().double())
    whole = (mantissa * 2.0**_MANTISSA).to(torch.int64)
    lowest = (whole & -whole).double()  # a power of two, or 0
    trailing = torch.frexp(lowest)[1].to(torch.int64) - 1
    frac = _MANTISSA - trailing - exponent
    return torch.where(whole == 0, -(2**31), frac)


def sum_range(input: Tensor, codes: Tensor, scale: Tensor, bias: Tensor | None) -> SumRange:
    """Return the range of sum over k of input_k * codes_ok * scale_o + bias_o, over all rows o.

    Parameters
    ----------
    input : the numbers that came, of which the largest and the finest count
    codes : integers, (O, ...)
    scale : a power of two, one or one for each row
    bias : (O,), or None
    """
    finest, largest = (
        (int(finest_bits(input).max()), float(input.detach().abs().max()))
        if input.numel()
        else (0, 0.0)
    )
    products = codes.abs().flatten(1).sum(1).double().cpu() * math.ldexp(largest, finest)
    frac = torch.full((len(codes),), finest)
    frac = frac - (torch.frexp(scale.double().flatten().cpu())[1] - 1)
    units = products
    if bias is not None:
        joint = torch.maximum(frac, finest_bits(bias).cpu())
        units = torch.ldexp(products, joint - frac)
        units = units + torch.ldexp(bias.detach().double().abs().cpu(), joint)
        frac = joint
    worst = int(units.argmax())
    return SumRange(float(units[worst]), int(frac[worst]))
