"""Which nodes have a meaning for tensors of integers, and for sums that wait for a quantizer."""

from __future__ import annotations

from collections.abc import Sequence

from onnx import NodeProto

from hwgen.errors import FrontendError
from hwgen.frontend.boxes import READ_INTEGERS
from hwgen.frontend.constants import MOVES
from hwgen.frontend.flow import Flow
from hwgen.frontend.nodes import TRANSLATORS
from hwgen.frontend.quantize import QUANTIZERS

INTEGERS = READ_INTEGERS | MOVES | {"output"}
SUMS = MOVES | TRANSLATORS.keys() | QUANTIZERS


def expect_readable(node: NodeProto, flows: Sequence[Flow]) -> None:
    """Check that `node` has a meaning for tensors of integers and for sums not yet quantized."""
    if any(flow.zero_point is not None for flow in flows) and node.op_type not in INTEGERS:
        raise FrontendError(
            f"expected real numbers, got the integers of {flows[0].source!r}; put a "
            "DequantizeLinear in front"
        )
    if any(flow.summands for flow in flows) and (node.op_type not in SUMS or len(flows) > 1):
        raise FrontendError(
            f"expected a quantizer after the sum of tensors with different scales, got "
            f"{node.op_type!r} after {flows[0].ending()}; put a QuantizeLinear or Quant there"
        )
