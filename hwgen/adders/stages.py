"""`Stages`: in which pipeline stage each node of an adder graph is computed, and what that takes.

A value read in a later stage than its own goes there through registers, one a stage, shared by
all its readers. So a stage for each node is all there is to a pipeline: every path has the same
number of registers whatever the stages are.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from hwgen.adders.fabric import Fabric
from hwgen.adders.graph import AdderGraph


@dataclass(frozen=True)
class Step:
    """An adder, or a row behind the last one, which negates or only wires.

    Parameters
    ----------
    operands : (node, left shift)
    width : bits of the result
    bits : of carry chain
    """

    operands: tuple[tuple[int, int], ...]
    width: int
    bits: int

    @property
    def adds_three(self) -> bool:
        """Whether it adds three operands: slower, and only with a register behind it.

        The LUT's second output, which carries to the next place, and an unregistered sum would
        leave the slice by the same pin.
        """
        return len(self.operands) == 3


def steps_of(graph: AdderGraph) -> list[Step]:
    """Return the adders of the graph, then one step for each row that is not zero."""
    intervals, bits = graph.intervals, graph.adder_bits()
    steps = [
        Step(
            tuple((source, shift) for source, shift, _ in adder.operands),
            intervals[node].width,
            bits[k],
        )
        for k, (node, adder) in enumerate(enumerate(graph.adders, start=len(graph.inputs)))
    ]
    for output in graph.outputs:
        if output.node is not None:
            width = intervals[output.node].width
            steps.append(Step(((output.node, 0),), width, width if output.negative else 0))
    return steps


@dataclass(frozen=True)
class Stages:
    """A pipeline over an adder graph.

    Parameters
    ----------
    of : by node, the registers between the inputs and the node's operands; 0 for inputs
    latency : the registers between the inputs and every row
    """

    of: tuple[int, ...]
    latency: int

    def readings(self, graph: AdderGraph) -> list[list[int]]:
        """Return for each node in which stages it is read, ascending."""
        read: list[set[int]] = [set() for _ in self.of]
        for adder, stage in zip(graph.adders, self.of[len(graph.inputs) :], strict=True):
            for operand in adder.operands:
                read[operand.node].add(stage)
        for output in graph.outputs:
            if output.node is not None:
                read[output.node].add(self.latency)
        return [sorted(stages) for stages in read]

    def delays(self, graph: AdderGraph) -> Iterator[tuple[int, int]]:
        """Yield (registers in a row that only the last one is read of, bits)."""
        widths = (codes.width for codes in graph.intervals)
        for stage, reads, width in zip(self.of, self.readings(graph), widths, strict=True):
            for before, after in zip([stage, *reads], reads, strict=False):
                if after > before:
                    yield after - before, width

    def register_bits(self, graph: AdderGraph) -> int:
        """Return the bits of all registers."""
        return sum(length * width for length, width in self.delays(graph))

    def slowest_ps(self, graph: AdderGraph, fabric: Fabric) -> int:
        """Return the longest time from register to register, rows and their negations included."""
        steps, first = steps_of(graph), len(graph.inputs)
        stages = [*self.of, *[self.latency] * (len(steps) - len(graph.adders))]
        # Bit p of a node is there `offset + p * carry_ps` after its stage began.
        offsets: list[int | None] = [None] * first
        slowest = fabric.register_ps
        for node, step in enumerate(steps, start=first):
            chained = [
                offset - shift * fabric.carry_ps
                for operand, shift in step.operands
                if (offset := offsets[operand]) is not None and stages[operand] == stages[node]
            ]
            offsets.append(offset_behind(step, chained, fabric))
            slowest = max(slowest, time_of(step, offsets[node], fabric))
        return slowest


def offset_behind(step: Step, chained: list[int], fabric: Fabric) -> int | None:
    """Return when bit 0 of a step would be there if its low bits rippled too; None: at once.

    Parameters
    ----------
    chained : the same of the operands of its own stage, in the places of the result
    """
    if step.bits == 0:
        return max(chained, default=None)
    from_registers = (step.bits - step.width) * fabric.carry_ps
    into_chain = fabric.adder_ps + (fabric.third_operand_ps if step.adds_three else 0)
    return max(from_registers, *chained) + into_chain if chained else from_registers + into_chain


def time_of(step: Step, offset: int | None, fabric: Fabric) -> int:
    """Return the time from the registers in front of a step to one behind it."""
    if offset is None:
        return fabric.register_ps
    return fabric.register_ps + offset + step.width * fabric.carry_ps


def level_stages(graph: AdderGraph, latency: int, levels_per_stage: int = 1) -> Stages:
    """Return the pipeline with registers behind every so many levels, at least `latency` long."""
    of = (max(level - 1, 0) // levels_per_stage for level in graph.levels)
    return Stages(tuple(of), latency)
