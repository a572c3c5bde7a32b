"""Shapes of the frames that enter.

The batch is walked as 1 whatever the file says: every supported node treats frames alike.
"""

from __future__ import annotations

import math

from onnx import TensorProto, ValueInfoProto

from hwgen.errors import FrontendError
from hwgen.numeric import CodeType

INTEGER_INPUTS = {
    TensorProto.INT8: CodeType(-(1 << 7), (1 << 7) - 1),
    TensorProto.UINT8: CodeType(0, (1 << 8) - 1),
    TensorProto.INT16: CodeType(-(1 << 15), (1 << 15) - 1),
    TensorProto.UINT16: CodeType(0, (1 << 16) - 1),
}
MAX_FRAME_ELEMENTS = 1 << 24


def frame_shape(value: ValueInfoProto) -> tuple[int, ...]:
    """Return the declared shape of the model's input, with batch 1."""
    kind = value.type.tensor_type
    if kind.elem_type != TensorProto.FLOAT and kind.elem_type not in INTEGER_INPUTS:
        raise FrontendError(
            "expected frames of float32 or of integers of 8 or 16 bits, got another type; export "
            "with float inputs"
        )
    if not kind.HasField("shape") or len(kind.shape.dim) < 2:
        rank = len(kind.shape.dim)
        raise FrontendError(
            f"expected a batch axis and at least one more, got {rank} axes; export with a batch"
        )
    sizes = [1]
    for axis, dim in enumerate(kind.shape.dim[1:], start=1):
        if not dim.HasField("dim_value") or dim.dim_value < 1:
            name = dim.dim_param or dim.dim_value
            raise FrontendError(
                f"dynamic shape: expected a fixed size on axis {axis}, got {name!r}; "
                "only the batch may be dynamic"
            )
        sizes.append(dim.dim_value)
    if math.prod(sizes) > MAX_FRAME_ELEMENTS:
        raise FrontendError(
            f"expected at most {MAX_FRAME_ELEMENTS} numbers a frame, got {sizes[1:]}; cut it up"
        )
    return tuple(sizes)


def declared_batch(value: ValueInfoProto) -> int:
    """Return the batch size the file fixes, 0 when it leaves it open."""
    dims = value.type.tensor_type.shape.dim
    return dims[0].dim_value if dims else 0


def integer_input(value: ValueInfoProto) -> CodeType | None:
    """Return the range of an input of integers, None where it is one of real numbers."""
    return INTEGER_INPUTS.get(value.type.tensor_type.elem_type)
