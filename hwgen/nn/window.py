"""Sliding windows of convolutions and pools: their ONNX attributes and the sizes they give."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from torch import nn

from hwgen.errors import ExportError

Sizes = int | tuple[int, ...]


@dataclass(frozen=True)
class Window:
    """One number an axis each; `begins` and `ends` are the padding on both sides."""

    kernel: tuple[int, ...]
    strides: tuple[int, ...]
    dilations: tuple[int, ...]
    begins: tuple[int, ...]
    ends: tuple[int, ...]

    def attributes(self) -> dict[str, Sequence[int]]:
        """Return the attributes of ONNX's Conv and MaxPool; AveragePool has no dilations yet."""
        return {
            "kernel_shape": self.kernel,
            "strides": self.strides,
            "dilations": self.dilations,
            "pads": self.begins + self.ends,
        }

    def sizes(self, name: str, inputs: tuple[int, ...]) -> tuple[int, ...]:
        """Return the sizes of the result; none where those of the input are unknown."""
        spans = [d * (k - 1) + 1 for k, d in zip(self.kernel, self.dilations, strict=True)]
        found = tuple(
            (size + self.begins[i] + self.ends[i] - spans[i]) // self.strides[i] + 1
            for i, size in enumerate(inputs)
        )
        if any(size < 1 for size in found):
            raise ExportError(
                f"{name}: expected an input of at least {spans} numbers with its padding, got "
                f"{list(inputs)}; give a larger example or a smaller kernel"
            )
        return found


def convolution_window(layer: nn.Conv1d | nn.Conv2d) -> Window:
    """Return the window of a convolution."""
    axes = len(layer.kernel_size)
    if layer.padding == "same":
        # torch.nn puts the odd one behind.
        total = [d * (k - 1) for k, d in zip(layer.kernel_size, layer.dilation, strict=True)]
        begins = tuple(t // 2 for t in total)
        ends = tuple(t - t // 2 for t in total)
    else:
        begins = ends = (0,) * axes if layer.padding == "valid" else _each(layer.padding, axes)
    return Window(
        tuple(layer.kernel_size), tuple(layer.stride), tuple(layer.dilation), begins, ends
    )


def pool_window(
    layer: nn.MaxPool1d | nn.MaxPool2d | nn.AvgPool1d | nn.AvgPool2d, axes: int
) -> Window:
    """Return the window of a pool."""
    dilation = 1 if isinstance(layer, nn.AvgPool1d | nn.AvgPool2d) else layer.dilation
    padding = _each(layer.padding, axes)
    return Window(
        _each(layer.kernel_size, axes),
        _each(layer.stride, axes),
        _each(dilation, axes),
        padding,
        padding,
    )


def _each(value: object, axes: int) -> tuple[int, ...]:
    if isinstance(value, int):
        return (value,) * axes
    if isinstance(value, tuple | list):
        return tuple(int(v) for v in value)
    raise ExportError(f"expected an integer or one for each axis, got {value!r}")
