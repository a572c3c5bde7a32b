"""The operators on images once more, as loops over Python integers."""

from __future__ import annotations

from itertools import product

import numpy as np

from hwgen.ir import Op
from hwgen.ops.sliding_window import SlidingWindow

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


def naive_image(op: Op, image: Image) -> Image | None:
    """Apply `op` to one image; None for an operator that works on vectors."""
    channels = range(len(image[0][0])) if isinstance(image[0], list) else range(0)
    match op:
        case SlidingWindow():
            padding = [op.pad_code for _ in channels]
            return [
                [[v for pixel in taps for v in (pixel or padding)] for taps in row]
                for row in windows(op, image)
            ]
    return None


def naive_images(op: Op, codes: np.ndarray) -> np.ndarray | None:
    """Apply `op` to frames of images."""
    out = [naive_image(op, frame) for frame in codes.tolist()]
    return None if out[0] is None else np.array(out, dtype=np.int64)
