"""`Border`: a frame of constant pixels around an image that streams by."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from amaranth import Cat, Const, Module, Mux, Signal, Value

from hwgen.ir import Codes
from hwgen.numeric import CodeType
from hwgen.rtl.adder_tree import extend
from hwgen.rtl.spatial.geometry import Mask, Padding
from hwgen.rtl.spatial.selection import count_grid, flag_at
from hwgen.rtl.stream.component import StreamComponent

DEPTH = 1  # the output register


@dataclass(frozen=True)
class BorderPlan:
    """Where the beats of an image lie among those of the padded one.

    Parameters
    ----------
    size : rows and columns of the image
    padding : (top, left, bottom, right)
    pixels : of a beat; they divide both rows
    """

    size: tuple[int, int]
    padding: Padding
    pixels: int

    @property
    def leads(self) -> bool:
        """Whether a frame begins with padding; its first beat is then taken early and held."""
        return self.padding[0] > 0 or self.padding[1] >= self.pixels

    @property
    def lag(self) -> int:
        """Pixels that a beat of the image lies behind the beats of the result."""
        return self.padding[1] % self.pixels

    @property
    def rows(self) -> Mask:
        """Which rows of the result come from the image."""
        top, _, bottom, _ = self.padding
        return np.pad(np.ones(self.size[0], dtype=bool), (top, bottom))

    @property
    def columns(self) -> Mask:
        """Which columns of the result come from the image."""
        _, left, _, right = self.padding
        return np.pad(np.ones(self.size[1], dtype=bool), (left, right))

    @property
    def beats(self) -> Mask:
        """In which beats of a row of the result a beat of the image begins."""
        flags = np.zeros(len(self.columns) // self.pixels, dtype=bool)
        first = self.padding[1] // self.pixels
        flags[first : first + self.size[1] // self.pixels] = True
        return flags

    def takes(self, groups: int) -> Mask:
        """Return which steps of a frame, one a beat of the result, take a beat of the image.

        A frame begins with its first beat, as all frames do.

        Parameters
        ----------
        groups : beats of a pixel
        """
        image = np.logical_and.outer(self.rows, self.beats)
        takes = np.repeat(image.ravel(), groups)
        if self.leads:
            # The beat that a step on the image shows was taken by the one before.
            takes[np.flatnonzero(takes)[-1]] = False
            takes[0] = True
        return takes


class Border(StreamComponent):
    """Count the beats of the result; take where those of the image begin.

    Parameters
    ----------
    plan : where
    i_codes, o_codes : of the image and the result
    pad_code : of the border
    lanes : codes a beat
    groups : beats of a pixel
    """

    def __init__(
        self,
        plan: BorderPlan,
        i_codes: CodeType,
        o_codes: CodeType,
        pad_code: Codes,
        lanes: int,
        groups: int,
    ) -> None:
        self.plan, self.pad_code, self.groups = plan, pad_code, groups
        self.pixel_lanes = lanes // plan.pixels
        super().__init__(i_codes, lanes, o_codes, lanes)

    def elaborate(self, platform: object) -> Module:
        """Counters, the held beat where a frame begins with padding, output register."""
        m = Module()
        advance = Signal()
        step = Signal()
        taking = Signal()
        image = Signal()
        m.d.comb += [
            advance.eq(~self.o.valid | self.o.ready),
            step.eq(advance & (self.i.valid | ~taking)),
            self.i.ready.eq(advance & taking),
        ]
        rows, beats = self.plan.rows, self.plan.beats
        (row, column, group), _ = count_grid(m, (len(rows), len(beats), self.groups), step)
        row_inside = flag_at(m, rows, row, "row_inside")
        m.d.comb += image.eq(row_inside & flag_at(m, beats, column, "beat_inside"))
        incoming = self.i.payload.as_value()
        beat: Value = incoming
        if self.plan.leads:
            first = (row == 0) & (column == 0) & (group == 0)
            last_row, last_beat = (int(np.flatnonzero(flags)[-1]) for flags in (rows, beats))
            end = (row == last_row) & (column == last_beat) & (group == self.groups - 1)
            m.d.comb += taking.eq(first | (image & ~end))
            held = Signal(len(incoming))
            with m.If(step & taking):
                m.d.sync += held.eq(incoming)
            beat = held
        else:
            m.d.comb += taking.eq(image)
        with m.If(advance):
            m.d.sync += self.o.valid.eq(step)
        pixels = self._pixels(m, beat, step & image)
        with m.If(step):
            m.d.sync += self.o.payload.as_value().eq(self._shown(m, pixels, row_inside, column))
        return m

    def _pixels(self, m: Module, beat: Value, used: Value) -> list[Value]:
        """Return the pixels of the image that lie where those of the result do."""
        bits, lag = self.pixel_lanes * self.i_codes.width, self.plan.lag
        pixels = [beat[k * bits :][:bits] for k in range(self.plan.pixels)]
        if lag:
            before = Signal(lag * bits)
            with m.If(used):
                m.d.sync += before.eq(Cat(pixels[-lag:]))
            pixels = [before[k * bits :][:bits] for k in range(lag)] + pixels
        return pixels[: self.plan.pixels]

    def _shown(self, m: Module, pixels: list[Value], row_inside: Value, column: Signal) -> Value:
        """Return the pixels, in the border those of padding."""
        codes, width = self.i_codes, self.o_codes.width
        word = int(self.o_codes.to_bits(self.pad_code)[0])
        padding = Const(word, width).replicate(self.pixel_lanes)
        shown = []
        for k, pixel in enumerate(pixels):
            inside = Signal(name=f"pixel{k}_inside")
            flags = self.plan.columns[k :: self.plan.pixels]
            m.d.comb += inside.eq(row_inside & flag_at(m, flags, column, f"column{k}_inside"))
            lanes = [pixel[n * codes.width :][: codes.width] for n in range(self.pixel_lanes)]
            own = Cat(extend(lane, codes.signed, width) for lane in lanes)
            shown.append(Mux(inside, own, padding))
        return Cat(shown)
