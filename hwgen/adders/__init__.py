"""Adder graphs: constant matrix-vector products from as few bits of adders as can be found."""

from hwgen.adders.cache import cached_solve
from hwgen.adders.depth import worthwhile_depth
from hwgen.adders.fabric import FABRICS, Fabric
from hwgen.adders.graph import Adder, AdderGraph, Operand, Output
from hwgen.adders.retime import place_registers, shortest_period_ps
from hwgen.adders.solve import SolveOptions, solve
from hwgen.adders.stages import Stages, level_stages
from hwgen.adders.start import minimum_depth, roomy_depth
from hwgen.adders.target import (
    DSP48E1,
    DSP48E2,
    MULT18X18D,
    MULTIPLIERS,
    SB_MAC16,
    TERNARY_FAMILIES,
    AdderTarget,
    MultiplierShape,
)

__all__ = [
    "DSP48E1",
    "DSP48E2",
    "FABRICS",
    "MULT18X18D",
    "MULTIPLIERS",
    "SB_MAC16",
    "TERNARY_FAMILIES",
    "Adder",
    "AdderGraph",
    "AdderTarget",
    "Fabric",
    "MultiplierShape",
    "Operand",
    "Output",
    "SolveOptions",
    "Stages",
    "cached_solve",
    "level_stages",
    "minimum_depth",
    "place_registers",
    "roomy_depth",
    "shortest_period_ps",
    "solve",
    "worthwhile_depth",
]
