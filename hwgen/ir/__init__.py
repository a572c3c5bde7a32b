"""The graph of integer codes: values, operators' contract, verifier, text form, interpreter."""

from hwgen.ir.graph import IDENTIFIER, Graph, Input, Node, Scale
from hwgen.ir.layout import Layout, layout_of
from hwgen.ir.op import Codes, Cost, Op, Same, expect, frozen_codes
from hwgen.ir.schedule import FAR, Cycles, Schedule
from hwgen.ir.tensor_type import TensorType, union
from hwgen.ir.verifier import verify

__all__ = [
    "FAR",
    "IDENTIFIER",
    "Codes",
    "Cost",
    "Cycles",
    "Graph",
    "Input",
    "Layout",
    "Node",
    "Op",
    "Same",
    "Scale",
    "Schedule",
    "TensorType",
    "expect",
    "frozen_codes",
    "layout_of",
    "union",
    "verify",
]
