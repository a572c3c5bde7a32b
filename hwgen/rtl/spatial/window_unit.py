"""`window_unit`: the three ways to build windows, chosen by how much of one a beat holds.

| a beat holds | unit | cycles |
|---|---|---|
| the one pixel of a 1x1 window, or a part | `Selection` | one a beat of the image |
| a tap or a part of it | `LineBuffer`: one memory | one a tap |
| several taps, windows or pixels | `WindowRegisters`: row delays, registers | one a shift or part |
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from functools import lru_cache
from typing import ClassVar

import numpy as np

from hwgen.cost import Resources
from hwgen.ir import TensorType
from hwgen.numeric import CodeType
from hwgen.rtl.memory import ram_resources
from hwgen.rtl.spatial import line_buffer, selection, window_registers
from hwgen.rtl.spatial.geometry import Geometry, Mask
from hwgen.rtl.spatial.line_buffer import LineBuffer
from hwgen.rtl.spatial.scan_plan import ScanPlan
from hwgen.rtl.spatial.selection import Selection
from hwgen.rtl.spatial.window_plan import WindowPlan
from hwgen.rtl.spatial.window_registers import WindowRegisters
from hwgen.rtl.stream.component import StreamComponent


class WindowUnit(ABC):
    """One way to build windows: what it promises, and its hardware."""

    @property
    @abstractmethod
    def depth(self) -> int:
        """Cycles from a step to its output transfer."""

    @property
    @abstractmethod
    def steps(self) -> int:
        """Cycles of a frame."""

    @property
    @abstractmethod
    def program(self) -> tuple[Mask, Mask]:
        """Which steps of a frame take a beat and which give one."""

    @property
    @abstractmethod
    def memory_pixels(self) -> int:
        """Pixels kept in memories."""

    @abstractmethod
    def resources(self, i_bits: int, o_bits: int) -> Resources:
        """Predict what it takes; `i_bits`, `o_bits`: of a code, without and with the padding."""

    @abstractmethod
    def hardware(self, x: TensorType, o_codes: CodeType, pad_code: int) -> StreamComponent:
        """Return the component for image `x`; taps outside it give `pad_code`."""


@lru_cache(maxsize=1024)
def window_unit(
    geometry: Geometry,
    channels: int,
    pe: int,
    taps: int = 1,
    pixels: int = 1,
    ultra: bool = False,
) -> WindowUnit:
    """Return the unit for beats of `pe` channels, `taps` taps and `pixels` pixels.

    With `ultra`, large memories are UltraRAM.

    Remembered: schedule, cost and hardware ask for the same one, and the folding search often.
    """
    if taps * pixels > 1:
        return ShiftedWindows(ScanPlan(geometry, geometry.taps // taps, pixels), channels, ultra)
    if geometry.taps == 1:
        return SelectedPixels(geometry, channels // pe, pe)
    return BufferedTaps(WindowPlan(geometry, channels // pe), pe, ultra)


@dataclass(frozen=True)
class SelectedPixels(WindowUnit):
    """A 1x1 kernel with a stride: of pixels of `groups` beats, some pass."""

    geometry: Geometry
    groups: int
    pe: int
    depth: ClassVar[int] = selection.DEPTH
    memory_pixels: ClassVar[int] = 0

    @property
    def steps(self) -> int:
        """A cycle a beat."""
        return self.geometry.pixels * self.groups

    @property
    def program(self) -> tuple[Mask, Mask]:
        """All are taken."""
        gives = np.logical_and.outer(*self._chosen()).ravel()
        return np.ones(self.steps, dtype=bool), np.repeat(gives, self.groups)

    def _chosen(self) -> tuple[Mask, Mask]:
        """Return which rows and columns the kernel picks."""
        axes = self.geometry.rows, self.geometry.columns
        rows, columns = (np.isin(np.arange(axis.size), axis.taps()) for axis in axes)
        return rows, columns

    def resources(self, i_bits: int, o_bits: int) -> Resources:
        """Predict the counters and the output register."""
        size = self.geometry.rows.size + self.geometry.columns.size
        return Resources(lut=4 + size / 16, ff=self.pe * i_bits + 10)

    def hardware(self, x: TensorType, o_codes: CodeType, pad_code: int) -> StreamComponent:
        """Return the selection; there is no padding."""
        every = np.ones(self.groups, dtype=bool)
        return Selection((*self._chosen(), every), x.codes, self.pe)


@dataclass(frozen=True)
class BufferedTaps(WindowUnit):
    """A tap, or `pe` channels of one, a cycle out of one memory."""

    plan: WindowPlan
    pe: int
    ultra: bool = False
    depth: ClassVar[int] = line_buffer.DEPTH

    @property
    def steps(self) -> int:
        """Cycles of the program."""
        return self.plan.steps

    @property
    def program(self) -> tuple[Mask, Mask]:
        """The plan's."""
        return self.plan.program

    @property
    def memory_pixels(self) -> int:
        """What some window still needs."""
        return self.plan.depth_pixels

    def resources(self, i_bits: int, o_bits: int) -> Resources:
        """Predict the memory, the addresses and the padding's multiplexers."""
        bits, depth = self.pe * i_bits, self.plan.depth_pixels * self.plan.groups
        geometry, address = self.plan.geometry, depth.bit_length()
        control = Resources(lut=70 + 7 * address, ff=23 + 4 * address)
        if geometry.padded_taps.any():
            # Two counters an axis say where a tap lies.
            positions = 2 * (geometry.rows.size.bit_length() + geometry.columns.size.bit_length())
            control += Resources(lut=self.pe * o_bits, ff=positions)
        return ram_resources(depth, bits, self.ultra) + control

    def hardware(self, x: TensorType, o_codes: CodeType, pad_code: int) -> StreamComponent:
        """Return the line buffer."""
        return LineBuffer(self.plan, x.codes, o_codes, pad_code, self.pe)


@dataclass(frozen=True)
class ShiftedWindows(WindowUnit):
    """Whole windows in registers; row delays in a memory."""

    plan: ScanPlan
    channels: int
    ultra: bool = False
    depth: ClassVar[int] = window_registers.DEPTH

    @property
    def steps(self) -> int:
        """Cycles of the program."""
        return self.plan.steps

    @property
    def program(self) -> tuple[Mask, Mask]:
        """The plan's."""
        return self.plan.program

    @property
    def memory_pixels(self) -> int:
        """The rows above the newest pixel."""
        rows = self.plan.geometry.rows
        return (rows.reach - 1) * self.plan.line_beats * self.plan.pixels

    def resources(self, i_bits: int, o_bits: int) -> Resources:
        """Predict row delays, registers, padding, the choice of a part and the counters."""
        plan, geometry = self.plan, self.plan.geometry
        kernel_rows, tap_bits = geometry.rows.kernel, self.channels * o_bits
        pixel_bits = self.channels * i_bits
        line = geometry.rows.dilation * plan.line_beats
        # What chooses one of three parts has an input left for the padding.
        padding = plan.padded_taps * tap_bits if plan.beats == 1 else 0
        parts = geometry.taps // plan.beats * tap_bits * (plan.beats - 1) / 2
        counters = 2 * plan.shifts.bit_length() + line.bit_length()
        return (
            ram_resources(line, (kernel_rows - 1) * plan.pixels * pixel_bits, self.ultra)
            + Resources(ff=kernel_rows * plan.register_pixels * pixel_bits)
            + Resources(lut=padding + parts)
            + Resources(lut=1.2 * counters, ff=4 + counters)
        )

    def hardware(self, x: TensorType, o_codes: CodeType, pad_code: int) -> StreamComponent:
        """Return the registers."""
        return WindowRegisters(self.plan, x, o_codes, pad_code)
