"""An adder graph as a datapath: one signal an adder, registers where its `Stages` say.

A sum that is read in its own stage is a wire, and marked to be kept: synthesis must not merge it
into the carry chains that read it. A sum that is first read later is a register. Delay registers
carry values to later stages, shared by all their readers.
"""

from __future__ import annotations

from collections.abc import Sequence

from amaranth import Const, Module, Signal, Value

from hwgen.adders import AdderGraph, Fabric, Stages
from hwgen.cost import Resources
from hwgen.numeric import CodeType
from hwgen.rtl.adder_tree import Term, add_in_width
from hwgen.rtl.stream.component import code_shape

SHIFT_REGISTER_BITS = 32  # of a LUT, SRLC32E


class AdderGraphDatapath:
    """The adders of a graph over given inputs.

    Parameters
    ----------
    graph : what to build
    x : a signal or number for each input, of the graph's interval, all valid in the same cycle
    name : prefix of the signals, `{name}_n{node}`
    stages : the pipeline
    """

    def __init__(self, graph: AdderGraph, x: Sequence[Value], name: str, stages: Stages) -> None:
        self.graph, self.name, self.stages = graph, name, stages
        self.combinational: list[tuple[Signal, Value]] = []
        self.registered: list[tuple[Signal, Value]] = []
        # (node, stage) -> the node's value after that many registers
        self._values = {
            (node, 0): Term(value, codes)
            for node, (value, codes) in enumerate(zip(x, graph.inputs, strict=True))
        }
        first = len(graph.inputs)
        for node, reads in enumerate(stages.readings(graph)):
            if node >= first and reads:
                self._build(node, stages.of[node], reads[0])

    def _build(self, node: int, stage: int, first_read: int) -> None:
        adder = self.graph.adders[node - len(self.graph.inputs)]
        name, codes = f"{self.name}_n{node}", self.graph.intervals[node]
        operands = []
        # A positive one first: what is left are additions and subtractions.
        for source, shift, negative in sorted(adder.operands, key=lambda o: o.negative):
            value = self.at(source, stage)
            operands.append(Term(value.value, value.codes, shift, negative))
        if len(operands) == 3:
            operands = [self._pair(operands[:2], codes, name), operands[2]]
        total = Signal(code_shape(codes), name=name, reset_less=True)
        result = add_in_width(operands, codes.width)
        if first_read == stage:
            total.attrs["keep"] = "true"
            self.combinational.append((total, result))
        else:
            self.registered.append((total, result))
        self._values[node, min(first_read, stage + 1)] = Term(total, codes)

    def _pair(self, operands: Sequence[Term], codes: CodeType, name: str) -> Term:
        """Return the sum of the first two of three operands, in the width of the whole.

        Its name and its attribute tell the steps that write and read Verilog that this is no adder
        of its own.
        """
        pair = Signal(codes.width, name=f"{name}_pair", attrs={"three_operands": 1})
        self.combinational.append((pair, add_in_width(operands, codes.width)))
        return Term(pair, CodeType(0, (1 << codes.width) - 1))

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

    def outputs(self) -> list[Term]:
        """Return the rows in the last stage, shift and sign still to be applied."""
        zero = Term(Const(0, 1), CodeType(0, 0))
        rows = []
        for output in self.graph.outputs:
            if output.node is None:
                rows.append(zero)
                continue
            term = self.at(output.node, self.stages.latency)
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
    stages: Stages,
) -> list[Term]:
    """Build the graph and return its rows, all `stages.latency` registers after `x`."""
    datapath = AdderGraphDatapath(graph, x, name, stages)
    rows = datapath.outputs()
    datapath.connect(m, advance)
    return rows


def delay_lines(graph: AdderGraph, stages: Stages, fabric: Fabric) -> Resources:
    """Predict the registers of a pipeline; long lines of them without reset are LUTs."""
    total = Resources()
    for length, width in stages.delays(graph):
        if fabric.shift_register and length >= fabric.shift_register:
            total += Resources(lut=width * -(-length // SHIFT_REGISTER_BITS))
        else:
            total += Resources(ff=width * length)
    return total
