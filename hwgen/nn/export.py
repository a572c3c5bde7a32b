"""`export`: a trained model made of `hwgen.nn` layers becomes a QONNX file.

The model is traced, then walked once; every number in the file is exact in float32, so any executor
that knows QONNX computes the same outputs as the model in eval mode. Everything that stands in the
way is reported at once. Next in the flow: `hwgen/frontend`.

Source: QONNX, Pappalardo et al., arXiv 2206.07527.
"""

from __future__ import annotations

import os
from pathlib import Path

import torch
from torch import Tensor, nn

from hwgen.errors import ExportError
from hwgen.nn.flow import Flow
from hwgen.nn.lowering import LOWERINGS, Lowering
from hwgen.nn.onnx_writer import OnnxWriter, write_atomically
from hwgen.nn.quantizer import FixedPointQuantizer
from hwgen.nn.trace import MODEL_INPUT, Step, trace
from hwgen.numeric import QONNX_ROUNDING, Overflow

SUPPORTED = (
    "hwgen.nn Linear, Conv1d, Conv2d, BatchNorm1d, BatchNorm2d, ReLU, ReLU6, Hardtanh, PReLU, "
    "RPReLU, Sign, Identity, Pixels, Thermometer, Embedding, Add, Cat, AvgPool1d, AvgPool2d, "
    "AdaptiveAvgPool1d, AdaptiveAvgPool2d, PrecisionGatedConv2d; "
    "torch.nn MaxPool1d, MaxPool2d, ZeroPad1d, ZeroPad2d, Upsample, Flatten, Dropout, Identity"
)


def export(
    model: nn.Module, example: Tensor, path: str | os.PathLike[str], *, compact: bool = False
) -> Path:
    """Write `model` as a checked QONNX file.

    Parameters
    ----------
    model : hwgen.nn layers, in nn.Sequential, nested or not, or in a module whose forward calls
        them, branches included; its mode and values are left as they are
    example : a batch of inputs (N, ...); only its shape counts, and N is left open in the file
    path : file to write; replaced whole, or not touched when there is an error
    compact : store large weights of up to 8 bits in a byte each instead of four, as integers that
        two more nodes, Cast and Mul, turn into the same numbers; for tools that fold constants

    Returns
    -------
    the path written

    Raises
    ------
    ExportError
        naming every layer that cannot be written exactly, what was expected and what to try
    """
    if example.dim() < 2:
        raise ExportError(
            f"example has shape {list(example.shape)}, expected a batch (N, ...); "
            "try example.unsqueeze(0)"
        )
    modes = {module: module.training for module in model.modules()}
    model.eval()
    try:
        with torch.no_grad():
            writer, flow = _lower(model, tuple(example.shape[1:]), compact)
    finally:
        for module, training in modes.items():
            module.training = training
    target = Path(path)
    write_atomically(target, writer.model(tuple(example.shape[1:]), flow.shape or (), flow.tensor))
    return target


def _lower(
    model: nn.Module, input_shape: tuple[int, ...], compact: bool
) -> tuple[OnnxWriter, Flow]:
    """Return the written nodes and the last tensor, or raise with the full list of problems."""
    traced = trace(model)
    problems = list(traced.problems)
    writer = OnnxWriter(compact)
    flows: dict[str | None, Flow] = {
        MODEL_INPUT: Flow.model_input(input_shape),
        None: Flow.unknown(),
    }
    for step in traced.steps:
        flows[step.name] = Flow.unknown()
        found = _module_problems(step)
        if not found:
            try:
                flows[step.name] = _lower_step(step, [flows[name] for name in step.inputs], writer)
            except ExportError as error:
                found = [str(error)]
        problems += found
    flow = flows[traced.output]
    if not problems and flow.grid is None and not flow.rounded:
        problems.append("output: expected quantized numbers, got the raw input of the model")
    if not problems and not writer.nodes:
        problems.append("the model has no layer that computes anything; there is nothing to build")
    if problems:
        count = "1 problem" if len(problems) == 1 else f"{len(problems)} problems"
        lines = "\n".join(f"  - {problem}" for problem in problems)
        raise ExportError(f"the model cannot be exported, {count}:\n{lines}")
    return writer, flow


def _lower_step(step: Step, flows: list[Flow], writer: OnnxWriter) -> Flow:
    lowering = _lowering_of(step.module)
    if lowering.joins:
        return lowering.lower(step.module, step.name, flows, writer)
    if len(flows) != 1:
        raise ExportError(
            f"{step.name}: expected one input, got {len(flows)}; join them with hwgen.nn.Add or Cat"
        )
    return lowering.lower(step.module, step.name, flows[0], writer)


def _lowering_of(module: nn.Module) -> Lowering:
    for lowering in LOWERINGS:
        kind = lowering.kind
        if isinstance(module, kind) and type(module).forward is kind.forward:
            return lowering
    raise ExportError(f"expected one of {SUPPORTED}; got {_class_name(module)}")


def _module_problems(step: Step) -> list[str]:
    """Return what is wrong with a layer by itself."""
    try:
        _lowering_of(step.module)
    except ExportError as error:
        kinds = [lowering.kind for lowering in LOWERINGS]
        twin = next((kind for kind in kinds if type(step.module) in kind.__bases__), None)
        advice = f"use hwgen.nn.{twin.__name__}" if twin else "build the model from these"
        return [f"{step.name}: {error}; {advice}"]
    problems = []
    for name, tensor in step.module.state_dict().items():
        bad = int((~torch.isfinite(tensor)).sum())
        if bad:
            problems.append(
                f"{step.name}.{name}: expected finite numbers, got {bad} of {tensor.numel()} NaN "
                "or infinite; train again with a lower learning rate"
            )
    for name, quantizer in step.module.named_modules():
        if isinstance(quantizer, FixedPointQuantizer):
            is_output = name == "output_quantizer"
            problems += _quantizer_problems(f"{step.name}.{name}", quantizer, is_output)
    return problems


def _quantizer_problems(where: str, quantizer: FixedPointQuantizer, is_output: bool) -> list[str]:
    problems = []
    if not quantizer.calibrated:
        problems.append(
            f"{where}: expected a calibrated quantizer, got one that has seen no data; run a "
            "training batch or hwgen.nn.calibrate(model, batches), or give frac="
        )
    if not is_output:
        return problems  # constants are written on their grid: no mode can change them
    if quantizer.config.overflow is Overflow.WRAP:
        problems.append(
            f"{where}: expected overflow SAT or SAT_SYM, got WRAP, which QONNX cannot say; train "
            "with Overflow.SAT"
        )
    if quantizer.config.rounding not in QONNX_ROUNDING.values():
        sayable = ", ".join(sorted({mode.value for mode in QONNX_ROUNDING.values()}))
        problems.append(
            f"{where}: expected a rounding mode of QONNX ({sayable}), got "
            f"{quantizer.config.rounding.value}; train with Rounding.RND_CONV"
        )
    return problems


def _class_name(module: nn.Module) -> str:
    return f"{type(module).__module__}.{type(module).__qualname__}"
