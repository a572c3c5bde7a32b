"""`Flow`: a tensor of the model that depends on its input.

Its elements are those of one IR value, maybe in another order: hardware streams images channels
last. `order` says where each element is, so that a Transpose or a Flatten costs nothing here and
whoever needs a certain order can see whether it is there.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from hwgen.frontend.window import Window
from hwgen.ir import Codes
from hwgen.ops.float_steps import Step


@dataclass(frozen=True)
class PendingPool:
    """A maximum over windows, not yet in the graph, between two of the flow's steps.

    Parameters
    ----------
    window : the windows
    after : how many of the flow's steps come before it
    node : name of the model's node
    """

    window: Window
    after: int
    node: str


@dataclass(frozen=True)
class Summands:
    """Two values whose scales have no small common measure: their sum waits for its quantizer.

    Parameters
    ----------
    values : IR values of one shape
    signs : +1, or -1 where the value is subtracted
    """

    values: tuple[str, str]
    signs: tuple[int, int]


@dataclass(frozen=True, eq=False)
class Flow:
    """An IR value and the float32 steps applied to it since.

    Parameters
    ----------
    value : name of the IR value; None before the model's first quantizer
    order : int64, shaped like the tensor with batch 1: the place at which each element streams
        (before the first quantizer: its place in the model's input)
    steps : not yet in the graph
    pending : names of the model's nodes these steps stand for
    quantized : whether `value` comes out of a quantizer (not out of a linear box)
    source : the model's name for what gave `value`
    pools : maxima over windows among the steps, not yet in the graph either
    zero_point : where the model's tensor holds integers, these are the codes plus this number; None
        where it holds real numbers
    summands : what `value` (the first of them) is to be added to before the steps
    """

    value: str | None
    order: Codes
    steps: tuple[Step, ...] = ()
    pending: tuple[str, ...] = ()
    quantized: bool = False
    source: str = ""
    pools: tuple[PendingPool, ...] = ()
    zero_point: int | None = None
    summands: Summands | None = None

    @property
    def shape(self) -> tuple[int, ...]:
        """In the model, batch 1 first."""
        return self.order.shape

    @property
    def settled(self) -> bool:
        """Whether the tensor is the IR value, code by code."""
        waits = self.steps or self.pools or self.summands
        return self.value is not None and not waits

    def then(self, steps: tuple[Step, ...], node: str) -> Flow:
        """Return this flow after `steps` of the model's `node`."""
        pending = (*self.pending, node) if steps and node not in self.pending else self.pending
        return replace(self, steps=self.steps + steps, pending=pending)

    def ending(self) -> str:
        """Return words for where this comes from."""
        if self.pending:
            return f"{self.pending[-1]!r}"
        return f"the real numbers of {self.source!r}"
