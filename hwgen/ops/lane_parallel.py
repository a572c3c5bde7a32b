"""What the channel-wise operators share: `pe` lanes a beat, channels in order, beat after beat.

A beat carries channels g*pe .. g*pe + pe - 1 of a vector, g counting the beats of the vector;
parameters that differ between channels come from a memory addressed by g. Or it carries several
whole pixels of a row: lane k is channel k % C, and every lane's parameters are constants.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from dataclasses import replace
from typing import Self

from amaranth import Module, Signal, Value

from hwgen.ir import Codes, Op, Schedule, TensorType, expect
from hwgen.numeric import CodeType
from hwgen.ops.lane_choices import expect_channel_lanes, lane_choices
from hwgen.rtl.counting import following
from hwgen.rtl.rom import constant_memory
from hwgen.rtl.stream.component import code_shape
from hwgen.rtl.stream.pipeline import Pipeline


def lockstep(x: TensorType, pe: int, depth: int) -> Schedule:
    """Return the schedule of a unit that turns each beat of `pe` lanes into one."""
    return Schedule.lockstep(x.size // pe, depth)


class ChannelWise(Op):
    """An operator that turns every code into one, by what is known of its channel.

    Subclasses have the field `pe`, codes a beat: a divisor of C, or C times as many pixels as
    divide a row; and `depth`.
    """

    pe: int

    @property
    @abstractmethod
    def depth(self) -> int:
        """Cycles from a beat to what becomes of it."""

    @property
    def lanes(self) -> tuple[int, int]:
        """Codes in an input beat and in an output beat."""
        return self.pe, self.pe

    def schedule(self, *inputs: TensorType) -> Schedule:
        """A beat a cycle."""
        return lockstep(inputs[0], self.pe, self.depth)

    def interval_cycles(self, *inputs: TensorType) -> int:
        """A beat a cycle."""
        return inputs[0].size // self.pe

    def foldings(self, *inputs: TensorType) -> tuple[Self, ...]:
        """Parts of a pixel, then whole pixels."""
        # The field is the subclasses'.
        return tuple(replace(self, pe=pe) for pe in lane_choices(inputs[0]))  # type: ignore[call-arg]

    def beats_of_vector(self, x: TensorType) -> int:
        """Beats of a vector; 1 where a beat holds whole pixels."""
        return max(x.channels // self.pe, 1)


def expect_channels(parameters: Codes, x: TensorType, pe: int, what: str) -> None:
    """Check that axis 0 of `parameters` is 1 or the channel count, and that beats fit."""
    rows = parameters.shape[0]
    expect(rows in (1, x.channels), f"{what} for {rows} channels, expected 1 or {x.channels}")
    expect_channel_lanes(pe, x)


class ChannelPipeline(Pipeline):
    """A pipeline whose first stage registers the codes and fetches their channels' parameters.

    Parameters
    ----------
    channels : size of the channel axis
    pe : lanes, a divisor or a multiple of `channels`
    depth : cycles, the fetch included
    """

    def __init__(
        self, i_codes: CodeType, o_codes: CodeType, channels: int, pe: int, depth: int
    ) -> None:
        self.pe, self.depth, self.groups = pe, depth, max(channels // pe, 1)
        super().__init__(i_codes, pe, o_codes, pe)

    @abstractmethod
    def fetch(self, m: Module, k: int, group: Signal, advance: Signal) -> Value:
        """Return the parameters of lane `k` for its channel, one cycle later."""

    @abstractmethod
    def lane(self, m: Module, k: int, x: Value, word: Value, advance: Signal) -> Value:
        """Return output lane `k`, `depth - 1` registers after `x` and its parameters `word`."""

    def fetch_word(
        self, m: Module, k: int, words: Sequence[int], width: int, group: Signal, advance: Signal
    ) -> Value:
        """Return lane `k`'s own of the channels' `words`; a constant when they are equal."""
        own = words[k % len(words) :: self.pe]
        return constant_memory(m, own, width, group, advance, f"parameters{k}")

    def datapath(
        self, m: Module, lanes: Sequence[Value], advance: Signal, accept: Value
    ) -> Sequence[Value]:
        """Fetch, then every lane on its own."""
        group = Signal(range(max(self.groups, 2)))
        if self.groups > 1:
            with m.If(accept):
                m.d.sync += group.eq(following(group, group == self.groups - 1))
        outputs = []
        for k, lane in enumerate(lanes):
            x = Signal(code_shape(self.i_codes), name=f"x{k}")
            with m.If(advance):
                m.d.sync += x.eq(lane)
            outputs.append(self.lane(m, k, x, self.fetch(m, k, group, advance), advance))
        return outputs
