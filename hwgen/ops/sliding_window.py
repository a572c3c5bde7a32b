"""Sliding window: an image becomes the patches that a convolution's kernel sees.

The convolution itself is a matrix-vector product over the last axis of the result; its weight
matrix is [O, KH * KW * C], kernel position major. A kernel as large as the image is no window but
`reshape`.

Source: Chellapilla et al., High performance convolutional neural networks for document
processing, IWFHR 2006 (lowering); Umuroglu et al., FINN, FPGA 2017, section 4.2.3.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import ClassVar

import numpy as np

from hwgen.cost import Resources
from hwgen.ir import Codes, Op, Schedule, TensorType, expect
from hwgen.numeric import CodeType
from hwgen.ops.case import Case, Reject
from hwgen.rtl.memory import memory_resources
from hwgen.rtl.spatial import line_buffer
from hwgen.rtl.spatial.geometry import Geometry, expect_lanes
from hwgen.rtl.spatial.line_buffer import LineBuffer
from hwgen.rtl.spatial.selection import Selection
from hwgen.rtl.spatial.window_plan import WindowPlan
from hwgen.rtl.stream.component import StreamComponent


@dataclass(frozen=True, eq=False)
class SlidingWindow(Op):
    """Turn an image (H, W, C) into windows (OH, OW, KH * KW * C).

    Parameters
    ----------
    kernel, stride, dilation : (rows, columns)
    padding : (top, left, bottom, right)
    pad_code : code outside the image; bipolar images have no 0, so they need -1 or +1
    pe : codes a beat, a divisor of C
    """

    # what
    name: ClassVar[str] = "sliding_window"
    kernel: tuple[int, int]
    stride: tuple[int, int] = (1, 1)
    dilation: tuple[int, int] = (1, 1)
    padding: tuple[int, int, int, int] = (0, 0, 0, 0)
    pad_code: int = 0
    pe: int = 1

    def infer(self, *inputs: TensorType) -> TensorType:
        """Taps that may fall into the padding also hold `pad_code`."""
        (x,) = inputs
        geometry = self.geometry(x)
        expect_lanes(self.pe, x.channels)
        expect(
            self.kernel != (1, 1) or self.stride != (1, 1),
            "a 1x1 kernel with stride 1 changes nothing, use no window",
        )
        expect(
            self.kernel != (1, 1) or not any(self.padding),
            "a 1x1 kernel has padding, use pad and slice",
        )
        expect(
            geometry.windows > 1 or self.kernel != x.shape[:2],
            "the kernel covers the whole image, use reshape",
        )
        kinds = self._tap_codes(geometry, x)
        shape = (geometry.rows.windows, geometry.columns.windows, geometry.taps * x.channels)
        return TensorType(shape, self._padded(x.codes) if any(self.padding) else x.codes, kinds)

    def geometry(self, x: TensorType) -> Geometry:
        """Return where the taps fall on image `x`."""
        return Geometry.over(x, self.kernel, self.stride, self.dilation, self.padding)

    def _padded(self, codes: CodeType) -> CodeType:
        if codes.bipolar:
            expect(
                abs(self.pad_code) == 1,
                f"pad_code is {self.pad_code}, a bipolar image takes -1 or 1; for zeros, give it "
                "the codes -1..1",
            )
            return codes
        return CodeType(min(codes.lo, self.pad_code), max(codes.hi, self.pad_code))

    def _tap_codes(self, geometry: Geometry, x: TensorType) -> tuple[CodeType, ...] | None:
        if x.channel_codes is None:
            return None
        own = x.channel_codes
        padded = tuple(self._padded(codes) for codes in own) if any(self.padding) else own
        taps = (padded if flag else own for flag in geometry.padded_taps)
        return tuple(codes for tap in taps for codes in tap)

    # meaning
    def evaluate(self, *codes: Codes) -> Codes:
        """Gather the taps of every window."""
        (x,) = codes
        kind = TensorType(x.shape[1:], CodeType(-1, 1))
        geometry = self.geometry(kind)
        rows, columns = geometry.rows.taps(), geometry.columns.taps()
        top, left, bottom, right = self.padding
        room = ((0, 0), (top, bottom), (left, right), (0, 0))
        padded = np.pad(x, room, constant_values=self.pad_code)
        # [frames, OH, KH, OW, KW, C] -> [frames, OH, OW, KH, KW, C]
        taps = padded[:, (rows + top)[:, :, None, None], (columns + left)[None, None]]
        windows = taps.transpose(0, 1, 3, 2, 4, 5)
        return windows.reshape(*windows.shape[:3], -1)

    # promise
    @property
    def lanes(self) -> tuple[int, int]:
        """Codes in an input beat and in an output beat."""
        return self.pe, self.pe

    def schedule(self, *inputs: TensorType) -> Schedule:
        """The line buffer's program; a 1x1 kernel takes all and gives some."""
        (x,) = inputs
        if self.kernel == (1, 1):
            chosen = _chosen(self.geometry(x))
            gives = np.repeat(chosen[0][:, None] & chosen[1][None], x.channels // self.pe)
            return Schedule(np.ones(len(gives), dtype=bool), gives, 1)
        takes, gives = self._plan(x).program
        return Schedule(takes, gives, line_buffer.DEPTH)

    def _plan(self, x: TensorType) -> WindowPlan:
        return _plan_of(self.geometry(x), x.channels // self.pe)

    def resources(self, *inputs: TensorType) -> Resources:
        """Predict the line memory and its counters."""
        (x,) = inputs
        bits = self.pe * x.codes.width
        if self.kernel == (1, 1):
            return Resources(lut=4 + sum(x.shape[:2]) / 16, ff=bits + 10)
        depth = self._plan(x).depth_pixels * (x.channels // self.pe)
        address, padding = depth.bit_length(), bits if any(self.padding) else 0
        control = Resources(lut=70 + 7 * address + padding, ff=45 + 4 * address)
        # Tools keep memories that are written in LUTs for longer than read-only ones.
        return memory_resources(depth, bits, distributed=depth * bits <= 2048) + control

    def memory_bits(self, *inputs: TensorType) -> int:
        """Bits of the pixels kept."""
        (x,) = inputs
        if self.kernel == (1, 1):
            return 0
        return self._plan(x).depth_pixels * x.channels * x.codes.width

    # hardware
    def hardware(self, *inputs: TensorType) -> StreamComponent:
        """Return the line buffer, or for a 1x1 kernel a selection of pixels."""
        (x,) = inputs
        out = self.infer(x)
        if self.kernel == (1, 1):
            every = np.ones(x.channels // self.pe, dtype=bool)
            return Selection((*_chosen(self.geometry(x)), every), x.codes, self.pe)
        return LineBuffer(self._plan(x), x.codes, out.codes, self.pad_code, self.pe)


def _chosen(geometry: Geometry) -> tuple[np.ndarray, np.ndarray]:
    """Return which rows and columns a 1x1 kernel picks."""
    axes = []
    for axis in (geometry.rows, geometry.columns):
        chosen = np.zeros(axis.size, dtype=bool)
        chosen[axis.taps().ravel()] = True
        axes.append(chosen)
    return axes[0], axes[1]


@lru_cache(maxsize=256)
def _plan_of(geometry: Geometry, groups: int) -> WindowPlan:
    """Return the plan, computed once: schedule, cost and hardware all ask for it."""
    return WindowPlan(geometry, groups)


def _image(*shape: int, lo: int = -4, hi: int = 3) -> TensorType:
    return TensorType(shape, CodeType(lo, hi))


def _cases() -> tuple[Case, ...]:
    same = (1, 1, 1, 1)
    channels = TensorType((4, 4, 2), CodeType(0, 9), (CodeType(3, 9), CodeType(0, 2)))
    bits = TensorType((3, 4, 2), CodeType.binary())
    return (
        *(Case(SlidingWindow((3, 3), pe=pe), (_image(4, 5, 4),)) for pe in (2, 4)),
        *(Case(SlidingWindow((3, 3), padding=same, pe=pe), (_image(3, 4, 2),)) for pe in (1, 2)),
        Case(SlidingWindow((3, 3), (2, 2), padding=(0, 0, 1, 1), pe=2), (_image(6, 6, 2),)),
        Case(SlidingWindow((3, 3), (2, 2)), (_image(6, 8, 1),)),
        Case(SlidingWindow((3, 2), (2, 1), (1, 2), (1, 0, 0, 2), pe=2), (_image(6, 5, 2),)),
        Case(SlidingWindow((2, 2), (2, 2)), (_image(6, 7, 2),)),
        Case(SlidingWindow((2, 3), (3, 4)), (_image(8, 9, 1),)),
        Case(SlidingWindow((1, 5), padding=(0, 4, 0, 0), pe=3), (_image(1, 9, 3),)),
        Case(SlidingWindow((1, 3), (1, 2), (1, 3)), (_image(1, 12, 1),)),
        Case(SlidingWindow((3, 1), padding=(1, 0, 1, 0)), (_image(5, 1, 2),)),
        Case(SlidingWindow((3, 3), padding=same), (_image(1, 1, 1),)),
        Case(SlidingWindow((5, 5), padding=(2, 2, 2, 2)), (_image(3, 2, 1),)),
        Case(SlidingWindow((3, 3), padding=same, pad_code=9, pe=2), (_image(3, 3, 2, lo=2),)),
        Case(SlidingWindow((3, 3), padding=same, pad_code=-2), (_image(3, 3, 1, lo=0),)),
        Case(SlidingWindow((3, 3), padding=(0, 1, 0, 0), pe=2), (channels,)),
        *(Case(SlidingWindow((3, 3), padding=same, pad_code=p, pe=2), (bits,)) for p in (-1, 1)),
        Case(SlidingWindow((2, 2), pe=2), (bits,)),
        Case(SlidingWindow((1, 1), (2, 2), pe=2), (_image(5, 4, 4),)),
        Case(SlidingWindow((1, 1), (1, 3)), (_image(1, 8, 2),)),
    )


CASES = _cases()
REJECTS = (
    Reject(
        SlidingWindow((1, 1)),
        (_image(4, 4, 2),),
        "a 1x1 kernel with stride 1 changes nothing, use no window",
    ),
    Reject(
        SlidingWindow((4, 4)), (_image(4, 4, 2),), "the kernel covers the whole image, use reshape"
    ),
    Reject(
        SlidingWindow((3, 3), padding=(1, 1, 1, 1)),
        (TensorType((4, 4, 2), CodeType.binary()),),
        "pad_code is 0, a bipolar image takes -1 or 1; for zeros, give it the codes -1..1",
    ),
    Reject(
        SlidingWindow((3, 3), padding=(3, 1, 1, 1)),
        (_image(4, 4, 2),),
        "rows: padding 3, 1 makes a window of padding alone; expected less than 3",
    ),
    Reject(
        SlidingWindow((3, 3), dilation=(1, 2)),
        (_image(4, 4, 2),),
        "columns: the kernel reaches over 5, the padded image has 4",
    ),
    Reject(
        SlidingWindow((3, 3), pe=3), (_image(4, 4, 2),), "pe is 3, expected a divisor of 2 channels"
    ),
    Reject(SlidingWindow((3, 3)), (_image(4, 4),), "shape is [4, 4], expected an image [H, W, C]"),
)
