"""Write the Verilog of one fully unrolled 64x64 layer with seeded 6-bit weights.

python benchmarks/unrolled_layer.py OUT
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np

from hwgen import __version__
from hwgen.build.emit import ModelInfo, emit_verilog
from hwgen.ir import Graph, Input, Node, TensorType
from hwgen.numeric import CodeType
from hwgen.ops.matvec import Kernel, MatVec


def main() -> None:
    """Emit the layer into the folder named on the command line."""
    weights = np.random.default_rng(0).integers(-32, 32, (64, 64))
    source = Input("x", TensorType((64,), CodeType(0, 63)))
    node = Node("layer", MatVec(weights, 64, 64, Kernel.MAC), ("x",))
    graph = Graph("unrolled", (source,), (node,), ("layer",))
    emit_verilog(graph, Path(sys.argv[1]), ModelInfo(bytes(32), __version__, "seeded weights"))


if __name__ == "__main__":
    main()
