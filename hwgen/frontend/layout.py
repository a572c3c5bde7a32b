"""Where elements go: nodes that only move or choose them, and the orders that hardware streams.

Such a node is executed on the places of the elements instead of the elements; whatever it does is
then known exactly, and no transposition goes unnoticed.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from onnx import ModelProto, NodeProto

from hwgen.errors import FrontendError
from hwgen.frontend.constants import Constant, fold
from hwgen.frontend.flow import Flow
from hwgen.frontend.reader import MAX_ELEMENTS
from hwgen.frontend.window import Pair
from hwgen.ir import Codes

Image = tuple[int, int, int]  # rows, columns, channels


def image_order(shape: Image, rank: int) -> Codes:
    """Return the order of an ONNX tensor (1, C, H, W), or of rank 3 (1, C, L), channels last."""
    rows, columns, channels = shape
    if rows * columns * channels > MAX_ELEMENTS:
        raise FrontendError(f"expected at most {MAX_ELEMENTS} numbers a frame, got {list(shape)}")
    places = np.arange(rows * columns * channels).reshape(rows, columns, channels)
    moved = places.transpose(2, 0, 1)[None]
    return moved if rank == 4 else moved.reshape(1, channels, -1)


def channels_last(tensor: Codes) -> Codes:
    """Return an ONNX tensor (1, C, H, W) or (1, C, L) as (H, W, C)."""
    image = tensor[0] if tensor.ndim == 4 else tensor[0][:, None]
    return np.asarray(image.transpose(1, 2, 0))


def image_of(flow: Flow) -> Image:
    """Return rows, columns and channels of a tensor (1, C, H, W) or (1, C, L).

    Raises
    ------
    FrontendError : when it is no image, or streams in another order
    """
    shape = flow.shape
    if len(shape) not in (3, 4):
        raise FrontendError(
            f"expected an image (N, C, H, W) or a sequence (N, C, L), got shape {shape}; "
            "reshape it or use the layer for vectors"
        )
    image = (1 if len(shape) == 3 else shape[2], shape[-1], shape[1])
    if not np.array_equal(flow.order, image_order(image, len(shape))):
        raise FrontendError(
            f"expected a tensor {shape} that streams pixel by pixel with its axis 1 innermost, got "
            "one in another order; remove the Transpose or Reshape before it"
        )
    return image


def vectors_of(flow: Flow, size: int) -> Codes:
    """Return the place of each element in its vector, for a tensor whose last axis is a vector.

    Raises
    ------
    FrontendError : when the last axis has another size, or does not stream as a whole
    """
    if flow.shape[-1] != size:
        raise FrontendError(
            f"expected a vector of {size} numbers a frame, got {flow.shape[1:]}; try Flatten"
        )
    rows = flow.order.reshape(-1, size)
    first = rows[0] - rows[0].min()
    straight = size * np.arange(len(rows))[:, None] + first
    if first.max() != size - 1 or not (rows == straight).all():
        raise FrontendError(
            f"expected the last axis of {flow.shape} to stream as a whole, got another order; "
            "remove the Transpose before it"
        )
    return np.asarray(first, dtype=np.int64)


def moved_order(
    node: NodeProto,
    order: Codes,
    inputs: Sequence[Constant | None],
    model: ModelProto,
    batch: int,
) -> Codes:
    """Return the order after a node that moves elements and must keep frames apart."""
    known = list(inputs)
    target = known[1] if len(known) > 1 else None
    # A Reshape may name the batch, and then fits one frame only; others see two.
    frames = 1 if node.op_type == "Reshape" else 2
    if node.op_type == "Reshape" and target is not None and target.value.size and batch > 1:
        sizes = target.value.copy()
        sizes.flat[0] = 1 if sizes.flat[0] == batch else sizes.flat[0]
        known[1] = Constant(sizes, target.name)
    both = np.concatenate([order + k * order.size for k in range(frames)])
    known[0] = Constant(both, node.input[0])
    moved = fold(node, known, model).value
    if moved.ndim < 2 or moved.shape[0] != frames:
        raise FrontendError(f"expected the batch axis to stay first, got shape {moved.shape}")
    if frames == 2 and not (moved[1] == moved[0] + order.size).all():
        raise FrontendError("expected frames to stay apart, got them mixed; keep the batch axis")
    if moved.size != both.size:
        raise FrontendError(f"expected all elements to stay, got shape {moved.shape}")
    return np.asarray(moved[:1])


def chosen_order(
    node: NodeProto, flow: Flow, inputs: Sequence[Constant | None], model: ModelProto, output: int
) -> Codes:
    """Return the places of the elements that output `output` of a Slice, Split or Gather keeps."""
    size = flow.order.size
    known = list(inputs)
    known[0] = Constant(np.concatenate([flow.order, flow.order + size]), node.input[0])
    moved = fold(node, known, model, output).value
    if moved.ndim < 1 or moved.shape[0] != 2 or not (moved[1] == moved[0] + size).all():
        raise FrontendError("expected all frames to be treated alike; keep the batch axis whole")
    if moved.size == 0:
        raise FrontendError(f"expected at least one element, got shape {moved.shape}")
    return np.asarray(moved[:1])


def spatial(image: Image) -> Pair:
    """Return rows and columns."""
    return image[0], image[1]
