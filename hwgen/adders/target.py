"""`AdderTarget`: what the device and the user's patience allow an unrolled product to be.

One value for a whole build; it travels with each matrix-vector operator.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class AdderTarget:
    """Freedom and limits of an adder graph.

    Parameters
    ----------
    effort : work to spend on the search for each matrix, in seconds of a common core
    three_operands : whether a LUT of the device adds three bits beside its carry chain
    """

    effort: float = 0.0
    three_operands: bool = False
