"""Depth to space: the channels of a pixel become a block of pixels; a pixel shuffle.

Behind a product whose rows are the phases of a kernel it makes a transposed convolution.

Source: https://onnx.ai/onnx/operators/onnx__DepthToSpace.html; Shi et al., Real-time single image
and video super-resolution using an efficient sub-pixel convolutional neural network, CVPR 2016
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from enum import Enum
from typing import ClassVar

import numpy as np
from amaranth import Cat, Module, Signal, Value

from hwgen.cost import Resources
from hwgen.ir import Codes, Op, Schedule, TensorType, expect, union
from hwgen.numeric import CodeType
from hwgen.ops.case import Case, Reject
from hwgen.ops.lane_choices import MOST_PIXELS, divisors, expect_pixels
from hwgen.rtl.spatial.replay import DEPTH, Replay, ReplayPlan, grouped, pixel_choices
from hwgen.rtl.stream.component import StreamComponent


class DepthOrder(Enum):
    """What a pixel's channels count, the last the fastest: row and column of a block, channel."""

    PHASES_FIRST = "phases_first"  # ONNX's DCR
    CHANNELS_FIRST = "channels_first"  # ONNX's CRD


@dataclass(frozen=True, eq=False)
class DepthToSpace(Op):
    """Spread the channels of an image (H, W, rows * columns * C) over blocks of pixels.

    Parameters
    ----------
    blocks : (rows, columns) of pixels that a pixel becomes, their channels in this `order`
    pe : channels of the result a beat, a divisor of C; C where the phases come first
    pixels : of the result a beat, a divisor of the columns of a block, or that many times a
        divisor of W; several only with pe = C
    """

    # what
    name: ClassVar[str] = "depth_to_space"
    blocks: tuple[int, int]
    order: DepthOrder = DepthOrder.CHANNELS_FIRST
    pe: int = 1
    pixels: int = 1

    @property
    def phases(self) -> int:
        """Pixels of a block."""
        return math.prod(self.blocks)

    def infer(self, *inputs: TensorType) -> TensorType:
        """A larger image with fewer channels; each has the codes of all its phases."""
        (x,) = inputs
        expect(len(x.shape) == 3, f"shape is {list(x.shape)}, expected an image [H, W, C]")
        expect(
            min(self.blocks) >= 1 < max(self.blocks),
            f"blocks are {self.blocks}, expected none below and one above 1",
        )
        channels, rest = divmod(x.channels, self.phases)
        expect(rest == 0, f"{x.channels} channels, expected a multiple of {self.phases}")
        expect_pixels(self.pe, self.pixels, channels, pixel_choices(self.blocks[1], x.shape[1]))
        expect(
            self.order is DepthOrder.CHANNELS_FIRST or self.pe == channels,
            f"pe is {self.pe} with the phases first, expected {channels}: all channels",
        )
        own, each = x.channel_codes, None
        if own is not None:
            kinds = np.arange(x.channels).reshape(self._axes(channels))
            phases = kinds.transpose(self._channel_last).reshape(-1, channels).T.tolist()
            each = tuple(union(tuple(own[k] for k in ks)) for ks in phases)
        shape = (x.shape[0] * self.blocks[0], x.shape[1] * self.blocks[1], channels)
        return TensorType(shape, x.codes, each)

    def _axes(self, channels: int) -> tuple[int, int, int]:
        first = self.order is DepthOrder.PHASES_FIRST
        return (*self.blocks, channels) if first else (channels, *self.blocks)

    @property
    def _channel_last(self) -> tuple[int, int, int]:
        return (0, 1, 2) if self.order is DepthOrder.PHASES_FIRST else (1, 2, 0)

    @property
    def grouped(self) -> tuple[int, int, int]:
        """Pixels of the image a beat, columns of each in a beat, beats of columns."""
        return grouped(self.pixels, self.blocks[1])

    # meaning
    def evaluate(self, *codes: Codes) -> Codes:
        """Return the blocks side by side."""
        (x,) = codes
        frames, height, width, channels = x.shape
        row, column, channel = (3 + k for k in self._channel_last)
        spread = x.reshape(frames, height, width, *self._axes(channels // self.phases))
        moved = spread.transpose(0, 1, row, 2, column, channel)
        return moved.reshape(frames, height * self.blocks[0], width * self.blocks[1], -1)

    # promise
    @property
    def lanes(self) -> tuple[int, int]:
        """Codes in an input beat and in an output beat."""
        return self.grouped[0] * self.phases * self.pe, self.pixels * self.pe

    def interval_cycles(self, *inputs: TensorType) -> int:
        """A beat of the result a cycle."""
        return inputs[0].size // (self.pixels * self.pe)

    def foldings(self, *inputs: TensorType) -> tuple[DepthToSpace, ...]:
        """Parts of a pixel, where they lie together; then several pixels."""
        (x,) = inputs
        channels = x.channels // self.phases
        parts = [(pe, 1) for pe in divisors(channels)]
        if self.order is DepthOrder.PHASES_FIRST:
            parts = parts[-1:]
        whole = [
            (channels, m) for m in pixel_choices(self.blocks[1], x.shape[1])[1:] if m <= MOST_PIXELS
        ]
        return tuple(replace(self, pe=pe, pixels=m) for pe, m in parts + whole)

    def plan(self, x: TensorType) -> ReplayPlan:
        """Return the steps of an image row."""
        pixels, _, again = self.grouped
        groups = x.channels // self.phases // self.pe
        return ReplayPlan(self.blocks[0], x.shape[1] // pixels, again, groups)

    def schedule(self, *inputs: TensorType) -> Schedule:
        """A beat of the result a cycle; a pixel is taken where its block begins."""
        (x,) = inputs
        takes = self.plan(x).takes(x.shape[0])
        return Schedule(takes, np.ones(len(takes), dtype=bool), DEPTH)

    def _kept_bits(self, x: TensorType) -> int:
        taken, given = self.lanes
        return (taken - given) * x.codes.width

    def resources(self, *inputs: TensorType) -> Resources:
        """Predict the memory, the counters, the choice of a part and the output register."""
        (x,), again = inputs, self.grouped[2]
        bits = self.lanes[1] * x.codes.width
        counters = sum(size.bit_length() for size in self.infer(x).shape)
        # A LUT6 chooses among four parts.
        choice = bits * math.ceil((self.blocks[0] * again - 1) / 3)
        memory = self.plan(x).memory(self._kept_bits(x)).lut if self._kept_bits(x) else 0
        return Resources(lut=memory + counters + choice, ff=counters + bits)

    def memory_bits(self, *inputs: TensorType) -> int:
        """Bits of the beats kept."""
        (x,) = inputs
        return self.plan(x).depth_words * self._kept_bits(x)

    # hardware
    def part(self, row: int, again: int, channels: int) -> list[int]:
        """Return which lanes of an input beat make up an output beat."""
        pixels, columns, _ = self.grouped
        first = again * columns
        lanes = np.arange(pixels * self.phases * channels).reshape(pixels, *self._axes(channels))
        last = lanes.transpose(0, *(1 + k for k in self._channel_last))
        return last[:, row, first : first + columns].ravel().tolist()

    def hardware(self, *inputs: TensorType) -> StreamComponent:
        """Return the row memory, its counters and the choice of parts."""
        return DepthToSpaceUnit(self, inputs[0])


class DepthToSpaceUnit(Replay):
    """The first part of a beat is shown at once, the others are kept."""

    def __init__(self, op: DepthToSpace, x: TensorType) -> None:
        self.op = op
        down, again = op.blocks[0], op.grouped[2]
        self.parts = [[op.part(row, k, op.pe) for k in range(again)] for row in range(down)]
        shown = set(self.parts[0][0])
        self.kept_lanes = [lane for lane in range(op.lanes[0]) if lane not in shown]
        super().__init__(op.plan(x), x.codes, op.lanes[0], x.codes, op.lanes[1])

    def _lanes(self, beat: Value, lanes: list[int]) -> Value:
        bits = self.i_codes.width
        return Cat(beat[lane * bits :][:bits] for lane in lanes)

    def kept(self, incoming: Value) -> Value:
        """All parts but the first."""
        return self._lanes(incoming, self.kept_lanes)

    def first(self, incoming: Value) -> Value:
        """The first part."""
        return self._lanes(incoming, self.parts[0][0])

    def later(self, m: Module, kept: Value, row: Signal, again: Signal) -> Value:
        """The part of the row of a block and of its columns."""
        place = {lane: k for k, lane in enumerate(self.kept_lanes)}
        part = Signal(self.op.lanes[1] * self.i_codes.width)
        for r, of_row in enumerate(self.parts):
            for k, lanes in enumerate(of_row):
                if (r, k) != (0, 0):
                    with m.If((row == r) & (again == k)):
                        m.d.comb += part.eq(self._lanes(kept, [place[lane] for lane in lanes]))
        return part


def _cases() -> tuple[Case, ...]:
    image, first = TensorType((2, 3, 8), CodeType(-4, 3)), DepthOrder.PHASES_FIRST
    own = tuple(CodeType(-k, k + 1) for k in range(8))
    each = TensorType((2, 2, 8), CodeType(-9, 9), own)
    return (
        *(Case(DepthToSpace((2, 2), pe=pe), (image,)) for pe in (1, 2)),
        *(Case(DepthToSpace((2, 2), pe=2, pixels=m), (image,)) for m in (2, 6)),
        *(Case(DepthToSpace((2, 2), first, 2, m), (image,)) for m in (1, 2)),
        Case(DepthToSpace((1, 4), pe=1), (TensorType((1, 5, 4), CodeType.binary()),)),
        Case(DepthToSpace((1, 4), pe=2, pixels=2), (each,)),
        Case(DepthToSpace((4, 1), pe=2, pixels=2), (each,)),
        Case(DepthToSpace((4, 2), first), (image,)),
        Case(DepthToSpace((1, 2), first, 4, 4), (each,)),
        Case(DepthToSpace((1, 3), pe=1, pixels=3), (TensorType((1, 1, 3), CodeType(0, 5)),)),
        Case(DepthToSpace((2, 1), pe=2), (TensorType((1, 1, 12), CodeType(0, 5)),)),
        Case(DepthToSpace((3, 3), pe=1), (TensorType((2, 2, 18), CodeType(0, 5)),)),
    )


CASES = _cases()
SMALL = (TensorType((2, 3, 8), CodeType(0, 1)),)
REJECTS = (
    Reject(
        DepthToSpace((2, 2), DepthOrder.PHASES_FIRST),
        SMALL,
        "pe is 1 with the phases first, expected 2: all channels",
    ),
    Reject(
        DepthToSpace((2, 3)),
        SMALL,
        "8 channels, expected a multiple of 6",
    ),
    Reject(
        DepthToSpace((1, 1)),
        SMALL,
        "blocks are (1, 1), expected none below and one above 1",
    ),
    Reject(
        DepthToSpace((2, 2)),
        (TensorType((8,), CodeType(0, 1)),),
        "shape is [8], expected an image [H, W, C]",
    ),
    Reject(DepthToSpace((2, 2), pe=2, pixels=3), SMALL, "pixels is 3, expected one of [1, 2, 6]"),
)
