"""`Selection`: of a grid of beats, pass some on."""

from __future__ import annotations

from collections.abc import Sequence

from amaranth import Const, Module, Mux, Signal, Value

from hwgen.numeric import CodeType
from hwgen.rtl.spatial.geometry import Mask
from hwgen.rtl.stream.component import StreamComponent

DEPTH = 1  # the output register


class Selection(StreamComponent):
    """Take every beat, give those whose index along every axis is chosen.

    Parameters
    ----------
    axes : for each axis, the outermost first, which indices are chosen
    codes, lanes : of a beat
    """

    def __init__(self, axes: Sequence[Mask], codes: CodeType, lanes: int) -> None:
        self.axes = axes
        super().__init__(codes, lanes, codes, lanes)

    def elaborate(self, platform: object) -> Module:
        """Count, and load the output register with chosen beats."""
        m = Module()
        advance = Signal()
        take = Signal()
        m.d.comb += [
            advance.eq(~self.o.valid | self.o.ready),
            self.i.ready.eq(advance),
            take.eq(self.i.valid & advance),
        ]
        indices, _ = count_grid(m, [len(axis) for axis in self.axes], take)
        chosen: Value = Const(1, 1)
        for k, (axis, index) in enumerate(zip(self.axes, indices, strict=True)):
            chosen = chosen & flag_at(m, axis, index, f"axis{k}_chosen")
        with m.If(advance):
            m.d.sync += self.o.valid.eq(take & chosen)
        with m.If(take):
            m.d.sync += self.o.payload.as_value().eq(self.i.payload.as_value())
        return m


def count_grid(m: Module, sizes: Sequence[int], step: Value) -> tuple[list[Signal], list[Signal]]:
    """Return a counter for each axis, the last the fastest, and whether it is at its end.

    Parameters
    ----------
    step : the cycle's step counts
    """
    indices = [Signal(range(max(n, 2)), name=f"index{k}") for k, n in enumerate(sizes)]
    ends = [Signal(name=f"index{k}_ends") for k in range(len(sizes))]
    carry: Value = step
    for index, end, size in reversed(list(zip(indices, ends, sizes, strict=True))):
        m.d.comb += end.eq(index == size - 1)
        if size > 1:
            with m.If(carry):
                m.d.sync += index.eq(Mux(end, 0, index + 1))
        carry = carry & end
    return indices, ends


def flag_at(m: Module, flags: Mask, index: Signal, name: str) -> Value:
    """Return flags[index]: a table of constants, shifted until the entry is at its end."""
    if flags.all():
        return Const(1, 1)
    # Linters want the table, its shift and what takes it equally wide; the bit above the last
    # entry keeps the table from being written without its leading zeros.
    entries = 1 << len(index)
    word = sum(1 << k for k, flag in enumerate(flags) if flag) | 1 << entries
    shifted = Signal(entries + 1, name=name)
    m.d.comb += shifted.eq(Const(word, entries + 1) >> index)
    return shifted[0]
