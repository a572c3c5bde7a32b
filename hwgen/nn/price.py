"""What products cost in hardware: the price of bits in `summary` and, differentiable, in the loss.

    price = LutPrice(model)
    loss = cross_entropy(model(x), labels) + 1e-6 * price()

Widths move in whole bits: give the parameters `frac` of `LearnedWidthQuantizer`, and `frac` and
`integer` of `LearnedOutputQuantizer`, a learning rate some times that of the weights. The width of
an activation is priced where a product reads it.

The price of a layer is that of a unit with a multiplier for each weight: LUTs of one input lane of
one row, its adder in the tree included, with b_w bits a weight and b_x bits an input. The kernels
of `hwgen/rtl/dot` promise (`lane_resources`; constants measured there on synthesized units):

| weights, inputs | kernel | LUTs a lane |
|---|---|---|
| any | mac | 1.75 b_w b_x + b_w + b_x |
| binary or ternary, integers | signed_add | 2.4 (b_x + 1) |
| binary, binary | xnor | 2.6 |
| sums of K powers of two up to 2**s | shift_add | K (3.3 (b_x + 1) + 4 s), or mac if that is less |

A product of more than 64 bits is built of a DSP slice; the formula goes on, for a DSP is worth what
it replaces. Left out: accumulators and memories, which depend on how a layer is folded, and zero
weights, which a folded unit multiplies as well. Widths that are learned enter as real numbers with
a gradient, and b_x fades with the last bit of a weight, so that a weight without bits is free.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from hwgen.errors import ExportError
from hwgen.nn.embedding import Embedding
from hwgen.nn.encoders import Thermometer
from hwgen.nn.gated import PrecisionGatedConv2d
from hwgen.nn.khot import KHotQuantizer
from hwgen.nn.layers import Weighted
from hwgen.nn.learned_output import LearnedOutputQuantizer
from hwgen.nn.learned_width import LearnedWidthQuantizer
from hwgen.nn.power_of_two import DenseShiftQuantizer, PowerOfTwoQuantizer, ShiftQuantizer
from hwgen.nn.quantizer import Quantizer
from hwgen.nn.structure import Cat
from hwgen.nn.ternary import TernaryQuantizer
from hwgen.nn.trace import Step, Trace, trace
from hwgen.nn.twins import PASSING

# The figures of `hwgen/rtl/dot`, which nn may not import; tests compare the two.
MULTIPLIER_LUTS = 1.75  # of one partial product
SIGNED_ADD_LUTS = 2.4  # of one bit
XNOR_LUTS = 2.6  # of one pair of bits
SHIFT_LUTS, SHIFT_STAGE_LUTS = 3.3, 4.0  # of one bit, of one position of the shifter

Bits = int | Tensor  # a tensor where they are learned


def product_luts(weight_bits: Tensor, input_bits: Bits) -> Tensor:
    """Return the LUTs of one lane of the mac kernel, zero without weight bits.

    Examples
    --------
    >>> product_luts(torch.tensor([0.0, 4.0, 8.0]), 8).tolist()
    [0.0, 68.0, 128.0]
    """
    adder = weight_bits + input_bits * weight_bits.clamp(max=1)
    return MULTIPLIER_LUTS * weight_bits * input_bits + adder


def lane_luts(quantizer: Quantizer, input_bits: Bits) -> Tensor:
    """Return the LUTs of one lane, one number or one for each group of learned width."""
    if isinstance(quantizer, LearnedWidthQuantizer):
        return product_luts(quantizer.bits, input_bits)
    mac = product_luts(torch.tensor(float(quantizer.bit_width)), input_bits)
    if quantizer.bipolar and isinstance(input_bits, int) and input_bits == 1:
        return torch.tensor(XNOR_LUTS)
    if quantizer.bipolar or isinstance(quantizer, TernaryQuantizer):
        return torch.as_tensor(SIGNED_ADD_LUTS * (input_bits + 1))
    if isinstance(quantizer, KHotQuantizer):
        digits, shifts = quantizer.khot.k, quantizer.bit_width - 1
    elif isinstance(quantizer, PowerOfTwoQuantizer | ShiftQuantizer | DenseShiftQuantizer):
        digits, shifts = 1, quantizer.config.shifts
    else:
        return mac
    shift_add = digits * (SHIFT_LUTS * (input_bits + 1) + SHIFT_STAGE_LUTS * shifts)
    return torch.minimum(mac, torch.as_tensor(shift_add))


def layer_luts(layer: Weighted, input_bits: Bits) -> Tensor:
    """Return the LUTs of a layer that has a lane for each weight."""
    lanes = lane_luts(layer.weight_quantizer, input_bits).to(layer.weight.device)
    return lanes.sum() * (layer.weight.numel() / lanes.numel())


@dataclass(frozen=True)
class PricedLayer:
    """A layer and those whose quantized results it reads; none where they are not quantized."""

    name: str
    layer: Weighted
    feeding: tuple[nn.Module, ...]

    def luts(self) -> Tensor | None:
        """Return the price, None where the width of the input is unknown."""
        if isinstance(self.layer, PrecisionGatedConv2d):
            # It quantizes its input by itself, and sums the high bit and both, -3 .. 3.
            return layer_luts(self.layer, 1) + layer_luts(self.layer, 3)
        if not self.feeding:
            return None
        bits = [bits for bits in map(_result_bits, self.feeding) if bits is not None]
        return layer_luts(self.layer, max(bits))


class LutPrice:
    """The price of a model's products in LUTs, differentiable in the widths it learns.

    Parameters
    ----------
    model : of hwgen.nn layers whose calls can be traced

    Raises
    ------
    ExportError
        when the model cannot be traced, or a layer reads numbers of unknown width
    """

    def __init__(self, model: nn.Module) -> None:
        self._layers = priced_layers(model)
        unknown = [each.name for each in self._layers if each.luts() is None]
        if unknown:
            raise ExportError(
                f"LutPrice: expected layers that read quantized numbers, got {', '.join(unknown)}; "
                "put hwgen.nn.Identity (or ReLU, Sign) before them"
            )

    def __call__(self) -> Tensor:
        """Return the LUTs of all layers."""
        found = list(self.by_layer().values())
        return torch.stack(found).sum() if found else torch.zeros(())

    def by_layer(self) -> dict[str, Tensor]:
        """Return the LUTs of each layer by its name."""
        found = {each.name: each.luts() for each in self._layers}
        return {name: luts for name, luts in found.items() if luts is not None}


def priced_layers(model: nn.Module) -> list[PricedLayer]:
    """Return the layers with weights in the order of their calls.

    Raises
    ------
    ExportError
        when the model cannot be traced
    """
    traced = trace(model)
    return [
        PricedLayer(step.name, step.module, feeding_layers(traced, step))
        for step in traced.steps
        if isinstance(step.module, Weighted)
    ]


def feeding_layers(traced: Trace, step: Step) -> tuple[nn.Module, ...]:
    """Return the layers whose quantized results `step` reads; none where one is not quantized."""
    steps = {each.name: each for each in traced.steps}
    found: list[nn.Module] = []
    waiting = list(step.inputs)
    while waiting:
        source = steps.get(waiting.pop() or "")
        if source is None:
            return ()
        if _result_bits(source.module) is not None:
            found.append(source.module)
        elif isinstance(source.module, (*PASSING, Cat)):
            waiting += source.inputs
        else:
            return ()
    return tuple(found)


def _result_bits(layer: nn.Module) -> Bits | None:
    """Return the bits of a layer's quantized result, None where it has no quantizer."""
    if isinstance(layer, Thermometer):
        return 1
    source = "weight_quantizer" if isinstance(layer, Embedding) else "output_quantizer"
    quantizer = getattr(layer, source, None)
    if isinstance(quantizer, LearnedOutputQuantizer):
        return quantizer.bits
    return quantizer.bit_width if isinstance(quantizer, Quantizer) else None
