"""`Flow`: a tensor of the model that depends on its input."""

from __future__ import annotations

from dataclasses import dataclass, replace

from hwgen.ops.float_steps import Step


@dataclass(frozen=True)
class Flow:
    """An IR value and the float32 steps applied to it since.

    Parameters
    ----------
    value : name of the IR value; None before the model's first quantizer
    shape : in the model, batch 1 first
    steps : not yet in the graph
    pending : names of the model's nodes these steps stand for
    quantized : whether `value` comes out of a quantizer (not out of a linear box)
    source : the model's name for what gave `value`
    """

    value: str | None
    shape: tuple[int, ...]
    steps: tuple[Step, ...] = ()
    pending: tuple[str, ...] = ()
    quantized: bool = False
    source: str = ""

    def then(self, steps: tuple[Step, ...], node: str) -> Flow:
        """Return this flow after `steps` of the model's `node`."""
        pending = (*self.pending, node) if steps and node not in self.pending else self.pending
        return replace(self, steps=self.steps + steps, pending=pending)

    def ending(self) -> str:
        """Return words for where this comes from."""
        if self.pending:
            return f"{self.pending[-1]!r}"
        return f"the real numbers of {self.source!r}"
