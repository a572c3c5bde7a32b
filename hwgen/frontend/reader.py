"""Read an ONNX file that may be broken or hostile into a checked model.

First step of the frontend. Nothing is allocated before its size is known, no other file is ever
opened, and every way in which the onnx library can fail becomes a `FrontendError`.

Source: ONNX security advisories on external data (CVE-2024-27318 and its successors).
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import onnx

# google.protobuf comes with onnx and has no type stubs.
from google.protobuf.descriptor import FieldDescriptor  # type: ignore[import-untyped]
from google.protobuf.message import DecodeError, Message  # type: ignore[import-untyped]
from onnx import AttributeProto, ModelProto, TensorProto

from hwgen.errors import FrontendError
from hwgen.frontend.as_strided import without_as_strided
from hwgen.frontend.channels_last import without_channels_last
from hwgen.frontend.final_softmax import without_final_softmax
from hwgen.frontend.microsoft import without_microsoft

MAX_FILE_BYTES = 1 << 29
MAX_NODES = 20_000
MAX_ELEMENTS = 1 << 26
MIN_OPSET = 7

QONNX_DOMAIN = "qonnx.custom_op.general"
QONNX_DOMAINS = frozenset(
    {QONNX_DOMAIN, "onnx.brevitas", "finn.custom_op.general", "qonnx", "brevitas", ""}
)
QONNX_OPERATORS = frozenset(
    {"Quant", "IntQuant", "BipolarQuant", "Trunc", "FloatQuant", "MultiThreshold"}
)


def read(path: str | Path) -> ModelProto:
    """Return the checked model in file `path`."""
    path = Path(path)
    try:
        size = path.stat().st_size
        if size > MAX_FILE_BYTES:
            raise FrontendError(f"{path.name}: {size} bytes, expected at most {MAX_FILE_BYTES}")
        data = path.read_bytes()
    except OSError as error:
        raise FrontendError(f"{path}: cannot be read: {error.strerror}") from error
    return decode(data, path.name)


def decode(data: bytes, where: str) -> ModelProto:
    """Return the checked model in `data`; `where` names it in errors."""
    if not data:
        raise FrontendError(f"{where}: the file is empty; expected an ONNX model")
    model = ModelProto()
    try:
        model.ParseFromString(data)
    except (DecodeError, ValueError) as error:
        raise FrontendError(f"{where}: not an ONNX model; export it again") from error
    return check(model, where)


def check(model: ModelProto, where: str) -> ModelProto:
    """Return a copy of `model` with QONNX nodes in one domain, after all structural checks.

    Raises
    ------
    FrontendError : listing every problem found
    """
    if not model.HasField("graph") or not model.graph.node:
        raise FrontendError(f"{where}: not an ONNX model or one without nodes; export it again")
    if len(model.graph.node) > MAX_NODES:
        count = len(model.graph.node)
        raise FrontendError(f"{where}: {count} nodes, expected at most {MAX_NODES}")
    normal = ModelProto()
    normal.CopyFrom(model)
    if not _names_are_text(normal):
        raise FrontendError(f"{where}: expected names in UTF-8, got other bytes; export it again")
    _normalize_domains(normal)
    without_microsoft(normal)
    without_channels_last(normal)
    problems = [*_tensor_problems(normal), *_opset_problems(normal), *_structure_problems(normal)]
    if problems:
        raise FrontendError(f"{where}: {len(problems)} problems in the file", problems)
    try:
        onnx.checker.check_model(normal, full_check=False)
    except (onnx.checker.ValidationError, ValueError, UnicodeError, RuntimeError) as error:
        reason = str(error).split("\n\n")[0]
        raise FrontendError(f"{where}: not a valid ONNX model: {reason}") from error
    return without_final_softmax(without_as_strided(normal))


def _names_are_text(message: Message) -> bool:
    """Whether every string is UTF-8; protobuf hands others out as bytes, or fails on them."""
    try:
        for field, value in message.ListFields():
            items = [value] if isinstance(value, str | bytes | Message) else value
            if field.type == FieldDescriptor.TYPE_STRING:
                if any(isinstance(item, bytes) for item in items):
                    return False
            elif field.type == FieldDescriptor.TYPE_MESSAGE and not all(
                map(_names_are_text, items)
            ):
                return False
    except UnicodeDecodeError:
        return False
    return True


def _normalize_domains(model: ModelProto) -> None:
    """Bring QONNX's nodes, which real files keep in five domains, into one."""
    for node in model.graph.node:
        if node.op_type in QONNX_OPERATORS and node.domain in QONNX_DOMAINS:
            node.domain = QONNX_DOMAIN
    known = {entry.domain for entry in model.opset_import}
    for domain in {node.domain for node in model.graph.node} - known - {"", "ai.onnx"}:
        model.opset_import.add(domain=domain, version=1)


def _opset_problems(model: ModelProto) -> Iterator[str]:
    versions = [e.version for e in model.opset_import if e.domain in ("", "ai.onnx")]
    newest = onnx.defs.onnx_opset_version()
    if len(versions) != 1:
        yield f"{len(versions)} versions of the ONNX operator set, expected one; export it again"
    elif not MIN_OPSET <= versions[0] <= newest:
        yield (
            f"operator set {versions[0]}, expected {MIN_OPSET}..{newest}; "
            "export with opset_version=17"
        )


def tensors(model: ModelProto) -> Iterator[tuple[str, TensorProto]]:
    """Yield every tensor of the file with words that say where it is."""
    for tensor in model.graph.initializer:
        yield f"initializer {tensor.name!r}", tensor
    for node in model.graph.node:
        for attribute in node.attribute:
            if attribute.type == AttributeProto.TENSOR:
                yield (
                    f"{describe(node.name, node.op_type)}, attribute {attribute.name!r}",
                    (attribute.t),
                )


def _tensor_problems(model: ModelProto) -> Iterator[str]:
    for where, tensor in tensors(model):
        external = tensor.data_location == TensorProto.EXTERNAL or tensor.external_data
        if external:
            yield f"{where}: its data are in another file; save the model as one file"
        elif any(size < 0 for size in tensor.dims):
            yield f"{where}: shape {list(tensor.dims)}, expected no negative size"
        elif math.prod(tensor.dims) > MAX_ELEMENTS:
            yield f"{where}: {math.prod(tensor.dims)} elements, expected at most {MAX_ELEMENTS}"
    if model.graph.sparse_initializer:
        yield "the file has sparse initializers, expected dense ones; export it again"
    if model.functions:
        yield "the file defines functions of its own, expected none; inline them on export"


def _structure_problems(model: ModelProto) -> Iterator[str]:
    """Names defined twice, names defined nowhere, and cycles."""
    graph = model.graph
    produced: set[str] = set()
    for node in graph.node:
        for name in filter(None, node.output):
            if name in produced:
                yield f"value {name!r} is computed twice, expected once; export the model again"
            produced.add(name)
    for kind, names in (
        ("input", [v.name for v in graph.input]),
        ("initializer", [t.name for t in graph.initializer]),
    ):
        for name in sorted(n for n, count in Counter(names).items() if count > 1):
            yield f"{kind} {name!r} is there twice, expected different names; export it again"
    given = {v.name for v in graph.input} | {t.name for t in graph.initializer}
    for name in sorted(given & produced):
        yield f"value {name!r} is both given and computed; export the model again"
    ready = set(given)
    for node in graph.node:
        where = describe(node.name, node.op_type)
        for name in filter(None, node.input):
            if name not in given | produced:
                yield f"{where}: input {name!r} is computed by no node; export the model again"
            elif name not in ready and name in produced:
                yield (
                    f"{where}: input {name!r} is computed by a later node or in a cycle; "
                    "expected nodes in order, without cycles"
                )
        ready |= set(node.output)
    for output in graph.output:
        if output.name not in given | produced:
            yield f"output {output.name!r} is computed by no node; export the model again"


def describe(name: str, op_type: str) -> str:
    """Return the words that point at a node in error messages."""
    return f"node {name or 'without a name'!r} ({op_type})"
