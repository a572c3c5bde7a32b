"""Sliding window: an image becomes the patches that a convolution's kernel sees.

The convolution itself is a matrix-vector product over the last axis of the result; its weight
matrix is [O, KH * KW * C], kernel position major. A kernel as large as the image is no window but
`reshape`.

Source: Chellapilla et al., High performance convolutional neural networks for document
processing, IWFHR 2006 (lowering); Umuroglu et al., FINN, FPGA 2017, section 4.2.3.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import ClassVar

import numpy as np

from hwgen.cost import Resources
from hwgen.ir import Codes, Op, Schedule, TensorType, expect
from hwgen.numeric import CodeType
from hwgen.ops.case import Case, Reject
from hwgen.ops.lane_choices import expect_window_beats, window_choices
from hwgen.rtl.spatial.geometry import Geometry
from hwgen.rtl.spatial.window_unit import WindowUnit, window_unit
from hwgen.rtl.stream.component import StreamComponent


@dataclass(frozen=True, eq=False)
class SlidingWindow(Op):
    """Turn an image (H, W, C) into windows (OH, OW, KH * KW * C).

    Parameters
    ----------
    kernel, stride, dilation : (rows, columns)
    padding : (top, left, bottom, right)
    pad_code : code outside the image; bipolar images have no 0, so they need -1 or +1
    pe : channels of a pixel a beat, a divisor of C
    taps : pixels of a window a beat, a divisor of KH * KW; several only with pe = C
    pixels : pixels of the image a beat, a divisor of W; several only with all taps. With a
        stride s along the rows, the windows of a beat are pixels / gcd(pixels, s), and divide OW
    ultra_ram : whether large line memories are UltraRAM, on a device that has it
    """

    # what
    name: ClassVar[str] = "sliding_window"
    kernel: tuple[int, int]
    stride: tuple[int, int] = (1, 1)
    dilation: tuple[int, int] = (1, 1)
    padding: tuple[int, int, int, int] = (0, 0, 0, 0)
    pad_code: int = 0
    pe: int = 1
    taps: int = 1
    pixels: int = 1
    ultra_ram: bool = False

    def infer(self, *inputs: TensorType) -> TensorType:
        """Taps that may fall into the padding also hold `pad_code`."""
        (x,) = inputs
        geometry = self.geometry(x)
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
        expect_window_beats(geometry, x.channels, self.pe, self.taps, self.pixels)
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
        windows = self.pixels // math.gcd(self.pixels, self.stride[1])
        return self.pixels * self.pe, windows * self.taps * self.pe

    def unit(self, x: TensorType) -> WindowUnit:
        """Return what builds the windows of image `x`."""
        beats = self.pe, self.taps, self.pixels
        return window_unit(self.geometry(x), x.channels, *beats, self.ultra_ram)

    def schedule(self, *inputs: TensorType) -> Schedule:
        """The unit's program."""
        unit = self.unit(inputs[0])
        return Schedule(*unit.program, unit.depth)

    def interval_cycles(self, *inputs: TensorType) -> int:
        """Steps of the program."""
        return self.unit(inputs[0]).steps

    def foldings(self, *inputs: TensorType) -> tuple[SlidingWindow, ...]:
        """Parts of a pixel; then several taps; then several pixels and whole windows."""
        (x,) = inputs
        choices = window_choices(self.geometry(x), x.channels)
        return tuple(replace(self, pe=pe, taps=taps, pixels=m) for pe, taps, m in choices)

    def resources(self, *inputs: TensorType) -> Resources:
        """Predict memories, registers and counters."""
        (x,) = inputs
        return self.unit(x).resources(x.codes.width, self.infer(x).codes.width)

    def memory_bits(self, *inputs: TensorType) -> int:
        """Bits of the pixels kept."""
        (x,) = inputs
        return self.unit(x).memory_pixels * x.channels * x.codes.width

    # hardware
    def hardware(self, *inputs: TensorType) -> StreamComponent:
        """Return the unit's component."""
        (x,) = inputs
        return self.unit(x).hardware(x, self.infer(x).codes, self.pad_code)


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
        *(
            Case(SlidingWindow((3, 3), padding=same, pe=2, taps=taps), (_image(4, 4, 2),))
            for taps in (3, 9)
        ),
        *(
            Case(SlidingWindow((3, 3), padding=same, pe=2, taps=9, pixels=m), (_image(4, 8, 2),))
            for m in (2, 4)
        ),
        Case(SlidingWindow((3, 3), (2, 2), padding=same, taps=9, pixels=4), (_image(5, 8, 1),)),
        Case(SlidingWindow((3, 3), (2, 2), taps=3), (_image(6, 8, 1),)),
        Case(SlidingWindow((3, 3), taps=9, pixels=2), (_image(5, 6, 1),)),
        Case(SlidingWindow((3, 2), (2, 1), (1, 2), (1, 0, 0, 2), 9, 2, 6, 5), (_image(6, 5, 2),)),
        Case(SlidingWindow((1, 5), padding=(0, 4, 0, 4), pe=3, taps=5), (_image(1, 9, 3),)),
        Case(SlidingWindow((3, 1), padding=(1, 0, 1, 0), pe=2, taps=3), (_image(5, 1, 2),)),
        Case(SlidingWindow((2, 2), padding=same, pad_code=1, pe=2, taps=4), (bits,)),
        Case(SlidingWindow((1, 1), (2, 2), pe=3, pixels=4), (_image(5, 8, 3),)),
        Case(SlidingWindow((1, 1), (2, 3), pe=2), (_image(5, 7, 4),)),
    )


CASES = _cases()
SMALL = (_image(4, 4, 2),)
REJECTS = (
    Reject(
        SlidingWindow((1, 1)),
        SMALL,
        "a 1x1 kernel with stride 1 changes nothing, use no window",
    ),
    Reject(SlidingWindow((4, 4)), SMALL, "the kernel covers the whole image, use reshape"),
    Reject(
        SlidingWindow((3, 3), padding=(1, 1, 1, 1)),
        (TensorType((4, 4, 2), CodeType.binary()),),
        "pad_code is 0, a bipolar image takes -1 or 1; for zeros, give it the codes -1..1",
    ),
    Reject(
        SlidingWindow((3, 3), padding=(3, 1, 1, 1)),
        SMALL,
        "rows: padding 3, 1 makes a window of padding alone; expected less than 3",
    ),
    Reject(
        SlidingWindow((3, 3), dilation=(1, 2)),
        SMALL,
        "columns: the kernel reaches over 5, the padded image has 4",
    ),
    Reject(SlidingWindow((3, 3), pe=3), SMALL, "pe is 3, expected a divisor of 2 channels"),
    Reject(
        SlidingWindow((3, 3), pe=2, taps=2),
        SMALL,
        "taps is 2, expected one of [1, 3, 9]",
    ),
    Reject(
        SlidingWindow((3, 3), taps=3), SMALL, "taps is 3 with pe 1, expected pe 2: all channels"
    ),
    Reject(
        SlidingWindow((3, 3), pe=2, taps=9, pixels=4),
        (_image(8, 8, 2),),
        "pixels is 4, expected one of [1, 2]",
    ),
    Reject(
        SlidingWindow((3, 3), pe=2, taps=3, pixels=2),
        (_image(8, 8, 2),),
        "pixels is 2 with pe 2 and taps 3, expected pe 2 and taps 9: whole windows",
    ),
    Reject(SlidingWindow((3, 3)), (_image(4, 4),), "shape is [4, 4], expected an image [H, W, C]"),
)
