"""A matrix-vector unit of bits, unrolled: weights and inputs are -1 or +1, every weight is wiring.

`BinaryRows` says what is built; here it gets its registers and becomes a stream component.
"""

from __future__ import annotations

from collections.abc import Sequence

from amaranth import Cat, Const, Module, Signal, Value

from hwgen.cost import Resources
from hwgen.ir import TensorType
from hwgen.numeric import CodeType
from hwgen.rtl.binary_rows import BinaryRows
from hwgen.rtl.compressor_tree import Bit, compress
from hwgen.rtl.heap_comparison import HeapBit
from hwgen.rtl.stream.component import code_shape
from hwgen.rtl.stream.pipeline import Pipeline


class BinaryMatVec(Pipeline):
    """Input register, popcounts or comparisons, output register.

    A beat holds the vectors of `pixels` pixels; each has logic of its own.
    """

    def __init__(
        self, plan: BinaryRows, inputs: TensorType, outputs: TensorType, pixels: int = 1
    ) -> None:
        self.plan, self.pixels = plan, pixels
        self.depth = self.depth_of(plan)
        super().__init__(inputs.codes, pixels * plan.inputs, outputs.codes, pixels * plan.rows)

    @staticmethod
    def depth_of(plan: BinaryRows) -> int:
        """Cycles through the input register, the plan and the output register."""
        return 1 + plan.cycles + 1

    @staticmethod
    def resources_of(plan: BinaryRows, outputs: CodeType) -> Resources:
        """Predict the plan, and the registers around it."""
        return plan.resources() + BinaryMatVec._around(plan, outputs)

    @staticmethod
    def estimate_of(plan: BinaryRows, outputs: CodeType) -> Resources:
        """Predict without planning it, for a search over many foldings."""
        return plan.estimate() + BinaryMatVec._around(plan, outputs)

    @staticmethod
    def _around(plan: BinaryRows, outputs: CodeType) -> Resources:
        return Resources(ff=plan.inputs + plan.rows * outputs.width)

    def datapath(
        self, m: Module, lanes: Sequence[Value], advance: Signal, accept: Value
    ) -> Sequence[Value]:
        """Register, plan, register, for each pixel."""
        plan, results = self.plan, []
        for pixel in range(self.pixels):
            prefix = f"pixel{pixel}_" if self.pixels > 1 else ""
            x = Signal(plan.inputs, name=f"{prefix}x", reset_less=True)
            own = lanes[pixel * plan.inputs : (pixel + 1) * plan.inputs]
            with m.If(advance):
                m.d.sync += x.eq(Cat(*own))
            bits = [x[k] for k in range(plan.inputs)]
            found = plan.network.build(m, bits, plan.wanted, plan.network_cycles, prefix, advance)
            known = dict(zip(plan.wanted, found, strict=True))
            values = self._sums if plan.needed is None else self._answers
            for row, value in enumerate(values(m, known, prefix, advance)):
                result = Signal(code_shape(self.o_codes), name=f"{prefix}row{row}_result")
                with m.If(advance):
                    m.d.sync += result.eq(value)
                results.append(result)
        return results

    def _answers(
        self, m: Module, known: dict[int, Value], prefix: str, advance: Signal
    ) -> list[Value]:
        return [
            Const(int(answer), 1) if isinstance(answer, bool) else _value(known, answer)
            for answer in self.plan.answers
        ]

    def _sums(
        self, m: Module, known: dict[int, Value], prefix: str, advance: Signal
    ) -> list[Value]:
        plan = self.plan
        constant, half = plan.constant, CodeType(0, (1 << plan.heap_width) - 1)
        sums = []
        for row in range(plan.rows):
            heap = [
                [Bit(known[bit], inverted) for bit, inverted in column] for column in plan.heap(row)
            ]
            heap = [*heap, *([] for _ in range(half.width))][: half.width]
            columns = [
                [*column, *([Bit(Const(1, 1))] if constant >> k & 1 else [])]
                for k, column in enumerate(heap)
            ]
            name = f"{prefix}row{row}_sum"
            total = compress(m, columns, half, name, advance, plan.lut_inputs)
            # The lowest bit says whether the number of inputs is odd.
            sums.append(Cat(Const(plan.inputs % 2, 1), total.value)[: self.o_codes.width])
        return sums


def _value(known: dict[int, Value], bit: HeapBit) -> Value:
    return ~known[bit[0]] if bit[1] else known[bit[0]]
