"""Calibration: set the binary points of a model from data, without training it.

Training calibrates by itself on its first batches; this is for a model whose float weights are
already there, or to start over after they changed.
"""

from __future__ import annotations

from collections.abc import Iterable

import torch
from torch import Tensor, nn

from hwgen.errors import NumericError
from hwgen.nn.quantizer import FixedPointQuantizer


def calibrate(model: nn.Module, batches: Iterable[Tensor]) -> None:
    """Set all binary points from `batches`, replacing what was calibrated or learned.

    Layers run as in eval mode (dropout off, running statistics used and left alone); only the
    quantizers observe. Binary points given as `frac=` stay.
    """
    samples = list(batches)
    if not samples:
        raise NumericError("calibrate: there are no batches; give at least one")
    quantizers = [m for m in model.modules() if isinstance(m, FixedPointQuantizer)]
    modes = {module: module.training for module in model.modules()}
    for quantizer in quantizers:
        quantizer.reset_calibration()
        quantizer.observing = quantizer.config.frac is None
    model.eval()
    try:
        with torch.no_grad():
            for sample in samples:
                model(sample)
    finally:
        for quantizer in quantizers:
            quantizer.observing = False
        for module, training in modes.items():
            module.training = training
