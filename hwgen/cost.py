"""`Resources`: what a piece of hardware takes from a device, and what a device has to give.

Operators promise them, synthesis measures them, a board holds the budget.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import ceil

from hwgen.errors import MappingError

_LABELS = {
    "lut": "LUTs",
    "ff": "flip-flops",
    "dsp": "DSP slices",
    "bram36": "36-Kbit block RAMs",
    "uram": "288-Kbit UltraRAMs",
}


@dataclass(frozen=True)
class Resources:
    """Counts of the device resources that run out.

    Parameters
    ----------
    lut : look-up tables, those used as memory or shift register included
    ff : flip-flops
    dsp : DSP slices
    bram36 : 36-Kbit block RAMs; an 18-Kbit one counts one half
    uram : 288-Kbit UltraRAMs, of which most devices have none

    Examples
    --------
    >>> one = Resources(lut=10, dsp=1)
    >>> one + 2 * one
    Resources(lut=30, ff=0, dsp=3, bram36=0, uram=0)
    >>> Resources(lut=60, bram36=1.5).exceeds(Resources(lut=50, ff=100, bram36=2))
    ['60 LUTs needed, 50 available']
    """

    lut: float = 0
    ff: float = 0
    dsp: float = 0
    bram36: float = 0
    uram: float = 0

    def __post_init__(self) -> None:
        # Searches make hundreds of thousands of these.
        # Not their minimum, which hides a NaN.
        if self.lut >= 0 and self.ff >= 0 and self.dsp >= 0 and self.bram36 >= 0 and self.uram >= 0:
            return
        for name, count in self.as_dict().items():
            if not count >= 0:
                raise MappingError(f"Resources: {name} is {count}, expected zero or more")

    def __add__(self, other: Resources) -> Resources:
        return Resources(
            self.lut + other.lut,
            self.ff + other.ff,
            self.dsp + other.dsp,
            self.bram36 + other.bram36,
            self.uram + other.uram,
        )

    def __radd__(self, other: int) -> Resources:
        # The built-in sum() starts from 0.
        return self if other == 0 else NotImplemented

    def __mul__(self, copies: float) -> Resources:
        return Resources(
            self.lut * copies,
            self.ff * copies,
            self.dsp * copies,
            self.bram36 * copies,
            self.uram * copies,
        )

    __rmul__ = __mul__

    def as_dict(self) -> dict[str, float]:
        """Return the counts by the names used in board files and in the build manifest."""
        return {
            "lut": self.lut,
            "ff": self.ff,
            "dsp": self.dsp,
            "bram36": self.bram36,
            "uram": self.uram,
        }

    def fits(self, budget: Resources) -> bool:
        """Whether every count is within `budget`."""
        return (
            self.lut <= budget.lut
            and self.ff <= budget.ff
            and self.dsp <= budget.dsp
            and self.bram36 <= budget.bram36
            and self.uram <= budget.uram
        )

    def exceeds(self, budget: Resources) -> list[str]:
        """Return one line for each resource of which there is not enough."""
        available = budget.as_dict()
        return [
            f"{ceil(2 * needed) / 2:g} {_LABELS[name]} needed, {available[name]:g} available"
            for name, needed in self.as_dict().items()
            if needed > available[name]
        ]

    def utilization(self, budget: Resources) -> dict[str, float]:
        """Return needed / available for each resource that `budget` has any of."""
        available = budget.as_dict()
        return {n: v / available[n] for n, v in self.as_dict().items() if available[n]}
