"""The operators on images once more, as loops over Python integers."""

from __future__ import annotations

from itertools import product

import numpy as np

from hwgen.ir import Op
from hwgen.ops.border_offset import BorderOffset
from hwgen.ops.depth_to_space import DepthOrder, DepthToSpace
from hwgen.ops.max_pool import MaxPool
from hwgen.ops.pad import Pad
from hwgen.ops.reshape import Reshape
from hwgen.ops.slice import Slice
from hwgen.ops.sliding_window import SlidingWindow
from hwgen.ops.sum_pool import SumPool
from hwgen.ops.upsample import Upsample

Image = list  # [H][W][C]


def tap(image: Image, row: int, column: int) -> list[int] | None:
    """The pixel, None outside."""
    inside = 0 <= row < len(image) and 0 <= column < len(image[0])
    return image[row][column] if inside else None


def windows(op: Op, image: Image) -> list[list[list[list[int] | None]]]:
    """The taps [OH][OW][KH * KW] of each window; None in the padding."""
    top, left, bottom, right = op.padding
    dilation = getattr(op, "dilation", (1, 1))
    result = []
    first_row = -top
    while first_row + dilation[0] * (op.kernel[0] - 1) < len(image) + bottom:
        result.append([])
        first_column = -left
        while first_column + dilation[1] * (op.kernel[1] - 1) < len(image[0]) + right:
            result[-1].append(
                [
                    tap(image, first_row + kh * dilation[0], first_column + kw * dilation[1])
                    for kh, kw in product(range(op.kernel[0]), range(op.kernel[1]))
                ]
            )
            first_column += op.stride[1]
        first_row += op.stride[0]
    return result


def sliced(part: list, bounds: list[tuple[int, int, int]]) -> list:
    picked = [part[k] for k in range(*bounds[0])]
    return [sliced(inner, bounds[1:]) for inner in picked] if bounds[1:] else picked


def flat(part: list) -> list[int]:
    return [v for inner in part for v in (flat(inner) if isinstance(inner, list) else [inner])]


def nested(codes: list[int], shape: tuple[int, ...]) -> list:
    if len(shape) == 1:
        return codes
    each = len(codes) // shape[0]
    return [nested(codes[k * each : (k + 1) * each], shape[1:]) for k in range(shape[0])]


def padded(op: Pad, image: Image) -> Image:
    top, left, bottom, right = op.padding
    border = [op.pad_code] * len(image[0][0])
    return [
        [tap(image, r, c) or border for c in range(-left, len(image[0]) + right)]
        for r in range(-top, len(image) + bottom)
    ]


def blocks(op: DepthToSpace, image: Image) -> Image:
    """Spread the channels of each pixel over a block, as ONNX's two modes count them."""
    rows, columns = op.blocks
    channels = len(image[0][0]) // (rows * columns)
    result = []
    for r in range(len(image) * rows):
        result.append([])
        for c in range(len(image[0]) * columns):
            pixel, phase = image[r // rows][c // columns], r % rows * columns + c % columns
            if op.order is DepthOrder.PHASES_FIRST:
                codes = [pixel[phase * channels + k] for k in range(channels)]
            else:
                codes = [pixel[k * rows * columns + phase] for k in range(channels)]
            result[-1].append(codes)
    return result


def naive_image(op: Op, image: Image) -> Image | None:
    """Apply `op` to one image; None for an operator that works on vectors."""
    match op:
        case SlidingWindow():
            padding = [op.pad_code] * len(image[0][0])
            return [
                [[v for pixel in taps for v in (pixel or padding)] for taps in row]
                for row in windows(op, image)
            ]
        case BorderOffset():
            rows, columns, offsets = (v.tolist() for v in (op.rows, op.columns, op.offsets))
            return [
                [
                    [v + o for v, o in zip(pixel, offsets[r][c], strict=True)]
                    for pixel, c in zip(row, columns, strict=True)
                ]
                for row, r in zip(image, rows, strict=True)
            ]
        case Slice():
            return sliced(image, list(zip(op.begin, op.end, op.step, strict=True)))
        case Reshape():
            return nested(flat(image), op.shape)
        case Pad():
            return padded(op, image)
        case Upsample():
            down, across = op.factors
            return [
                [pixel for pixel in row for _ in range(across)]
                for row in image
                for _ in range(down)
            ]
        case DepthToSpace():
            return blocks(op, image)
        case MaxPool() | SumPool():
            channels = range(len(image[0][0]))
            pool = max if isinstance(op, MaxPool) else sum
            return [
                [[pool(pixel[c] for pixel in taps if pixel) for c in channels] for taps in row]
                for row in windows(op, image)
            ]
    return None


def naive_images(op: Op, codes: np.ndarray) -> np.ndarray | None:
    """Apply `op` to frames of images."""
    out = [naive_image(op, frame) for frame in codes.tolist()]
    return None if out[0] is None else np.array(out, dtype=np.int64)
