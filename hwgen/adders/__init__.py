"""Adder graphs: constant matrix-vector products from as few bits of adders as can be found."""

from hwgen.adders.cache import cached_solve
from hwgen.adders.graph import Adder, AdderGraph, Operand, Output
from hwgen.adders.solve import SolveOptions, solve
from hwgen.adders.start import minimum_depth
from hwgen.adders.target import (
    DSP48E1,
    DSP48E2,
    MULT18X18D,
    MULTIPLIERS,
    AdderTarget,
    MultiplierShape,
)

__all__ = [
    "DSP48E1",
    "DSP48E2",
    "MULT18X18D",
    "MULTIPLIERS",
    "Adder",
    "AdderGraph",
    "AdderTarget",
    "MultiplierShape",
    "Operand",
    "Output",
    "SolveOptions",
    "cached_solve",
    "minimum_depth",
    "solve",
]
