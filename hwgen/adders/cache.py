"""`cached_solve`: solve each matrix once, in this process and on this disk.

Entries are named by the content of the question; what comes off the disk is verified against the
matrix like a fresh solution, so a damaged entry costs time and nothing else.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
from collections.abc import Sequence
from pathlib import Path

from hwgen.adders.expressions import Array
from hwgen.adders.graph import Adder, AdderGraph, Output
from hwgen.adders.solve import SolveOptions, solve
from hwgen.errors import AdderGraphError
from hwgen.numeric import CodeType
from hwgen.resources import cache_folder

# Part of the key: raise it when `solve` gives different graphs.
_SOLVER_REVISION = 8
_solved: dict[str, AdderGraph] = {}


def cached_solve(
    matrix: Array,
    inputs: Sequence[CodeType],
    options: SolveOptions | None = None,
    cache_dir: Path | None = None,
) -> AdderGraph:
    """Return `solve(matrix, inputs, options)`.

    Parameters
    ----------
    cache_dir : default `$HWGEN_CACHE` or `~/.cache/hwgen`
    """
    options = options or SolveOptions()
    key = _key(matrix, inputs, options)
    if key not in _solved:
        entry = (cache_dir or cache_folder()) / "adders" / f"{key}.json"
        graph = _read(entry, matrix, inputs)
        if graph is None:
            graph = solve(matrix, inputs, options)
            _write(entry, graph)
        _solved[key] = graph
    return _solved[key]


def _key(matrix: Array, inputs: Sequence[CodeType], options: SolveOptions) -> str:
    ends = [(codes.lo, codes.hi) for codes in inputs]
    question = [_SOLVER_REVISION, matrix.tolist(), ends, repr(options)]
    return hashlib.sha256(json.dumps(question).encode()).hexdigest()


def _read(entry: Path, matrix: Array, inputs: Sequence[CodeType]) -> AdderGraph | None:
    plain = tuple(CodeType(codes.lo, codes.hi) for codes in inputs)
    try:
        stored = json.loads(entry.read_text(encoding="utf-8"))
        adders = tuple(
            Adder(a, b, shift_b, bool(na), bool(nb), c, shift_c, bool(nc))
            for a, b, shift_b, na, nb, c, shift_c, nc in stored["adders"]
        )
        outputs = tuple(Output(node, s, bool(negative)) for node, s, negative in stored["outputs"])
        graph = AdderGraph(plain, adders, outputs)
        graph.verify(matrix)
    except (OSError, ValueError, KeyError, TypeError, AdderGraphError):
        return None
    return graph


def _write(entry: Path, graph: AdderGraph) -> None:
    """Store in one step, so that nobody reads half an entry."""
    adders = [
        [a.a, a.b, a.shift, a.negative_a, a.negative_b, a.c, a.shift_c, a.negative_c]
        for a in graph.adders
    ]
    outputs = [[o.node, o.shift, int(o.negative)] for o in graph.outputs]
    staging = entry.with_suffix(f".{os.getpid()}")
    # A cache that cannot be written costs time, nothing else.
    with contextlib.suppress(OSError):
        entry.parent.mkdir(parents=True, exist_ok=True)
        staging.write_text(json.dumps({"adders": adders, "outputs": outputs}), encoding="utf-8")
        staging.replace(entry)
