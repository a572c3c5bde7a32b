"""`solve`: an adder graph for a constant matrix that costs few bits of adders.

A greedy start (signed digits, shared subexpressions, sums of the rest) is improved by a search
that undoes a small part of the solution, re-encodes some digits and solves it again, keeping what
is no worse: large neighbourhood search. The budget counts work, not time, and all randomness
comes from the seed: the same matrix, intervals and options give the same graph on every machine.

Source: Shaw, Using constraint programming and local search methods to solve vehicle routing
problems, CP 1998 (large neighbourhood search).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import product

import numpy as np

from hwgen.adders.eliminate import eliminate
from hwgen.adders.expressions import (
    INPUTS,
    MAX_DEPTH,
    OPERANDS,
    OUTPUTS,
    TERMS,
    Array,
    Expressions,
    allocate,
)
from hwgen.adders.graph import Adder, AdderGraph, Output
from hwgen.adders.improve import improve, workshop
from hwgen.adders.restructure import restructure
from hwgen.adders.start import difference_terms, expressions_of, minimum_depth, plain_terms
from hwgen.adders.sums import COLUMNS, build_sums
from hwgen.errors import AdderGraphError
from hwgen.numeric import CodeType

# Looks at terms a second of effort stands for: what one core of 2020 does, compiled.
WORK_PER_SECOND = 28_000_000
_WIDEST = 55
_PART_TERMS = 300
_STEPS = 32  # between two looks at the whole
# The search ends where this much work, and this share of all, brought no bit.
_PATIENCE = 4 * WORK_PER_SECOND
_PATIENCE_SHARE = 0.25


@dataclass(frozen=True)
class SolveOptions:
    """How hard to try.

    Parameters
    ----------
    max_depth : adders on the longest path; None for one more than the least possible
    effort : work to spend on the search, in seconds of a common core; 0 takes the greedy start
    seed : of the random choices
    operands : of an adder at most, 2 or 3
    """

    max_depth: int | None = None
    effort: float = 0.0
    seed: int = 1
    operands: int = 2


def solve(
    matrix: Array, inputs: Sequence[CodeType], options: SolveOptions | None = None
) -> AdderGraph:
    """Return a verified graph that computes `matrix @ x`.

    Parameters
    ----------
    matrix : int64 [O, I]
    inputs : interval of each of the I inputs

    Raises
    ------
    AdderGraphError
        When the shapes differ, a result may need more than 55 bits, or the depth is not possible.
    """
    options = options or SolveOptions()
    depth = _checked_depth(matrix, inputs, options)
    search = _Search(matrix, inputs, depth, options)
    search.run()
    graph = _graph_of(search.best, inputs, depth)
    graph.verify(matrix)
    return graph


def _checked_depth(matrix: Array, inputs: Sequence[CodeType], options: SolveOptions) -> int:
    if matrix.ndim != 2 or matrix.shape[1] != len(inputs) or not matrix.size:
        raise AdderGraphError(
            f"adder graph: matrix has shape {matrix.shape}, expected [O, {len(inputs)}], not empty"
        )
    reach = max(max(abs(codes.lo), abs(codes.hi)) for codes in inputs)
    widest = max(sum(abs(int(w)) for w in row) for row in matrix) * reach
    if widest.bit_length() >= _WIDEST:
        raise AdderGraphError(
            f"adder graph: results reach {widest.bit_length() + 1} bits, expected at most "
            f"{_WIDEST}; quantize weights or inputs to fewer bits"
        )
    least = minimum_depth(matrix, options.operands)
    depth = least + 1 if options.max_depth is None else options.max_depth
    if depth < least:
        raise AdderGraphError(
            f"adder graph: max_depth is {depth}, the row with most signed digits needs {least}"
        )
    return min(depth, MAX_DEPTH)


class _Scratch:
    """Arrays that `build_sums` fills."""

    def __init__(self, pool: Expressions) -> None:
        inputs = int(pool.size[INPUTS])
        nodes = inputs + pool.node.size
        self.adders = np.zeros((nodes, COLUMNS), dtype=np.int64)
        self.refs = np.zeros((pool.start.size, 3), dtype=np.int64)
        self.form = np.zeros((nodes, inputs), dtype=np.int64)
        self.lo, self.hi, self.level = (np.zeros(nodes, dtype=np.int64) for _ in range(3))

    def build(self, pool: Expressions, depth: int) -> int:
        arrays = (self.adders, self.refs, self.form, self.lo, self.hi, self.level)
        bounds = np.full(int(pool.size[OUTPUTS]), depth, dtype=np.int64)
        return int(build_sums(pool, bounds, *arrays))


class _Search:
    """The best expressions so far, and one step to better ones."""

    def __init__(
        self, matrix: Array, inputs: Sequence[CodeType], depth: int, options: SolveOptions
    ) -> None:
        self.depth = depth
        self.seed = options.seed
        self.budget = int(options.effort * WORK_PER_SECOND)
        self.work = 0
        operands = options.operands
        self.starts = [expressions_of(plain_terms(matrix), inputs, operands)]
        differences = difference_terms(matrix, depth, operands)
        if any(node >= len(inputs) for row in differences for node, _, _ in row):
            self.starts.append(expressions_of(differences, inputs, operands))
        largest = max(self.starts, key=lambda pool: pool.node.size)
        self.scratch = _Scratch(largest)
        self.best = self._room(largest)
        self.spare, self.trial = self._room(largest), self._room(largest)
        self.best_bits = 1 << 60
        self.bounds = np.full(int(largest.size[OUTPUTS]), depth, dtype=np.int64)

    @staticmethod
    def _room(like: Expressions) -> Expressions:
        inputs, outputs = int(like.size[INPUTS]), int(like.size[OUTPUTS])
        operands = int(like.size[OPERANDS])
        return allocate(inputs, outputs, like.start.size, like.node.size, operands)

    def run(self) -> None:
        for start in self.starts:
            for weight, least in product(_WEIGHTS, range(2, int(start.size[OPERANDS]) + 1)):
                keep = np.zeros(start.start.size, dtype=np.int64)
                restructure(start, keep, self.spare)
                self._solve_spare(weight, least)
        if self.work < self.budget:
            self._improve()

    def _solve_spare(self, weight: Array, least: int) -> None:
        """Solve the expressions in `spare`; take them over if they are better."""
        self.work += int(eliminate(self.spare, self.bounds, weight, least, 0.0, 1))
        keep = np.zeros(self.spare.start.size, dtype=np.int64)
        if not restructure(self.spare, keep, self.trial):
            return
        self.work += 8 * int(self.trial.size[TERMS])
        bits = self.scratch.build(self.trial, self.depth)
        if bits < self.best_bits:
            self.best_bits = bits
            self.best, self.trial = self.trial, self.best

    def _improve(self) -> None:
        """Improve small parts until budget or patience end."""
        shop = workshop(self.best, 10 * _PART_TERMS)
        nothing = np.zeros(self.best.start.size, dtype=np.int64)
        current, tidy = self.trial, self.spare
        if not restructure(self.best, nothing, current):
            return
        self.scratch.build(current, self.depth)  # `improve` asks for the bits of each sum
        whole = 4000 + 8 * int(self.best.size[TERMS]) + int(self.best.form.size) // 4
        state = int(np.random.Generator(np.random.PCG64(self.seed)).integers(1 << 30))
        last_gain = self.work
        while self.work < min(
            self.budget, last_gain + _PATIENCE + int(_PATIENCE_SHARE * self.work)
        ):
            work, state = improve(current, self.depth, shop, _WAYS, _PART_TERMS, _STEPS, state)
            self.work += int(work) + whole
            if not restructure(current, nothing, tidy):
                return
            current, tidy = tidy, current
            bits = self.scratch.build(current, self.depth)
            if bits < self.best_bits:
                last_gain = self.work
            if bits <= self.best_bits and restructure(current, nothing, self.best):
                self.best_bits = bits


_WEIGHTS = (np.arange(64, dtype=np.int64) + 1, np.ones(64, dtype=np.int64))
_WAYS = np.stack(_WEIGHTS)


def _graph_of(pool: Expressions, inputs: Sequence[CodeType], depth: int) -> AdderGraph:
    scratch = _Scratch(pool)
    scratch.build(pool, depth)
    rows = scratch.adders[len(inputs) : int(scratch.adders[0, 0])].tolist()
    adders = tuple(
        Adder(a, b, shift_b, bool(na), bool(nb), None if c < 0 else c, shift_c, bool(nc))
        for a, b, c, shift_b, shift_c, na, nb, nc, *_ in rows
    )
    outputs = tuple(
        Output(None) if node < 0 else Output(int(node), int(shift), bool(negative))
        for node, shift, negative in scratch.refs[: int(pool.size[OUTPUTS])].tolist()
    )
    plain = tuple(CodeType(codes.lo, codes.hi) for codes in inputs)
    return AdderGraph(plain, adders, outputs)
