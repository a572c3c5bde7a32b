"""The graph of integer codes: values, operators' contract, verifier, text form, interpreter."""

from hwgen.ir.graph import IDENTIFIER, Graph, Input, Node, Scale
from hwgen.ir.op import Codes, Cost, Op, expect, frozen_codes
from hwgen.ir.schedule import Schedule
from hwgen.ir.tensor_type import TensorType, union
from hwgen.ir.verifier import verify

__all__ = [
    "IDENTIFIER",
    "Codes",
    "Cost",
    "Graph",
    "Input",
    "Node",
    "Op",
    "Scale",
    "Schedule",
    "TensorType",
    "expect",
    "frozen_codes",
    "union",
    "verify",
]
