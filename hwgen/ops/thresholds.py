"""Thresholds: the code says how many thresholds the input has reached.

The finite function of binary and few-bit activations: BatchNorm, bias and rounding disappear into
the thresholds.

Source: Umuroglu et al., FINN, FPGA 2017, section 4.2.2 (MultiThreshold).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from hwgen.cost import Resources
from hwgen.ir import Codes, TensorType, expect, frozen_codes
from hwgen.numeric import CodeType
from hwgen.ops.case import Case, Reject, bipolar_vector, integers, vector
from hwgen.ops.lane_parallel import ChannelWise, expect_channels
from hwgen.ops.threshold_unit import ThresholdUnit
from hwgen.rtl.rom import rom_resources
from hwgen.rtl.stream.component import StreamComponent
from hwgen.rtl.threshold_search import search_cost, search_fits, search_levels


@dataclass(frozen=True, eq=False)
class Thresholds(ChannelWise):
    """Count reached thresholds.

    Parameters
    ----------
    thresholds : int64 [C or 1, K], ascending along K = codes.size - 1; equal ones are allowed
    falling : int64 [C or 1], 1 where a larger input gives a smaller code
    codes : the result: n thresholds reached give the n-th code (from the top where falling)
    pe : codes a beat
    """

    # what
    name: ClassVar[str] = "thresholds"
    thresholds: Codes
    falling: Codes
    codes: CodeType
    pe: int = 1

    def __post_init__(self) -> None:
        table = frozen_codes(self.thresholds, 2, "thresholds")
        object.__setattr__(self, "thresholds", table)
        object.__setattr__(self, "falling", frozen_codes(self.falling, 1, "thresholds falling"))

    def infer(self, *inputs: TensorType) -> TensorType:
        """Shape stays; the type is `codes`."""
        (x,) = inputs
        expect_channels(self.thresholds, x, self.pe, "thresholds")
        expect_channels(self.falling, x, self.pe, "falling")
        steps = self.thresholds.shape[1]
        expect(
            steps == self.codes.size - 1,
            f"{steps} thresholds for the {self.codes.size} codes {self.codes}, expected "
            f"{self.codes.size - 1}",
        )
        expect(bool(np.all(np.diff(self.thresholds) >= 0)), "thresholds are not ascending")
        expect(bool(np.all((self.falling == 0) | (self.falling == 1))), "falling is not 0 or 1")
        return TensorType(x.shape, self.codes)

    # meaning
    def evaluate(self, *codes: Codes) -> Codes:
        """Apply to the last axis."""
        (x,) = codes
        reached = np.zeros(np.broadcast_shapes(x.shape, self.falling.shape), dtype=np.int64)
        for column in self.thresholds.T:
            reached += x >= column
        steps = self.thresholds.shape[1]
        return self.codes.codes()[np.where(self.falling == 1, steps - reached, reached)]

    # promise
    @property
    def groups(self) -> int:
        """Different parameters of a lane; 1 where they are constants."""
        channels = max(len(self.thresholds), len(self.falling))
        return max(channels // self.pe, 1)

    @property
    def searched(self) -> bool:
        """Whether thresholds are searched by halves, not compared all at once."""
        return search_fits(self.thresholds.shape[1], self.groups)

    @property
    def depth(self) -> int:
        """Fetch; compare once for each bit, or all at once and, for more than one, count."""
        steps = self.thresholds.shape[1]
        if self.searched:
            return 1 + max(search_levels(steps), 1)
        return 2 if steps <= 1 else 3

    def resources(self, *inputs: TensorType) -> Resources:
        """Predict comparators, the counter and the threshold memory."""
        (x,) = inputs
        steps, bits = self.thresholds.shape[1], x.codes.width
        if self.searched:
            # Above the bits of the thresholds there is only the sign to look at.
            compared = min(bits, CodeType.of(self.thresholds).width + 1) if steps else 0
            lut, ff = search_cost(steps, self.groups, compared)
            return Resources(lut=lut, ff=ff + bits) * self.pe
        lane = Resources(
            lut=0.7 * bits * steps + 1.6 * (steps - 1), ff=bits + steps + self.codes.width
        )
        words = self.beats_of_vector(x)
        return lane * self.pe + rom_resources(words, self.pe * (steps * bits + 1))

    def memory_bits(self, *inputs: TensorType) -> int:
        """Bits of thresholds that differ between channels of a lane."""
        (x,) = inputs
        word_bits = int(self.thresholds.shape[1]) * x.codes.width + 1
        return word_bits * x.channels if x.channels > self.pe else 0

    # hardware
    def hardware(self, *inputs: TensorType) -> StreamComponent:
        """Return `pe` lanes of comparators."""
        (x,) = inputs
        parameters = self.thresholds, self.falling
        return ThresholdUnit(*parameters, x, self.codes, self.pe, self.depth, self.searched)


def _cases() -> tuple[Case, ...]:
    binary, flags = CodeType.binary(), integers((6,), 0, 1)
    rising = np.array([0])
    few = np.sort(integers((6, 3), -60, 60), axis=1)
    many, most = np.sort(integers((40, 3), -60, 60), axis=1), integers((65, 1), -60, 60)
    cases = [
        Case(Thresholds(integers((6, 1), -60, 60), flags, binary, pe=pe), (vector(6, -50, 49),))
        for pe in (1, 2, 3, 6)
    ]
    cases += [
        Case(Thresholds(few, flags, CodeType(-1, 2), pe=pe), (vector(6, -50, 49),)) for pe in (1, 6)
    ]
    cases += [
        Case(Thresholds(few, rising, CodeType(0, 3), pe=2), (vector(6, 0, 49),)),
        Case(Thresholds(few[:1], rising, CodeType(-4, -1), pe=2), (vector(6, -50, 49),)),
        Case(Thresholds(few[:, :1], rising, CodeType(0, 1), pe=3), (vector(6, -50, -9),)),
        Case(Thresholds(np.array([[1]]), rising + 1, binary), (bipolar_vector(3),)),
        Case(Thresholds(few[:, :2], flags, CodeType(0, 2), pe=3), (vector(6, -50, 49),)),
        # More channels than tables hold.
        Case(Thresholds(many, integers((40,), 0, 1), CodeType(-2, 1)), (vector(40, -50, 49),)),
        Case(Thresholds(most, np.array([1]), binary), (vector(65, -50, 49),)),
        Case(
            Thresholds(few, flags, CodeType(-1, 2), pe=12),
            (TensorType((2, 4, 6), CodeType(-50, 49)),),
        ),
        Case(
            Thresholds(np.arange(15)[None], rising, CodeType(0, 15), pe=2),
            (TensorType((2, 2), CodeType(-3, 16)),),
        ),
    ]
    return tuple(cases)


CASES = _cases()
REJECTS = (
    Reject(
        Thresholds(np.array([[2]]), np.array([0]), CodeType(0, 1), pe=9),
        (TensorType((2, 4, 3), CodeType(0, 9)),),
        "pe is 9, expected a divisor of 3 channels or 3 times one of [1, 2, 4] pixels",
    ),
    Reject(
        Thresholds(np.array([[1, 2]]), np.array([0]), CodeType(0, 3)),
        (vector(3, 0, 9),),
        "2 thresholds for the 4 codes 0..3, expected 3",
    ),
    Reject(
        Thresholds(np.array([[2, 1]]), np.array([0]), CodeType(0, 2)),
        (vector(3, 0, 9),),
        "thresholds are not ascending",
    ),
)
