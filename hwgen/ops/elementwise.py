"""A chain of the model's own float32 nodes that ends in a quantizer: not yet hardware.

The frontend makes one for everything between two linear boxes; `passes/tabulate.py` replaces it by
the cheapest operator that equals it on every reachable code.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, NoReturn

import numpy as np
import numpy.typing as npt

from hwgen.cost import Resources
from hwgen.errors import IRError
from hwgen.ir import Codes, Op, Schedule, TensorType, expect
from hwgen.numeric import CodeType, Rounding
from hwgen.ops.case import Case, Reject, vector
from hwgen.ops.float_steps import Add, Clip, Multiply, Quantize, Step, reals

if TYPE_CHECKING:
    from hwgen.rtl.stream.component import StreamComponent


@dataclass(frozen=True, eq=False)
class Elementwise(Op):
    """Execute float32 steps on each channel, then quantize.

    Parameters
    ----------
    scale : float64 [C or 1], real value of input code 1
    steps : applied in order
    quantizer : gives the output codes
    """

    # what
    name: ClassVar[str] = "elementwise"
    scale: npt.NDArray[np.float64]
    steps: tuple[Step, ...]
    quantizer: Quantize

    def __post_init__(self) -> None:
        scale = np.array(self.scale, dtype=np.float64).reshape(-1)
        scale.setflags(write=False)
        object.__setattr__(self, "scale", scale)

    def infer(self, *inputs: TensorType) -> TensorType:
        """Same shape, the quantizer's codes."""
        (x,) = inputs
        expect(
            self.channels in (1, x.channels),
            f"constants for {self.channels} channels, input has {x.channels}",
        )
        return TensorType(x.shape, self.quantizer.codes)

    @property
    def channels(self) -> int:
        """Channels that the constants tell apart; 1 when all are treated alike."""
        sizes = {self.scale.size, 1}.union(*(s.sizes() for s in (*self.steps, self.quantizer)))
        expect(len(sizes) <= 2, f"constants for {sorted(sizes)} channels in one chain")
        return max(sizes)

    # meaning
    def evaluate(self, *codes: Codes) -> Codes:
        """Execute the float32 steps on `codes`."""
        (x,) = codes
        return self.at(x, np.arange(x.shape[-1]))

    def at(self, codes: Codes, channels: Codes) -> Codes:
        """Return the output codes of input `codes` of `channels` (broadcast together)."""
        scale = self.scale if self.scale.size == 1 else self.scale[channels]
        # The product of a code below 2**29 and a float32 scale is exact in float64: one rounding.
        # An overflow to infinity is a value like any other here; the quantizer clips it.
        with np.errstate(over="ignore", under="ignore", invalid="ignore"):
            real = (codes * scale).astype(np.float32)
            for step in self.steps:
                real = step.apply(real, channels)
            if np.isnan(real).any():
                raise IRError("a reachable code gives NaN, which no quantizer can map")
            return self.quantizer.quantize(real, channels)

    def direction(self, channels: int) -> Codes:
        """Return for each channel 1 (never falls), -1 (never rises) or 0 (not known)."""
        every = np.arange(channels)
        result = np.ones(channels, dtype=np.int64)
        for step in self.steps:
            result = result * step.direction(every)
        return result

    # promise
    @property
    def lanes(self) -> tuple[int, int]:
        """Refuse: see the module docstring."""
        self._refuse()

    def schedule(self, *inputs: TensorType) -> Schedule:
        """Refuse: see the module docstring."""
        self._refuse()

    def resources(self, *inputs: TensorType) -> Resources:
        """Refuse: see the module docstring."""
        self._refuse()

    # hardware
    def hardware(self, *inputs: TensorType) -> StreamComponent:
        """Refuse: see the module docstring."""
        self._refuse()

    def _refuse(self) -> NoReturn:
        raise IRError("elementwise has no hardware, it must be tabulated first")


def _cases() -> tuple[Case, ...]:
    quantizer = Quantize(reals(0.25), 0, CodeType(-8, 7), Rounding.RND_CONV)
    chain = (Add(reals([0.5, -0.25, 1.0])), Multiply(reals(0.5)), Clip(reals(0.0), reals(np.inf)))
    eighth = np.array([0.125])
    return (
        Case(Elementwise(eighth, (), quantizer), (vector(3, -100, 100),)),
        Case(Elementwise(np.array([0.5, 0.25, 1.0]), chain, quantizer), (vector(3, -9, 9),)),
    )


CASES = _cases()
REJECTS = (
    Reject(
        Elementwise(
            np.array([1.0]),
            (Add(reals([0.5, -0.25, 1.0])),),
            Quantize(reals(0.25), 0, CodeType(0, 3), Rounding.TRN),
        ),
        (vector(4, 0, 3),),
        "constants for 3 channels, input has 4",
    ),
)
