"""`correct_biases`: what weights lose on average by rounding goes into the bias.

With x the layer's input, quantized as it arrives, the outputs of a channel are off by
E[(w - w_q) x] on average; that is added to its bias, whose binary point is then found anew. After
`calibrate`, before any training. Layers without a bias are left alone.

Source: Nagel et al., Data-Free Quantization, arXiv 1906.04721, section 4.2 (here from data).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

import torch
from torch import Tensor, nn

from hwgen.errors import NumericError
from hwgen.nn.factory import APPROXIMATING
from hwgen.nn.layers import Weighted
from hwgen.nn.quantizer import reduce_in_group


def correct_biases(model: nn.Module, batches: Iterable[Tensor]) -> None:
    """Move biases so that each channel is right on average over `batches`.

    In a process group all processes have to call this; the average is over the batches of all.
    """
    sums: dict[Weighted, tuple[Tensor, int]] = {}
    modes = {module: module.training for module in model.modules()}
    hooks = [
        layer.register_forward_pre_hook(_collector(layer, sums))
        for layer in model.modules()
        if isinstance(layer, Weighted)
        and layer.bias_quantizer is not None
        and isinstance(layer.weight_quantizer, APPROXIMATING)
    ]
    model.eval()
    try:
        with torch.no_grad():
            for sample in batches:
                model(sample)
    finally:
        for hook in hooks:
            hook.remove()
        for module, training in modes.items():
            module.training = training
    if hooks and not sums:
        raise NumericError("correct_biases: there are no batches; give at least one")
    for layer, (total, rows) in sums.items():
        count = torch.tensor(float(rows), device=total.device)
        reduce_in_group(total, "SUM")
        reduce_in_group(count, "SUM")
        bias = layer.bias if layer.norm is None else layer.norm.bias
        if bias is None or layer.bias_quantizer is None:
            continue
        with torch.no_grad():
            bias += (total / count).to(bias.dtype)
        folded = layer.constants()[1]
        if folded is not None and layer.bias_quantizer.config.frac is None:
            layer.bias_quantizer.reset_calibration()
            layer.bias_quantizer.observe(folded)


def _collector(
    layer: Weighted, sums: dict[Weighted, tuple[Tensor, int]]
) -> Callable[[nn.Module, tuple[Tensor, ...]], None]:
    def collect(module: nn.Module, inputs: tuple[Tensor, ...]) -> None:
        (x,) = inputs
        weight = layer.constants()[0]
        lost = (weight - layer.weight_quantizer(weight)).double()
        errors = layer.sums(x.double(), lost, None)
        channels = errors if layer.channels_last else errors.movedim(1, -1)
        rows = channels.reshape(-1, channels.shape[-1])
        total, count = sums.get(layer, (torch.zeros_like(rows[0]), 0))
        sums[layer] = (total + rows.sum(0), count + len(rows))

    return collect
