"""hwgen: a quantized network in, Verilog that computes the same integers out.

The Python API mirrors the command line: `hwgen.export(model, example, path)`, `hwgen.load(path)`,
`hwgen.build(model, out, board="ultra96")`, `hwgen.verify(directory)`, and
`hwgen.convert(path, target)` for hls4ml. Each is imported when it is first used, so that
`import hwgen` costs nothing and `build` needs no PyTorch.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from hwgen import build, verify
    from hwgen.frontend import load
    from hwgen.frontend.hls4ml import convert
    from hwgen.nn.export import export

__version__ = "0.1.0"
__all__ = ["__version__", "build", "convert", "export", "load", "verify"]

_FUNCTIONS = {
    "convert": "hwgen.frontend.hls4ml",
    "export": "hwgen.nn",
    "load": "hwgen.frontend",
}
_PACKAGES = ("build", "verify")


def __getattr__(name: str) -> object:
    """Import a part of the API on first use."""
    if name in _PACKAGES:
        return importlib.import_module(f"hwgen.{name}")
    if name in _FUNCTIONS:
        return getattr(importlib.import_module(_FUNCTIONS[name]), name)
    raise AttributeError(f"module 'hwgen' has no attribute {name!r}")
