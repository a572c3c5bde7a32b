"""`vector_flags`: where a beat lies in its vector, for operators that find the best of a vector."""

from __future__ import annotations

from amaranth import Cat, Module, Mux, Signal, Value


def vector_flags(
    m: Module, take: Value, advance: Value, vector: tuple[int, int, int], stages: int
) -> Value:
    """Return (taken, first beat, last beat, index of its first code) `stages` cycles later.

    Parameters
    ----------
    take : high while a beat is transferred
    advance : registers load while this is high
    vector : beats, codes a beat, bits of an index
    """
    beats, codes, index_bits = vector
    base = Signal(index_bits)
    end = Signal()
    m.d.comb += end.eq(base == (beats - 1) * codes)
    if beats > 1:
        with m.If(take):
            m.d.sync += base.eq(Mux(end, 0, base + codes))
    flags: Value = Cat(take, base == 0, end, base)
    for stage in range(stages):
        held = Signal(len(flags), name=f"flags_s{stage + 1}")
        with m.If(advance):
            m.d.sync += held.eq(flags)
        flags = held
    return flags
