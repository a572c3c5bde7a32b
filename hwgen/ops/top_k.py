"""Top-k: the indices of the k largest codes of each vector, the largest first.

Of equal codes the lower index comes first, as in ONNX. Sorted lists of k are merged: those of the
lanes of a beat in a tree of registers, its result with the best of the beats before in one cycle.

Source: https://onnx.ai/onnx/operators/onnx__TopK.html
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import ClassVar

import numpy as np
from amaranth import Cat, Const, Module, Signal, Value

from hwgen.cost import Resources
from hwgen.ir import Codes, Op, Schedule, TensorType, expect
from hwgen.numeric import CodeType
from hwgen.ops.case import Case, Reject, bipolar_vector, vector
from hwgen.ops.lane_choices import divisors
from hwgen.rtl.adder_tree import tree_levels
from hwgen.rtl.sorted_lists import Contender, held, merged
from hwgen.rtl.spatial.geometry import expect_lanes
from hwgen.rtl.stream.component import StreamComponent
from hwgen.rtl.vector_beats import vector_flags


@dataclass(frozen=True, eq=False)
class TopK(Op):
    """Turn vectors (..., C) into indices (..., k). With k = 1 `argmax` does.

    Parameters
    ----------
    k : how many, 2..C
    pe : codes a beat, a divisor of C; all indices of a vector leave in one beat
    """

    # what
    name: ClassVar[str] = "top_k"
    k: int
    pe: int = 1

    def infer(self, *inputs: TensorType) -> TensorType:
        """Indices 0..C - 1."""
        (x,) = inputs
        expect(
            2 <= self.k <= x.channels,
            f"k is {self.k}, expected 2 to {x.channels}, the channels; for 1 there is argmax",
        )
        expect_lanes(self.pe, x.channels)
        return TensorType((*x.shape[:-1], self.k), CodeType(0, x.channels - 1))

    # meaning
    def evaluate(self, *codes: Codes) -> Codes:
        """Return the indices of the first k in descending order; a stable sort keeps equals."""
        order = np.argsort(-codes[0], axis=-1, kind="stable")
        return np.asarray(order[..., : self.k], dtype=np.int64)

    # promise
    @property
    def lanes(self) -> tuple[int, int]:
        """Codes in an input beat and in an output beat."""
        return self.pe, self.k

    def schedule(self, *inputs: TensorType) -> Schedule:
        """A beat a cycle; the last of a vector leads to its indices."""
        (x,) = inputs
        groups = x.channels // self.pe
        steps = np.arange(x.size // self.pe)
        every = np.ones(len(steps), dtype=bool)
        return Schedule(every, steps % groups == groups - 1, tree_levels(self.pe) + 1)

    def interval_cycles(self, *inputs: TensorType) -> int:
        """A beat a cycle."""
        return inputs[0].size // self.pe

    def foldings(self, *inputs: TensorType) -> tuple[TopK, ...]:
        """Parts of a vector, up to the whole."""
        return tuple(replace(self, pe=pe) for pe in divisors(inputs[0].channels))

    def merges(self) -> list[tuple[int, int]]:
        """Return the lengths of the lists that are merged, the tree's first."""
        found, lengths = [], [1] * self.pe
        while len(lengths) > 1:
            pairs = [lengths[n : n + 2] for n in range(0, len(lengths), 2)]
            found += [(pair[0], pair[1]) for pair in pairs if len(pair) == 2]
            lengths = [min(sum(pair), self.k) for pair in pairs]
        return [*found, (self.k, lengths[0])]

    def resources(self, *inputs: TensorType) -> Resources:
        """Predict a comparison for each pair of a merge, and what its results are chosen with."""
        (x,) = inputs
        width, index = x.codes.width, (x.channels - 1).bit_length()
        luts = flip_flops = 0.0
        for a, b in self.merges():
            results = min(a + b, self.k)
            luts += a * b * (width / 2 + 1) + results * (width + index) * min(a, b) * 0.7
            flip_flops += results * (width + index)
        return Resources(lut=luts + 2 * index + 4, ff=flip_flops + 2 * index + self.k + 4)

    # hardware
    def hardware(self, *inputs: TensorType) -> StreamComponent:
        """Return the tree of merges and the best so far."""
        return TopKUnit(self, inputs[0])


class TopKUnit(StreamComponent):
    """The sorted codes of each beat meet the best of the beats before."""

    def __init__(self, op: TopK, x: TensorType) -> None:
        self.op, self.groups = op, x.channels // op.pe
        self.index_bits = (x.channels - 1).bit_length()
        super().__init__(x.codes, op.pe, op.infer(x).codes, op.k)

    def elaborate(self, platform: object) -> Module:
        """Beat counter, tree, best so far."""
        m = Module()
        advance = Signal()
        take = Signal()
        m.d.comb += [
            advance.eq(~self.o.valid | self.o.ready),
            self.i.ready.eq(advance),
            take.eq(self.i.valid & advance),
        ]
        vector = self.groups, self.op.pe, self.index_bits
        flags = vector_flags(m, take, advance, vector, tree_levels(self.op.pe))
        self._best(m, advance, self._sorted_beat(m, advance), flags)
        return m

    def _sorted_beat(self, m: Module, advance: Signal) -> list[Contender]:
        """Return the largest codes of the beat, a level of merges a cycle."""
        bits, codes = self.i_codes.width, self.i.payload.as_value()
        lists = [
            [Contender(codes[n * bits :][:bits], Const(n, self.index_bits), Const(1, 1))]
            for n in range(self.op.pe)
        ]
        for level in range(1, tree_levels(self.op.pe) + 1):
            pairs = [(*lists[n : n + 2], [])[:2] for n in range(0, len(lists), 2)]
            lists = [
                held(m, advance, self._merged(m, a, b, f"level{level}_{n}"), f"level{level}_{n}")
                for n, (a, b) in enumerate(pairs)
            ]
        return lists[0]

    def _merged(
        self, m: Module, a: list[Contender], b: list[Contender], name: str
    ) -> list[Contender]:
        return merged(m, a, b, self.op.k, self.i_codes.signed, name)

    def _best(self, m: Module, advance: Signal, beat: list[Contender], flags: Value) -> None:
        """Merge the beat with what earlier beats of the vector left."""
        valid, first, last, base = flags[0], flags[1], flags[2], flags[3:]
        kept = [
            Contender(
                Signal(self.i_codes.width, name=f"best_code{place}"),
                Signal(self.index_bits, name=f"best_index{place}"),
                Signal(name=f"best_exists{place}"),
            )
            for place in range(self.op.k)
        ]
        old = [c._replace(exists=c.exists & ~first) for c in kept]
        new = []
        for place, contender in enumerate(beat):
            index = Signal(self.index_bits, name=f"beat_index{place}")
            m.d.comb += index.eq(base + contender.position)
            new.append(contender._replace(position=index))
        with m.If(advance & valid):
            for before, best in zip(kept, self._merged(m, old, new, "best"), strict=True):
                m.d.sync += Cat(*before).eq(Cat(*best))
        with m.If(advance):
            m.d.sync += self.o.valid.eq(valid & last)
        m.d.comb += self.o.payload.as_value().eq(Cat(c.position for c in kept))


CASES = (
    *(Case(TopK(3, pe), (vector(12, -4, 3),)) for pe in (1, 2, 3, 6, 12)),
    Case(TopK(5, 2), (vector(10, 0, 900),)),
    Case(TopK(4, 2), (TensorType((2, 3, 4), CodeType(-9, -7)),)),
    Case(TopK(2, 3), (bipolar_vector(9),)),
    Case(TopK(2), (TensorType((4, 2), CodeType(0, 3)),)),
)
REJECTS = (
    Reject(TopK(2, 4), (vector(10, 0, 3),), "pe is 4, expected a divisor of 10 channels"),
    Reject(
        TopK(11),
        (vector(10, 0, 3),),
        "k is 11, expected 2 to 10, the channels; for 1 there is argmax",
    ),
)
