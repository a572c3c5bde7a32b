"""`TensorType`: shape and code intervals of a value that flows between two operators."""

from __future__ import annotations

import math
from dataclasses import dataclass

from hwgen.errors import IRError
from hwgen.numeric import CodeType


@dataclass(frozen=True)
class TensorType:
    """What one frame of a value holds.

    Parameters
    ----------
    shape : without the batch; images are (H, W, C), vectors (C,): channels last, as they stream
    codes : interval that holds every code
    channel_codes : one interval per channel where tighter ones are known, else None
    """

    shape: tuple[int, ...]
    codes: CodeType
    channel_codes: tuple[CodeType, ...] | None = None

    def __post_init__(self) -> None:
        if not self.shape or min(self.shape) < 1:
            raise IRError(f"shape is {self.shape}, expected at least one axis, each >= 1")
        if self.channel_codes is not None and len(self.channel_codes) != self.channels:
            raise IRError(f"{len(self.channel_codes)} intervals for {self.channels} channels")

    @property
    def channels(self) -> int:
        """Size of the last axis."""
        return self.shape[-1]

    @property
    def vectors(self) -> int:
        """How many channel vectors make a frame (H*W of an image, 1 of a vector)."""
        return math.prod(self.shape[:-1])

    @property
    def size(self) -> int:
        """Codes in a frame."""
        return math.prod(self.shape)

    def per_channel(self) -> tuple[CodeType, ...]:
        """Return an interval for each channel, the common one where no tighter is known."""
        return self.channel_codes or (self.codes,) * self.channels

    def __str__(self) -> str:
        return f"{list(self.shape)} {self.codes}"


def union(intervals: tuple[CodeType, ...]) -> CodeType:
    """Return the smallest interval around all of `intervals`."""
    return CodeType(min(t.lo for t in intervals), max(t.hi for t in intervals))
