"""Shapes: the frame that enters, and nodes that only give it another shape.

The batch is walked as 1 whatever the file says: every supported node treats frames alike.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from onnx import ModelProto, NodeProto, TensorProto, ValueInfoProto

from hwgen.errors import FrontendError
from hwgen.frontend.constants import Constant, fold
from hwgen.frontend.reader import MAX_ELEMENTS


def frame_shape(value: ValueInfoProto) -> tuple[int, ...]:
    """Return the declared shape of the model's input, with batch 1."""
    kind = value.type.tensor_type
    if kind.elem_type != TensorProto.FLOAT:
        raise FrontendError("expected float32 frames, got another type; export with float inputs")
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
    if math.prod(sizes) > MAX_ELEMENTS:
        raise FrontendError(f"expected at most {MAX_ELEMENTS} numbers a frame, got {sizes[1:]}")
    return tuple(sizes)


def declared_batch(value: ValueInfoProto) -> int:
    """Return the batch size the file fixes, 0 when it leaves it open."""
    dims = value.type.tensor_type.shape.dim
    return dims[0].dim_value if dims else 0


def moved_shape(
    node: NodeProto,
    shape: tuple[int, ...],
    inputs: Sequence[Constant | None],
    model: ModelProto,
    batch: int,
) -> tuple[int, ...]:
    """Return the shape after a node that must keep the batch axis and the order of elements."""
    numbers = Constant(np.arange(math.prod(shape)).reshape(shape), node.input[0])
    known = list(inputs)
    known[0] = numbers
    target = known[1] if len(known) > 1 else None
    if node.op_type == "Reshape" and target is not None and target.value.size and batch > 1:
        sizes = target.value.copy()
        sizes.flat[0] = 1 if sizes.flat[0] == batch else sizes.flat[0]
        known[1] = Constant(sizes, target.name)
    moved = fold(node, known, model).value
    if moved.ndim < 2 or moved.shape[0] != 1:
        raise FrontendError(f"expected the batch axis to stay first, got shape {moved.shape}")
    if moved.size != numbers.value.size or not (moved.ravel() == numbers.value.ravel()).all():
        raise FrontendError("expected the order of elements to stay, got another order")
    return tuple(moved.shape)
