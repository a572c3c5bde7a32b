"""What the channel-wise operators share: `pe` lanes a beat, channels in order, beat after beat.

A beat carries channels g*pe .. g*pe + pe - 1 of a vector, g counting the beats of the vector;
parameters that differ between channels come from a memory addressed by g.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence

from amaranth import Module, Signal, Value

from hwgen.ir import Codes, Schedule, TensorType, expect
from hwgen.numeric import CodeType
from hwgen.rtl.counting import following
from hwgen.rtl.memory import constant_memory
from hwgen.rtl.stream.component import code_shape
from hwgen.rtl.stream.pipeline import Pipeline


def expect_channels(parameters: Codes, x: TensorType, pe: int, what: str) -> None:
    """Check that axis 0 of `parameters` is 1 or the channel count, and that `pe` divides it."""
    rows = parameters.shape[0]
    expect(rows in (1, x.channels), f"{what} for {rows} channels, expected 1 or {x.channels}")
    expect(
        pe > 0 and x.channels % pe == 0,
        f"pe is {pe}, expected a divisor of {x.channels} channels",
    )


def lockstep(x: TensorType, pe: int, depth: int) -> Schedule:
    """Return the schedule of a unit that turns each beat of `pe` lanes into one."""
    return Schedule.lockstep(x.size // pe, depth)


class ChannelPipeline(Pipeline):
    """A pipeline whose first stage registers the codes and fetches their channels' parameters.

    Parameters
    ----------
    channels : size of the channel axis
    pe : lanes
    depth : cycles, the fetch included
    """

    def __init__(
        self, i_codes: CodeType, o_codes: CodeType, channels: int, pe: int, depth: int
    ) -> None:
        self.pe, self.depth, self.groups = pe, depth, channels // pe
        super().__init__(i_codes, pe, o_codes, pe)

    @abstractmethod
    def fetch(self, m: Module, k: int, group: Signal, advance: Signal) -> Value:
        """Return the parameters of lane `k` for channel `group * pe + k`, one cycle later."""

    @abstractmethod
    def lane(self, m: Module, k: int, x: Value, word: Value, advance: Signal) -> Value:
        """Return output lane `k`, `depth - 1` registers after `x` and its parameters `word`."""

    def fetch_word(
        self, m: Module, k: int, words: Sequence[int], width: int, group: Signal, advance: Signal
    ) -> Value:
        """Return lane `k`'s own of the channels' `words`; a constant when they are equal."""
        return constant_memory(m, words[k :: self.pe], width, group, advance, f"parameters{k}")

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
