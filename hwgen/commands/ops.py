"""`hwgen ops`: the operators, kernels and ONNX nodes that are supported, read from the code."""

from __future__ import annotations

import sys
from typing import Any

from hwgen.frontend import supported_nodes
from hwgen.ops.registry import OPERATOR_MODULES
from hwgen.rtl.dot import KERNELS


def operator_rows() -> dict[str, list[dict[str, Any]]]:
    """Return three tables: operators, kernels, ONNX nodes."""
    return {
        "operators": [
            {
                "name": module.__name__.rsplit(".", 1)[1],
                "meaning": _first_line(module.__doc__),
                "cases": len(module.CASES),
            }
            for module in OPERATOR_MODULES
        ],
        "kernels": [
            {"name": name, "meaning": _first_line(sys.modules[kernel.__module__].__doc__)}
            for name, kernel in KERNELS.items()
        ],
        "onnx": [{"node": node, "becomes": text} for node, text in supported_nodes().items()],
    }


def _first_line(doc: str | None) -> str:
    return (doc or "").strip().split("\n")[0].rstrip(".")
