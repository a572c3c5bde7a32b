"""`hwgen convert`: a model as hls4ml's ONNX front end reads it, and the shapes that it then has."""

from __future__ import annotations

from pathlib import Path
from typing import TypedDict

from hwgen.frontend.hls4ml import convert
from hwgen.frontend.reader import read
from hwgen.frontend.shapes import frame_shape


class Conversion(TypedDict):
    """What was written: the file, and the shapes of a frame without the batch."""

    model: str
    input: list[int]
    output: list[int]


def convert_model(model: Path, target: Path) -> Conversion:
    """Convert the model in one file into the other."""
    graph = read(convert(model, target)).graph
    given, result = (list(frame_shape(value)[1:]) for value in (graph.input[0], graph.output[0]))
    return {"model": str(target), "input": given, "output": result}


def show_conversion(summary: Conversion) -> str:
    """Return the line for people."""
    given, result = (
        ", ".join(map(str, ["N", *shape])) for shape in (summary["input"], summary["output"])
    )
    return f"wrote {summary['model']} for hls4ml: frames ({given}) in, ({result}) out"
