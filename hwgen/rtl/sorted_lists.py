"""`merged`: the first of two sorted lists of codes, by comparing all pairs.

Source: Knuth, The Art of Computer Programming 3, section 5.2.4.
"""

from __future__ import annotations

from typing import NamedTuple

from amaranth import Cat, Const, Module, Mux, Signal, Value


class Contender(NamedTuple):
    """A code, its position in the vector, and whether there is one at all."""

    code: Value
    position: Value
    exists: Value


def merged(
    m: Module, a: list[Contender], b: list[Contender], most: int, signed: bool, name: str
) -> list[Contender]:
    """Return the first `most` of two lists, the largest first; of equal codes those of `a` do.

    Exactly one contender is in each place: a[p] in place p + q when b[q - 1] beats it and b[q]
    does not, so what the loop of a running best goes through is a comparison and one choice.

    Parameters
    ----------
    a, b : sorted; what does not exist is at the end of `a`, all of `b` exists
    signed : whether codes are
    name : of the comparisons' signals
    """
    beats = [[Signal(name=f"beats_{name}_{q}_{p}") for p in range(len(a))] for q in range(len(b))]
    for q, new in enumerate(b):
        for p, old in enumerate(a):
            m.d.comb += beats[q][p].eq(_larger(new.code, old.code, signed) | ~old.exists)
    places = []
    for place in range(min(len(a) + len(b), most)):
        chosen: list[tuple[Value, Contender]] = []
        for p, old in enumerate(a[: place + 1]):
            q = place - p
            if q <= len(b):
                loses = beats[q - 1][p] if q else Const(1, 1)
                stays = ~beats[q][p] if q < len(b) else Const(1, 1)
                chosen.append((loses & stays, old))
        for q, new in enumerate(b[: place + 1]):
            p = place - q
            if p <= len(a):
                wins = beats[q][p] if p < len(a) else Const(1, 1)
                waits = ~beats[q][p - 1] if p else Const(1, 1)
                chosen.append((wins & waits, new))
        places.append(_one_of(chosen))
    return places


def held(m: Module, load: Value, contenders: list[Contender], name: str) -> list[Contender]:
    """Return registers of contenders that all exist, loaded while `load` is high."""
    registers = []
    for place, (code, index, exists) in enumerate(contenders):
        register = Contender(
            Signal(len(code), name=f"{name}_code{place}"),
            Signal(len(index), name=f"{name}_position{place}"),
            exists,
        )
        with m.If(load):
            m.d.sync += Cat(register.code, register.position).eq(Cat(code, index))
        registers.append(register)
    return registers


def _larger(a: Value, b: Value, signed: bool) -> Value:
    return a.as_signed() > b.as_signed() if signed else a > b


def _one_of(chosen: list[tuple[Value, Contender]]) -> Contender:
    """Return the contender whose condition holds; exactly one does."""
    condition, (code, index, exists) = chosen[0]
    code, index, exists = Mux(condition, code, 0), Mux(condition, index, 0), condition & exists
    for condition, contender in chosen[1:]:
        code = code | Mux(condition, contender.code, 0)
        index = index | Mux(condition, contender.position, 0)
        exists = exists | (condition & contender.exists)
    return Contender(code, index, exists)
