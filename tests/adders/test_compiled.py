"""With numba and without, the same graph."""

import subprocess
import sys

CODE = """
import sys
{block}
import numpy as np
from hwgen.adders import SolveOptions, solve
from hwgen.numeric import CodeType
matrix = np.random.default_rng(5).integers(-32, 32, (5, 6))
graph = solve(matrix, (CodeType(-8, 7),) * 6, SolveOptions(effort=0.002))
print(graph.adders, graph.outputs)
"""


def printed(block):
    code = CODE.format(block=block)
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return done.stdout


def test_plain_python_gives_the_same_graph():
    without = printed("sys.modules['numba'] = None")
    assert "Adder(" in without
    assert printed("") == without
