"""Adder graphs: constant matrix-vector products from as few bits of adders as can be found."""

from hwgen.adders.cache import cached_solve
from hwgen.adders.graph import Adder, AdderGraph, Output
from hwgen.adders.solve import SolveOptions, solve
from hwgen.adders.start import minimum_depth
from hwgen.adders.target import AdderTarget

__all__ = [
    "Adder",
    "AdderGraph",
    "AdderTarget",
    "Output",
    "SolveOptions",
    "cached_solve",
    "minimum_depth",
    "solve",
]
