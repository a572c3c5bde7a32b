"""Calibration: set the binary points of a model from data, without training it.

Training calibrates by itself on its first batches; this is for a model whose float weights are
already there, or to start over after they changed. Three ways to read the data:

| method | binary point |
|---|---|
| MIN_MAX | the finest that holds the largest magnitude |
| PERCENTILE | the finest that holds this share of all magnitudes; the rest saturates |
| MSE | of the eight finer ones too, the one with the least squared error |
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from enum import Enum

import torch
from torch import Tensor, nn

from hwgen.errors import NumericError
from hwgen.nn.quantizer import FixedPointQuantizer, calibrated_frac, reduce_in_group

_FINER = 8  # candidates of MSE beyond the min-max one
_KEPT = 1 << 16  # numbers that a quantizer keeps of each batch


class CalibrationMethod(Enum):
    """How binary points follow from observed numbers; see the module's table."""

    MIN_MAX = "min-max"
    PERCENTILE = "percentile"
    MSE = "mse"


def calibrate(
    model: nn.Module,
    batches: Iterable[Tensor],
    method: CalibrationMethod = CalibrationMethod.MIN_MAX,
    percentile: float = 99.99,
) -> None:
    """Set all binary points from `batches`, replacing what was calibrated or learned.

    Layers run as in eval mode (dropout off, running statistics used and left alone); only the
    quantizers observe. Binary points given as `frac=` stay. In a process group all processes have
    to call this, with as many batches each; they agree on the coarsest binary points.

    Parameters
    ----------
    model : of hwgen.nn layers
    batches : inputs of the model
    method : how a binary point follows from what a quantizer saw
    percentile : share of magnitudes, in percent, that PERCENTILE holds
    """
    samples = list(batches)
    if not samples:
        raise NumericError("calibrate: there are no batches; give at least one")
    if not 0 < percentile <= 100:
        raise NumericError(f"calibrate: percentile is {percentile}, expected 0 to 100")
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
            if method is not CalibrationMethod.MIN_MAX:
                _refine(model, samples, quantizers, method, percentile)
    finally:
        for quantizer in quantizers:
            quantizer.observing = False
        for module, training in modes.items():
            module.training = training


def _refine(
    model: nn.Module,
    samples: list[Tensor],
    quantizers: list[FixedPointQuantizer],
    method: CalibrationMethod,
    percentile: float,
) -> None:
    """Collect numbers of all batches on the min-max grid, then choose every point anew."""
    seen: dict[FixedPointQuantizer, list[Tensor]] = {q: [] for q in quantizers if q.observing}
    hooks = []
    for quantizer in seen:
        quantizer.observing = False
        hooks.append(quantizer.register_forward_pre_hook(_collector(seen[quantizer])))
    try:
        for sample in samples:
            model(sample)
    finally:
        for hook in hooks:
            hook.remove()
    for quantizer, parts in seen.items():
        if parts:  # else these batches do not reach it
            channels = torch.cat(parts, dim=1)
            chosen = [_chosen_frac(quantizer, x, method, percentile) for x in channels]
            # On the model's device: NCCL moves nothing else between processes.
            fracs = torch.tensor(chosen, device=quantizer.learned.device)
            reduce_in_group(fracs, "MIN")  # of several processes, each with its own batches
            quantizer.set_frac(fracs)


def _collector(parts: list[Tensor]) -> Callable[[nn.Module, tuple[Tensor, ...]], None]:
    def collect(module: nn.Module, inputs: tuple[Tensor, ...]) -> None:
        axis = module.cast.axis if isinstance(module, FixedPointQuantizer) else None
        (x,) = inputs
        rows = x.reshape(1, -1) if axis is None else x.movedim(axis, 0).reshape(x.shape[axis], -1)
        stride = max(1, rows.shape[1] // _KEPT)
        parts.append(rows[:, ::stride].detach().double())

    return collect


def _chosen_frac(
    quantizer: FixedPointQuantizer, x: Tensor, method: CalibrationMethod, percentile: float
) -> int:
    magnitude = x.abs() if quantizer.config.signed else x.clamp(min=0)
    if method is CalibrationMethod.PERCENTILE:
        place = max(1, math.ceil(percentile / 100 * magnitude.numel()))
        return calibrated_frac(quantizer.config, float(magnitude.kthvalue(place).values))
    coarsest = calibrated_frac(quantizer.config, float(magnitude.max()))
    candidates = range(coarsest, min(coarsest + _FINER, quantizer.config.max_frac) + 1)
    return min(candidates, key=lambda frac: _squared_error(quantizer, x, frac))


def _squared_error(quantizer: FixedPointQuantizer, x: Tensor, frac: int) -> float:
    codes = quantizer.cast.codes_(x * 2.0**frac, quantizer.levels)
    return float((codes * 2.0**-frac - x).square().sum())
