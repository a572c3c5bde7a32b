"""`place_registers`: the fewest pipeline registers with which a graph of adders meets a clock.

Each step gets a stage. No step may stand before its operands, nor in the stage of one that adds
three numbers, and two steps between which a path is longer than the period may not share a stage:
differences of two stages, all of them. The bits of registers, counted once for all readers of a
node, are the objective, so the whole is a linear program whose vertices are whole numbers (its
matrix is that of a network).

Source: Leiserson and Saxe, Retiming synchronous circuitry, Algorithmica 6, 1991: theorem 7 (path
constraints), section 8 (fewest registers, fan-out shared).
"""

from __future__ import annotations

import heapq
from collections.abc import Sequence
from functools import lru_cache

import numpy as np

from hwgen.adders.fabric import Fabric
from hwgen.adders.graph import AdderGraph
from hwgen.adders.stages import Stages, Step, offset_behind, steps_of, time_of
from hwgen.errors import AdderGraphError


@lru_cache(maxsize=256)
def place_registers(
    graph: AdderGraph, fabric: Fabric, period_ps: int, latency: int | None = None
) -> Stages:
    """Return the pipeline with the fewest bits of registers.

    An adder that alone takes longer than the period is given that time, as all others are then.

    Parameters
    ----------
    period_ps : longest time from register to register
    latency : registers on every path; default and least the fewest that the period allows
    """
    steps, first = steps_of(graph), len(graph.inputs)
    period_ps = max(period_ps, slowest_step_ps(graph, fabric))
    fewest = max(_earliest(steps, first, fabric, period_ps), default=0)
    latency = fewest if latency is None else latency
    if latency < fewest:
        raise AdderGraphError(
            f"adder graph: {latency} registers on every path for {period_ps} ps, expected at "
            f"least {fewest}"
        )
    program = _Differences(first + len(steps))
    for node in range(first):
        program.bound(node, 0, 0)
    for node in range(first, first + len(steps)):
        is_row = node >= first + len(graph.adders)
        program.bound(node, latency if is_row else 0, latency)
    for node, step in enumerate(steps, start=first):
        for operand, _ in step.operands:
            program.require(operand, node, _registers_between(steps, first, operand, node))
    for before, after in _too_far(steps, first, fabric, period_ps):
        program.require(before, after, 1)
    readers = _readers(steps, first)
    for node, codes in enumerate(graph.intervals):
        if readers[node]:
            last = program.add(latency)
            program.minimize(node, last, codes.width)
            for reader, _ in readers[node]:
                program.require(reader, last, 0)
    found = program.solve()
    return Stages(tuple(found[: first + len(graph.adders)]), latency)


def slowest_step_ps(graph: AdderGraph, fabric: Fabric) -> int:
    """Return the time that the slowest adder, or row, takes from register to register."""
    alone = (time_of(step, offset_behind(step, [], fabric), fabric) for step in steps_of(graph))
    return max(alone, default=fabric.register_ps)


def shortest_period_ps(graph: AdderGraph, fabric: Fabric, latency: int) -> int:
    """Return the shortest period for which `latency` registers on every path are enough."""
    steps, first = steps_of(graph), len(graph.inputs)
    low = slowest_step_ps(graph, fabric)
    # With no register at all the whole graph is one path.
    high = max(low, Stages((0,) * (first + len(graph.adders)), 0).slowest_ps(graph, fabric))
    least = max(_earliest(steps, first, fabric, high), default=0)
    if latency < least:
        raise AdderGraphError(
            f"adder graph: {latency} registers on every path, expected at least {least} behind "
            "adders of three operands"
        )
    while low < high:
        middle = (low + high) // 2
        if max(_earliest(steps, first, fabric, middle), default=0) <= latency:
            high = middle
        else:
            low = middle + 1
    return low


def _earliest(steps: Sequence[Step], first: int, fabric: Fabric, period_ps: int) -> list[int]:
    """Return the first stage in which each node, inputs included, can be computed.

    The earliest stage and, within it, the earliest time: both only help those that follow.
    """
    stages = [0] * first
    offsets: list[int | None] = [None] * first
    for step in steps:
        node = len(stages)
        stage = max(
            stages[operand] + _registers_between(steps, first, operand, node)
            for operand, _ in step.operands
        )
        chained = [
            offset - shift * fabric.carry_ps
            for operand, shift in step.operands
            if (offset := offsets[operand]) is not None and stages[operand] == stage
        ]
        offset = offset_behind(step, chained, fabric)
        if time_of(step, offset, fabric) > period_ps:
            stage, offset = stage + 1, offset_behind(step, [], fabric)
        stages.append(stage)
        offsets.append(offset)
    return stages


def _registers_between(steps: Sequence[Step], first: int, operand: int, node: int) -> int:
    """Return how many registers are needed, whatever the clock; one stands behind every row."""
    step = steps[node - first]
    is_wire = len(step.operands) == 1 and step.bits == 0
    return int(operand >= first and steps[operand - first].adds_three and not is_wire)


def _readers(steps: Sequence[Step], first: int) -> list[list[tuple[int, int]]]:
    """Return for each node who reads it: (step, left shift)."""
    readers: list[list[tuple[int, int]]] = [[] for _ in range(first + len(steps))]
    for node, step in enumerate(steps, start=first):
        for operand, shift in step.operands:
            readers[operand].append((node, shift))
    return readers


def _too_far(
    steps: Sequence[Step], first: int, fabric: Fabric, period_ps: int
) -> list[tuple[int, int]]:
    """Return pairs of steps that cannot share a stage; all others follow from these.

    A path is followed from its first adder to where it gets too long, and no further: what is
    behind stands in no earlier stage. Neither is what a reader of the first adder cannot reach
    in time.
    """
    readers = _readers(steps, first)
    far: dict[int, set[int]] = {}
    pairs = []
    for start in range(first + len(steps) - 1, first - 1, -1):
        known = set[int]().union(*(far[reader] for reader, _ in readers[start]))
        offsets = {start: offset_behind(steps[start - first], [], fabric)}
        waiting = [start]
        found = []
        while waiting:
            node = heapq.heappop(waiting)
            offset = offsets[node]
            if offset is None:
                continue
            if time_of(steps[node - first], offset, fabric) > period_ps:
                found.append(node)
                continue
            for reader, shift in readers[node]:
                if reader in known:
                    continue
                arriving = [offset - shift * fabric.carry_ps]
                reached = offset_behind(steps[reader - first], arriving, fabric)
                earlier = offsets.get(reader)
                if reader not in offsets:
                    heapq.heappush(waiting, reader)
                if earlier is None or (reached is not None and reached > earlier):
                    offsets[reader] = reached
        pairs += [(start, node) for node in found]
        far[start] = known | set(found)
    return pairs


class _Differences:
    """A linear program over whole numbers of which only differences are bounded."""

    def __init__(self, count: int) -> None:
        self.bounds: list[tuple[int, int]] = [(0, 0)] * count
        self.prices = [0] * count
        self.least: dict[tuple[int, int], int] = {}

    def add(self, most: int) -> int:
        """Return one more unknown, from 0 to `most`."""
        self.bounds.append((0, most))
        self.prices.append(0)
        return len(self.bounds) - 1

    def bound(self, unknown: int, low: int, high: int) -> None:
        """Keep an unknown between `low` and `high`."""
        self.bounds[unknown] = (low, high)

    def require(self, before: int, after: int, least: int) -> None:
        """Keep after - before at `least` or more."""
        self.least[before, after] = max(least, self.least.get((before, after), least))

    def minimize(self, before: int, after: int, price: int) -> None:
        """Count after - before at this price."""
        self.prices[before] -= price
        self.prices[after] += price

    def solve(self) -> list[int]:
        """Return the unknowns at the least price."""
        # Takes a moment to import, and few commands need it.
        from scipy.optimize import linprog
        from scipy.sparse import csr_array

        if not self.least:
            return [low for low, _ in self.bounds]
        pairs = np.array(list(self.least), dtype=np.int64)
        rows = np.repeat(np.arange(len(pairs)), 2)
        signs = np.tile([1.0, -1.0], len(pairs))
        shape = (len(pairs), len(self.bounds))
        matrix = csr_array((signs, (rows, pairs.ravel())), shape=shape)
        limits = -np.array(list(self.least.values()), dtype=np.float64)
        # The simplex method: it ends in a vertex.
        solution = linprog(
            np.array(self.prices, dtype=np.float64),
            A_ub=matrix,
            b_ub=limits,
            bounds=np.array(self.bounds),
            method="highs-ds",
        )
        if solution.x is None:
            raise AdderGraphError(f"adder graph: registers cannot be placed: {solution.message}")
        found = np.rint(solution.x).astype(np.int64)
        if np.any(found[pairs[:, 1]] - found[pairs[:, 0]] < -limits):
            raise AdderGraphError("adder graph: the stages found are no whole numbers")
        return [int(stage) for stage in found]
