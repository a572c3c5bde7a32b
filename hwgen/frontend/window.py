"""Windows of convolutions and pools: an ONNX node's attributes as rows and columns.

Source: https://onnx.ai/onnx/operators/onnx__Conv.html, onnx__MaxPool.html (auto_pad, ceil_mode)
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from hwgen.errors import FrontendError

Pair = tuple[int, int]

MAX_NUMBER = 1 << 16  # of each attribute; more is a broken file


@dataclass(frozen=True)
class Window:
    """A kernel sliding over an image; a sequence is an image of one row.

    Parameters
    ----------
    kernel, stride, dilation : (rows, columns)
    padding : (top, left, bottom, right)
    """

    kernel: Pair
    stride: Pair
    dilation: Pair
    padding: tuple[int, int, int, int]

    def sizes(self, image: Pair) -> Pair:
        """Return how many windows fit in rows and columns."""
        rows, columns = (
            (image[axis] + self.padding[axis] + self.padding[axis + 2] - self.reach(axis))
            // self.stride[axis]
            + 1
            for axis in (0, 1)
        )
        return rows, columns

    def reach(self, axis: int) -> int:
        """Return the pixels from a window's first to its last along `axis`."""
        return (self.kernel[axis] - 1) * self.dilation[axis] + 1


def window_of(
    attributes: Mapping[str, object], image: Pair, axes: int, kernel: Sequence[int]
) -> Window:
    """Return the window that a node's attributes describe.

    Parameters
    ----------
    attributes : strides, dilations, pads, auto_pad, ceil_mode
    image : (rows, columns)
    axes : 2 for images, 1 for sequences, whose one axis is the columns
    kernel : as the node gives it, a number an axis

    Raises
    ------
    FrontendError : naming the attribute that makes no sense
    """
    sizes = numbers("kernel_shape", kernel, axes)
    strides = numbers("strides", attributes.get("strides", (1,) * axes), axes)
    dilations = numbers("dilations", attributes.get("dilations", (1,) * axes), axes)
    # A kernel of one tap has no distance between taps.
    dilations = [d if size > 1 else 1 for d, size in zip(dilations, sizes, strict=True)]
    reaches = [(size - 1) * d + 1 for size, d in zip(sizes, dilations, strict=True)]
    begin, end = _padding(attributes, image[2 - axes :], strides, reaches)
    if attributes.get("ceil_mode"):
        end = [
            last + _ceil_padding(size, first + last, first, stride, reach)
            for size, first, last, stride, reach in zip(
                image[2 - axes :], begin, end, strides, reaches, strict=True
            )
        ]
    for size, first, last, reach in zip(image[2 - axes :], begin, end, reaches, strict=True):
        if reach > first + size + last:
            raise FrontendError(
                f"expected a kernel within its image, got one that reaches over {reach} of "
                f"{first + size + last} pixels; make it smaller or the padding larger"
            )
    return Window(
        _pair(sizes, 1), _pair(strides, 1), _pair(dilations, 1), (*_pair(begin, 0), *_pair(end, 0))
    )


def _pair(values: Sequence[int], missing: int) -> Pair:
    return (missing, values[0]) if len(values) == 1 else (values[0], values[1])


def numbers(name: str, value: object, count: int, least: int = 1) -> list[int]:
    """Return attribute `name` checked: `count` integers of at least `least`."""
    if (
        not isinstance(value, Sequence)
        or len(value) != count
        or not all(isinstance(v, int) and least <= v <= MAX_NUMBER for v in value)
    ):
        raise FrontendError(
            f"expected {count} integers {least}..{MAX_NUMBER} as {name}, got {value!r}"
        )
    return list(value)


def _padding(
    attributes: Mapping[str, object], image: Sequence[int], strides: list[int], reaches: list[int]
) -> tuple[list[int], list[int]]:
    """Return the padding before and behind each axis."""
    mode = attributes.get("auto_pad", b"NOTSET")
    axes = len(image)
    if mode in (b"SAME_UPPER", b"SAME_LOWER"):
        total = [
            max((-(-size // stride) - 1) * stride + reach - size, 0)
            for size, stride, reach in zip(image, strides, reaches, strict=True)
        ]
        less, more = [t // 2 for t in total], [t - t // 2 for t in total]
        return (less, more) if mode == b"SAME_UPPER" else (more, less)
    if mode == b"VALID":
        return [0] * axes, [0] * axes
    if mode != b"NOTSET":
        raise FrontendError(f"expected auto_pad NOTSET, VALID or SAME_*, got {mode!r}")
    pads = numbers("pads", attributes.get("pads", (0,) * (2 * axes)), 2 * axes, least=0)
    return pads[:axes], pads[axes:]


def _ceil_padding(size: int, padding: int, before: int, stride: int, reach: int) -> int:
    """Return the padding that lets one more window fit, unless it would start behind the image."""
    room = size + padding - reach
    rest = -room % stride
    starts = room + rest
    return rest if rest and starts < before + size else 0
