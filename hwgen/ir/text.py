"""Text form of a graph: what dumps show and tests are written in; parsing gives the same graph.

    graph tiny

    %x : [2] -8..7 scale 0x1p-3 = input rounding=RND_CONV zero_point=0 prepare=()
    %fc1 : [2] -80..88 scale 0x1p-7 = matvec(%x) weights=@fc1.weights pe=1 simd=1
    output %fc1

    @fc1.weights [2, 2]
    3 -8
    -2 1

(one line a value; shown broken). Small arrays stand in the line. Types are there to be read and
checked: parsing infers them again and compares. A record that is its field's default, such as the
device an operator is made for before there is one, is left out.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import Field, fields, is_dataclass
from typing import Any, get_type_hints

import numpy as np

from hwgen.errors import HwgenError, IRError
from hwgen.ir.graph import Graph, Input, Node
from hwgen.ir.layout import Layout
from hwgen.ir.op import Op
from hwgen.ir.tensor_type import TensorType
from hwgen.ir.text_values import Arrays, Reader, write_value
from hwgen.numeric import CodeType

ELEMENTS_A_LINE = 16
INPUT_FIELDS = ("rounding", "zero_point", "prepare")


# printing ------------------------------------------------------------------------------------


def print_graph(graph: Graph) -> str:
    """Return the text form; equal graphs give equal bytes."""
    arrays: Arrays = {}
    lines = [f"graph {graph.name}", ""]
    for source in graph.inputs:
        lines.append(_input_line(source, arrays))
    for node in graph.nodes:
        lines.append(_node_line(node, graph.types[node.name], arrays))
    lines.append(_output_line(graph))
    for name, array in arrays.items():
        lines += ["", f"@{name} {list(array.shape)}", *_rows(array)]
    return "\n".join(lines) + "\n"


def _input_line(source: Input, arrays: Arrays) -> str:
    keys = [(key, getattr(source, key)) for key in INPUT_FIELDS]
    if source.type.channel_codes is not None:
        keys.append(("channel_codes", source.type.channel_codes))
    if source.layout is not None:
        keys.append(("layout", source.layout))
    return _line(source.name, source.type, source.scale, "input", keys, source.source, arrays)


def _output_line(graph: Graph) -> str:
    names = ", ".join(f"%{name}" for name in graph.outputs)
    layout = graph.output_layout
    return f"output {names}" + (f" layout={write_value(layout, '', {})}" if layout else "")


def _node_line(node: Node, kind: TensorType, arrays: Arrays) -> str:
    reads = ", ".join(f"%{name}" for name in node.inputs)
    scale = node.scale[0] if len(node.scale) == 1 else node.scale
    values = [(f, getattr(node.op, f.name)) for f in fields(node.op)]
    keys = [(f.name, v) for f, v in values if not (_may_be_left_out(f) and v == f.default)]
    return _line(node.name, kind, scale, f"{node.op.name}({reads})", keys, node.source, arrays)


def _line(
    name: str,
    kind: TensorType,
    scale: object,
    what: str,
    keys: list[tuple[str, object]],
    source: str,
    arrays: Arrays,
) -> str:
    words = [f"{key}={write_value(value, f'{name}.{key}', arrays)}" for key, value in keys]
    origin = f"  # from {json.dumps(source)}" if source else ""
    factor = write_value(scale, f"{name}.scale", arrays)
    return f"%{name} : {kind} scale {factor} = {' '.join((what, *words))}{origin}"


def _may_be_left_out(field: Field) -> bool:
    """Whether a field has a record for its default; an interval of codes is none."""
    return is_dataclass(field.default) and not isinstance(field.default, CodeType)


def _rows(array: np.ndarray) -> Iterator[str]:
    width = array.shape[-1] if array.ndim > 1 else ELEMENTS_A_LINE
    flat = array.ravel().tolist()
    for first in range(0, len(flat), max(width, 1)):
        yield " ".join(write_value(v, "", {}) for v in flat[first : first + width])


# parsing -------------------------------------------------------------------------------------


def parse_graph(text: str, operators: Mapping[str, type[Op]]) -> Graph:
    """Return the graph that `text` describes.

    Parameters
    ----------
    text : in the form `print_graph` writes
    operators : the vocabulary, by name

    Raises
    ------
    IRError : with the number of the line at fault
    """
    parser = _Parser(operators)
    numbered = list(enumerate(text.splitlines(), start=1))
    body = [(number, line) for number, line in numbered if line.strip()]
    split = next((i for i, (_, line) in enumerate(body) if line.startswith("@")), len(body))
    arrays = _read_arrays(body[split:])
    for number, line in body[:split]:
        try:
            parser.read(Reader(line, arrays))
        except HwgenError as error:
            raise IRError(f"line {number}: {error}") from error
    if parser.name is None or not parser.outputs:
        missing = "graph NAME" if parser.name is None else "output %NAME"
        raise IRError(f"line {len(numbered)}: expected a line `{missing}`, got the end of the text")
    inputs, nodes = tuple(parser.inputs), tuple(parser.nodes)
    return Graph(parser.name, inputs, nodes, parser.outputs, parser.output_layout)


def _read_arrays(body: list[tuple[int, str]]) -> dict[str, tuple[tuple[int, ...], list[str]]]:
    """Return shape and words of each array of the section below the graph."""
    arrays: dict[str, tuple[tuple[int, ...], list[str]]] = {}
    words: list[str] = []
    for number, line in body:
        if not line.startswith("@"):
            words += line.split()
            continue
        try:
            reader = Reader(line, {})
            reader.expect("@")
            name, shape, words = reader.path(), reader.shape(), []
        except HwgenError as error:
            raise IRError(f"line {number}: {error}") from error
        if name in arrays:
            raise IRError(f"line {number}: array @{name} is given twice")
        arrays[name] = (shape, words)
    return arrays


class _Parser:
    """The graph so far; types are inferred as lines are read."""

    def __init__(self, operators: Mapping[str, type[Op]]) -> None:
        self.operators = operators
        self.name: str | None = None
        self.inputs: list[Input] = []
        self.nodes: list[Node] = []
        self.outputs: tuple[str, ...] = ()
        self.output_layout: Layout | None = None
        self.types: dict[str, TensorType] = {}

    def read(self, reader: Reader) -> None:
        """Read one line."""
        if reader.take("graph"):
            self.name = reader.word()
        elif reader.take("output"):
            self.outputs = tuple(reader.separated(reader.reference))
            for name in self.outputs:
                self._known(name)
            if reader.peek() == "layout":
                self.output_layout = reader.keys({"layout": Layout})["layout"]
        elif reader.take("%"):
            self._value(reader)
        else:
            raise IRError(f"expected graph, output or %NAME, got {reader.peek()!r}")
        reader.end()

    def _known(self, name: str) -> TensorType:
        if name not in self.types:
            raise IRError(f"%{name} is not defined before")
        return self.types[name]

    def _value(self, reader: Reader) -> None:
        name = reader.word()
        if name in self.types:
            raise IRError(f"%{name} is defined twice")
        reader.expect(":")
        shape, codes = reader.shape(), reader.codes()
        reader.expect("scale")
        scale = reader.scale()
        reader.expect("=")
        kind = reader.word()
        if kind == "input":
            self._input(reader, name, TensorType(shape, codes), scale)
            return
        if kind not in self.operators:
            known = ", ".join(sorted(self.operators))
            raise IRError(f"operator {kind!r} is unknown; known are {known}")
        reader.expect("(")
        reads = () if reader.peek() == ")" else tuple(reader.separated(reader.reference))
        reader.expect(")")
        cls = self.operators[kind]
        hints = _hints(cls)
        needed = {f.name: hint for f, hint in hints if not _may_be_left_out(f)}
        op = cls(**reader.keys(needed, {f.name: hint for f, hint in hints}))
        inferred = op.infer(*(self._known(name) for name in reads))
        stated = TensorType(shape, codes)
        if (inferred.shape, inferred.codes) != (stated.shape, stated.codes):
            raise IRError(f"%{name}: the text says {stated}, the operator gives {inferred}")
        self.types[name] = inferred
        self.nodes.append(Node(name, op, reads, scale, reader.source()))

    def _input(self, reader: Reader, name: str, kind: TensorType, scale: tuple[float, ...]) -> None:
        hints: dict[str, object] = {key: get_type_hints(Input)[key] for key in INPUT_FIELDS}
        if len(scale) != 1:
            raise IRError(f"an input has one scale, got {len(scale)}")
        optional = {"channel_codes": tuple[CodeType, ...], "layout": Layout}
        keys = reader.keys(hints, optional)
        channel_codes = keys.pop("channel_codes", None)
        kind = TensorType(kind.shape, kind.codes, channel_codes)
        self.types[name] = kind
        source = reader.source()
        self.inputs.append(Input(name=name, type=kind, scale=scale[0], source=source, **keys))


def _hints(cls: type) -> list[tuple[Field, Any]]:
    hints = get_type_hints(cls)
    return [(field, hints[field.name]) for field in fields(cls)]
