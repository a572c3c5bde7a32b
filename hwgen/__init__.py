"""hwgen: a quantized network in, Verilog that computes the same integers out.

The Python API mirrors the command line: `export`, `load`, `build`, `verify`. Each is imported when
it is first used, so that `import hwgen` costs nothing and `build` needs no PyTorch.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from hwgen.commands.build import build_model as build
    from hwgen.frontend import load
    from hwgen.nn import export
    from hwgen.verify.regression import verify

__version__ = "0.1.0"
__all__ = ["__version__", "build", "export", "load", "verify"]

_LAZY = {
    "build": ("hwgen.commands.build", "build_model"),
    "export": ("hwgen.nn", "export"),
    "load": ("hwgen.frontend", "load"),
    "verify": ("hwgen.verify.regression", "verify"),
}


def __getattr__(name: str) -> object:
    """Import a part of the API on first use."""
    if name not in _LAZY:
        raise AttributeError(f"module 'hwgen' has no attribute {name!r}")
    module, attribute = _LAZY[name]
    return getattr(importlib.import_module(module), attribute)
