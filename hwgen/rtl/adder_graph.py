"""An adder graph as a datapath: one signal an adder, registers after every so many levels.

An adder's result is registered when its level closes a stage, which is every `levels_per_stage`
levels; where a value is used in a later stage than it is made in, delay registers carry it there,
shared by all its users. The latency follows from the depth alone.
"""

from __future__ import annotations

from collections.abc import Sequence

from amaranth import Const, Module, Signal, Value

from hwgen.adders import AdderGraph
from hwgen.numeric import CodeType
from hwgen.rtl.adder_tree import Term, add_in_width
from hwgen.rtl.stream.component import code_shape


def graph_latency(depth: int, levels_per_stage: int = 1) -> int:
    """Registers on every path of a graph of this depth; one closes a partial stage as well."""
    return -(-depth // levels_per_stage)


class AdderGraphDatapath:
    """The adders of a graph over given inputs.

    Parameters
    ----------
    graph : what to build
    x : a signal or number for each input, of the graph's interval, all valid in the same cycle
    name : prefix of the signals, `{name}_n{node}`
    levels_per_stage : adders between two registers
    """

    def __init__(
        self,
        graph: AdderGraph,
        x: Sequence[Value],
        name: str,
        levels_per_stage: int = 1,
    ) -> None:
        self.graph, self.name, self.levels_per_stage = graph, name, levels_per_stage
        self.combinational: list[tuple[Signal, Value]] = []
        self.registered: list[tuple[Signal, Value]] = []
        # (node, stage) -> the node's value after that many registers
        self._values = {
            (node, 0): Term(value, codes)
            for node, (value, codes) in enumerate(zip(x, graph.inputs, strict=True))
        }
        for node in range(len(graph.inputs), len(graph.inputs) + len(graph.adders)):
            self._build(node)

    def _build(self, node: int) -> None:
        graph, adder = self.graph, self.graph.adders[node - len(self.graph.inputs)]
        level = graph.levels[node]
        stage = (level - 1) // self.levels_per_stage
        closes = level % self.levels_per_stage == 0
        operands = []
        # A positive one first: what is left are additions and subtractions.
        for source, shift, negative in sorted(adder.operands, key=lambda o: o.negative):
            value = self.at(source, stage)
            operands.append(Term(value.value, value.codes, shift, negative))
        codes = graph.intervals[node]
        name = f"{self.name}_n{node}"
        total = Signal(code_shape(codes), name=name, reset_less=True)
        if len(operands) == 3:
            # The name and the attribute tell the steps that write and read Verilog.
            pair = Signal(codes.width, name=f"{name}_pair", attrs={"three_operands": 1})
            self.combinational.append((pair, add_in_width(operands[:2], codes.width)))
            operands = [Term(pair, CodeType(0, (1 << codes.width) - 1)), operands[2]]
        result = add_in_width(operands, codes.width)
        (self.registered if closes else self.combinational).append((total, result))
        self._values[node, stage + int(closes)] = Term(total, codes)

    def at(self, node: int, stage: int) -> Term:
        """Return the value of `node` after `stage` registers."""
        if (node, stage) not in self._values:
            before = self.at(node, stage - 1)
            held = Signal(
                code_shape(before.codes), name=f"{self.name}_n{node}_s{stage}", reset_less=True
            )
            self.registered.append((held, before.value))
            self._values[node, stage] = Term(held, before.codes)
        return self._values[node, stage]

    def outputs(self, stage: int) -> list[Term]:
        """Return the rows after `stage` registers, shift and sign still to be applied."""
        zero = Term(Const(0, 1), CodeType(0, 0))
        rows = []
        for output in self.graph.outputs:
            if output.node is None:
                rows.append(zero)
                continue
            term = self.at(output.node, stage)
            rows.append(Term(term.value, term.codes, output.shift, output.negative))
        return rows

    def connect(self, m: Module, advance: Signal) -> None:
        """Add the statements; after the last call of `at` or `outputs`."""
        m.d.comb += [signal.eq(value) for signal, value in self.combinational]
        # One `If` for all of them: thousands would be slow to elaborate.
        with m.If(advance):
            m.d.sync += [signal.eq(value) for signal, value in self.registered]


def build_graph(
    m: Module,
    graph: AdderGraph,
    x: Sequence[Value],
    advance: Signal,
    name: str,
    latency: int,
    levels_per_stage: int = 1,
) -> list[Term]:
    """Build the graph and return its rows, all `latency` registers after `x`.

    `latency` is at least `graph_latency(graph.depth(), levels_per_stage)`.
    """
    datapath = AdderGraphDatapath(graph, x, name, levels_per_stage)
    rows = datapath.outputs(latency)
    datapath.connect(m, advance)
    return rows


def graph_registers(graph: AdderGraph, latency: int, levels_per_stage: int = 1) -> int:
    """Return the bits of all registers that `build_graph` makes."""
    # A node that does not close a stage is there, unregistered, within the stage.
    there = [level // levels_per_stage for level in graph.levels]
    last = list(there)
    for adder, level in zip(graph.adders, graph.levels[len(graph.inputs) :], strict=True):
        for operand in adder.operands:
            last[operand.node] = max(last[operand.node], (level - 1) // levels_per_stage)
    for output in graph.outputs:
        if output.node is not None:
            last[output.node] = max(last[output.node], latency)
    bits = 0
    for level, since, until, codes in zip(graph.levels, there, last, graph.intervals, strict=True):
        closes = level > 0 and level % levels_per_stage == 0
        bits += (until - since + int(closes)) * codes.width
    return bits
