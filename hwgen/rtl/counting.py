"""Counters that wrap where their range ends."""

from __future__ import annotations

from amaranth import Const, Mux, Signal, Value


def following(counter: Signal, is_last: Value) -> Value:
    """Return the next value of `counter`, zero behind the last, in the width it has."""
    width = len(counter)
    return Mux(is_last, Const(0, width), (counter + 1)[:width])
