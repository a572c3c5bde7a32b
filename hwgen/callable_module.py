"""Packages that are also functions: `hwgen.build(...)` and `hwgen.verify(...)` of the Python API.

The folder tree and the API share the two words; a module's class may be replaced for just that.

Source: Python data model, "Customizing module attribute access" (`__class__` of a module).
"""

from __future__ import annotations

import importlib
import sys
from types import ModuleType


def make_callable(package: str, module: str, function: str) -> None:
    """Let calling `package` call `module.function`, imported at the first call."""

    class CallableModule(ModuleType):
        """A package whose call is the API function of the same name."""

        def __call__(self, *arguments: object, **options: object) -> object:
            return getattr(importlib.import_module(module), function)(*arguments, **options)

    sys.modules[package].__class__ = CallableModule
