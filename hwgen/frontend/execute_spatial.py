"""ConvTranspose and DepthToSpace for the executor, where onnx's own evaluator is wrong.

onnx 1.23 leaves out channels of a ConvTranspose with groups, and takes a DepthToSpace without a
mode, as older operator sets have it, for CRD. Written as ONNX defines them: each number of the
image adds its kernel to the result.

Source: https://onnx.ai/onnx/operators/onnx__ConvTranspose.html, onnx__DepthToSpace.html
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
from onnx.reference.op_run import OpRun

Reals = npt.NDArray[np.float32]


class ConvTranspose(OpRun):  # type: ignore[misc]  # onnx is untyped
    """Of any rank, with groups."""

    op_domain = ""

    def _run(  # type: ignore[no-untyped-def]
        self, x, weights, bias=None, auto_pad=None, dilations=None, group=None, kernel_shape=None,
        output_padding=None, output_shape=None, pads=None, strides=None,
    ) -> tuple[Reals]:  # fmt: skip
        axes = x.ndim - 2
        strides, dilations = strides or [1] * axes, dilations or [1] * axes
        output_padding = output_padding or [0] * axes
        reaches = [(k - 1) * d for k, d in zip(weights.shape[2:], dilations, strict=True)]
        whole = [
            s * (n - 1) + p + r + 1
            for s, n, p, r in zip(strides, x.shape[2:], output_padding, reaches, strict=True)
        ]
        sums = _scattered(x, weights, whole, strides, dilations, group or 1)
        same = auto_pad in ("SAME_UPPER", "SAME_LOWER")
        if same or output_shape:
            kept = output_shape or [n * s for n, s in zip(x.shape[2:], strides, strict=True)]
            total = [max(n - k, 0) for n, k in zip(whole, kept, strict=True)]
            upper = auto_pad == "SAME_UPPER"
            begin = [t // 2 if upper else t - t // 2 for t in total]
        else:
            ends = [0] * (2 * axes) if auto_pad == "VALID" or not pads else pads
            begin = ends[:axes]
            kept = [n - a - b for n, a, b in zip(whole, begin, ends[axes:], strict=True)]
        window = [slice(b, b + k) for b, k in zip(begin, kept, strict=True)]
        beyond = [max(w.stop - n, 0) for w, n in zip(window, whole, strict=True)]
        padded = np.pad(sums, [(0, 0), (0, 0), *((0, more) for more in beyond)])
        y = padded[(slice(None), slice(None), *window)]
        if bias is not None:
            y = y + bias.reshape(-1, *(1,) * axes)
        return (y.astype(np.float32),)


def _scattered(
    x: Reals,
    weights: Reals,
    whole: Sequence[int],
    strides: Sequence[int],
    dilations: Sequence[int],
    groups: int,
) -> Reals:
    """Return the sums of all kernels, nothing cut off."""
    frames, channels, *sizes = x.shape
    each = weights.shape[1]
    y = np.zeros((frames, each * groups, *whole), dtype=np.float32)
    inputs = channels // groups
    for group in range(groups):
        part = x[:, group * inputs : (group + 1) * inputs]
        kernel = weights[group * inputs : (group + 1) * inputs]
        for tap in np.ndindex(*weights.shape[2:]):
            product = np.einsum("nc...,co->no...", part, kernel[(slice(None), slice(None), *tap)])
            places = (
                slice(t * d, t * d + (n - 1) * s + 1, s)
                for t, d, n, s in zip(tap, dilations, sizes, strides, strict=True)
            )
            y[(slice(None), slice(group * each, (group + 1) * each), *places)] += product
    return y


class DepthToSpace(OpRun):  # type: ignore[misc]  # onnx is untyped
    """Without a mode: DCR."""

    op_domain = ""

    def _run(self, x, blocksize=None, mode=None) -> tuple[Reals]:  # type: ignore[no-untyped-def]
        frames, channels, rows, columns = x.shape
        size, depth = blocksize, channels // blocksize**2
        if mode == "CRD":
            moved = x.reshape(frames, depth, size, size, rows, columns).transpose(0, 1, 4, 2, 5, 3)
        else:
            moved = x.reshape(frames, size, size, depth, rows, columns).transpose(0, 3, 4, 1, 5, 2)
        return (moved.reshape(frames, depth, rows * size, columns * size),)
