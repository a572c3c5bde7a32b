"""`convert`: a model as `hwgen.nn.export` writes it becomes one that hls4ml's front end loads.

hls4ml takes QONNX channels last, and of its operators only: each node of the model is written in
that form, with the same numbers. What hls4ml has no form for is reported at once. The result is
ordinary QONNX: `hwgen build` takes it as well.

Source: hls4ml 1.3, converters/onnx; Ahmad et al., https://fastmachinelearning.org/hls4ml.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import onnx
from onnx import ModelProto

from hwgen.errors import FrontendError
from hwgen.frontend.hls4ml import elementwise, moves, pools, products
from hwgen.frontend.hls4ml.place import Conversion, Place, Tensor, channels_last
from hwgen.frontend.hls4ml.source import Source
from hwgen.frontend.reader import check, describe, read

CONVERSIONS: dict[str, Callable[[Place], None]] = {
    **dict.fromkeys(("Add", "Sub", "Mul"), elementwise.arithmetic),
    **dict.fromkeys(("Identity", "Dropout"), elementwise.nothing),
    "Quant": elementwise.quantizer,
    "Relu": elementwise.relu,
    "BipolarQuant": elementwise.bipolar_quantizer,
    "Clip": elementwise.clip,
    "PRelu": elementwise.prelu,
    "Conv": products.convolution,
    "MatMul": products.matmul,
    "MaxPool": pools.max_pool,
    "AveragePool": pools.average_pool,
    "Concat": moves.concat,
    "Flatten": moves.flatten,
    "Pad": moves.pad,
    "Reshape": moves.reshape,
    "Resize": moves.resize,
}


def convert(source: str | Path, target: str | Path) -> Path:
    """Write the model in file `source` to `target`, as hls4ml's ONNX front end reads it.

    Images and sequences enter and leave channels last, (N, H, W, C) and (N, L, C); vectors as they
    are. The numbers are the same.

    Raises
    ------
    FrontendError : naming every node that cannot be written so, and why
    """
    made = converted(read(source), Path(source).stem)
    target = Path(target)
    try:
        target.write_bytes(made.SerializeToString(deterministic=True))
    except OSError as error:
        raise FrontendError(f"{target}: cannot be written: {error.strerror}") from error
    return target


def converted(model: ModelProto, name: str = "model") -> ModelProto:
    """Return the model that `convert` writes; `name` is for messages."""
    source = Source.of(check(model, name))
    conversion = Conversion(source)
    graph = source.model.graph
    shape = channels_last(source.shape(graph.input[0].name))
    given = Tensor(conversion.writer.name("frames"), shape)
    conversion.tensors[graph.input[0].name] = given
    problems = _convert_nodes(conversion)
    if problems:
        noun = "problem" if len(problems) == 1 else "problems"
        raise FrontendError(f"{name}: {len(problems)} {noun}", problems)
    if len(graph.output) != 1 or graph.output[0].name not in conversion.tensors:
        raise FrontendError(f"{name}: expected one output that depends on the input")
    result = conversion.tensors[graph.output[0].name]
    made = conversion.writer.model((given.name, given.shape), (result.name, result.shape))
    onnx.checker.check_model(made)
    return made


def _convert_nodes(conversion: Conversion) -> list[str]:
    """Convert what can be; return what cannot, and why."""
    problems = []
    known, tensors = conversion.source.constants, conversion.tensors
    for node in conversion.source.model.graph.node:
        if any(name in known or name in tensors for name in node.output):
            continue  # a constant, or part of a node before it
        if any(name and name not in known and name not in tensors for name in node.input):
            continue  # behind a node that is reported
        try:
            handler = CONVERSIONS.get(node.op_type)
            if handler is None:
                raise FrontendError(f"expected what hwgen.nn writes: {', '.join(CONVERSIONS)}")
            handler(Place(node, conversion))
        except FrontendError as error:
            problems.append(f"{describe(node.name, node.op_type)}: {error}")
    return problems
