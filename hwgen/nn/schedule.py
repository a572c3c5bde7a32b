"""`Schedule`: tells the estimators of a model how far training is.

    schedule = Schedule(model, total=epochs)
    for epoch in range(epochs):
        ...
        schedule.step()

Count epochs or batches, whichever is stepped. Only estimators with a schedule in `estimators.py`
look at it.
"""

from __future__ import annotations

from torch import nn

from hwgen.errors import NumericError
from hwgen.nn.binary import BinaryQuantizer


class Schedule:
    """Progress of training, from 0 to 1 in `total` steps, for all binary quantizers of a model."""

    def __init__(self, model: nn.Module, total: int) -> None:
        if total < 1:
            raise NumericError(f"Schedule: total is {total}, expected at least one step")
        self.total = total
        self.done = 0
        self._quantizers = [m for m in model.modules() if isinstance(m, BinaryQuantizer)]
        self._apply()

    @property
    def progress(self) -> float:
        """The share of training that is done."""
        return min(1.0, self.done / self.total)

    def step(self) -> None:
        """Go on by one; beyond the end nothing changes."""
        self.done += 1
        self._apply()

    def state_dict(self) -> dict[str, int]:
        """Return what a checkpoint keeps."""
        return {"done": self.done, "total": self.total}

    def load_state_dict(self, state: dict[str, int]) -> None:
        """Go on where a checkpoint stopped."""
        self.done, self.total = state["done"], state["total"]
        self._apply()

    def _apply(self) -> None:
        for quantizer in self._quantizers:
            quantizer.progress = self.progress
