"""Matrix-vector product and sign as one: o = 1 where W @ i has reached a threshold.

A linear box and the one-bit function behind it, in one operator because the hardware of both is
less than their sum: nobody needs to know by how much a threshold is passed. A folded accumulator
starts below zero by as much, and its sign is the answer; an unrolled binary row only finds out
whether enough inputs match.

Source: Umuroglu et al., FINN, FPGA 2017, section 4.2.2 (thresholds behind popcounts).
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import ClassVar

import numpy as np

from hwgen.adders import AdderTarget
from hwgen.cost import Resources
from hwgen.ir import Codes, Same, Schedule, TensorType, expect, frozen_codes
from hwgen.numeric import CodeType
from hwgen.ops.case import Case, Reject, bipolar_vector, integers, vector
from hwgen.ops.matvec import Kernel, MatVec
from hwgen.ops.thresholds import Thresholds
from hwgen.rtl.binary_rows import BinaryRows, binary_rows
from hwgen.rtl.matvec import FoldedMatVec
from hwgen.rtl.stream.chain import Chain
from hwgen.rtl.stream.component import StreamComponent

ONE_BIT = (CodeType.binary(), CodeType(0, 1))


@dataclass(frozen=True, eq=False)
class MatVecThreshold(MatVec):
    """Multiply by a constant matrix and compare.

    Parameters
    ----------
    thresholds : int64 [O], reached from below
    codes : of the result, -1 and +1 or 0 and 1
    """

    # what
    name: ClassVar[str] = "matvec_threshold"
    thresholds: Codes = field(default_factory=lambda: np.zeros(0, dtype=np.int64))
    codes: CodeType = ONE_BIT[0]

    def __post_init__(self) -> None:
        super().__post_init__()
        cuts = frozen_codes(self.thresholds, 1, "matvec_threshold thresholds")
        object.__setattr__(self, "thresholds", cuts)

    def sums(self, x: TensorType) -> TensorType:
        """Return the type of the exact sums, which nobody sees."""
        return super().infer(x)

    def infer(self, *inputs: TensorType) -> TensorType:
        """Vectors of I codes become vectors of O bits."""
        (x,) = inputs
        sums, rows = self.sums(x), self.weights.shape[0]
        expect(
            self.thresholds.shape == (rows,),
            f"{len(self.thresholds)} thresholds, expected one for each of {rows} rows",
        )
        expect(self.codes in ONE_BIT, f"codes are {self.codes}, expected bipolar or 0..1")
        return TensorType(sums.shape, self.codes)

    # meaning
    def evaluate(self, *codes: Codes) -> Codes:
        """Return which sums have reached their thresholds."""
        reached = super().evaluate(*codes) >= self.thresholds
        return self.codes.codes()[reached.astype(np.int64)]

    # promise
    @property
    def binary(self) -> BinaryRows | None:
        """The plan of an unrolled product of bits, which compares and does not count."""
        if not self.unrolled or self.kernel is not Kernel.XNOR:
            return None
        return binary_rows(Same(self.weights), Same(self.thresholds), self.target.lut_inputs)

    @property
    def parts(self) -> tuple[MatVec, Thresholds]:
        """The two operators that this one means."""
        shape = self.weights, self.pe, self.simd, self.kernel, self.pixels, self.target
        rising = np.zeros(1, dtype=np.int64)
        lanes = self.lanes[1]
        return MatVec(*shape), Thresholds(self.thresholds[:, None], rising, self.codes, lanes)

    @property
    def apart(self) -> tuple[MatVec, Thresholds] | None:
        """The two operators where an adder graph gives the sums anyway, else None."""
        return self.parts if self.unrolled and self.binary is None else None

    def schedule(self, *inputs: TensorType) -> Schedule:
        """As the product's; a comparison of its own takes longer."""
        (x,) = inputs
        schedule = super().schedule(x)
        if self.apart is None:
            return schedule
        depth = schedule.depth + self.apart[1].schedule(self.sums(x)).depth
        return Schedule(schedule.takes, schedule.gives, depth)

    def estimate(self, *inputs: TensorType) -> Resources:
        """As `resources`, but nothing is solved or planned for an unrolled matrix."""
        (x,) = inputs
        if self.binary is not None:
            return super().estimate(x)
        if self.apart is None:
            return self.resources(x)
        product, compare = self.apart
        return product.estimate(x) + compare.estimate(self.sums(x))

    def resources(self, *inputs: TensorType) -> Resources:
        """Predict the product with its comparison."""
        (x,) = inputs
        if self.apart is not None:
            product, compare = self.apart
            return product.resources(x) + compare.resources(self.sums(x))
        if self.binary is not None:
            return super().resources(x)
        kernel, sums = self.dot_kernel(x.codes), self.sums(x)
        return FoldedMatVec.resources_of(
            kernel, self.weights, self.pe, self.simd, sums, self.thresholds
        )

    # hardware
    def hardware(self, *inputs: TensorType) -> StreamComponent:
        """Return the unit; where sums come from an adder graph, two in a chain."""
        (x,) = inputs
        if self.apart is not None:
            product, compare = self.apart
            parts = product.hardware(x), compare.hardware(self.sums(x))
            return Chain({"product": parts[0], "compare": parts[1]})
        if self.binary is not None:
            return super().hardware(x)
        kernel, sums = self.dot_kernel(x.codes), self.sums(x)
        shape = kernel, self.weights, self.pe, self.simd
        return FoldedMatVec(*shape, x, sums, self.thresholds, self.codes)


def _case(
    rows: int,
    x: TensorType,
    beats: tuple[int, int],
    kernel: Kernel,
    low: int,
    pixels: int = 1,
    family: str = "xcup",
) -> Case:
    signs = kernel in (Kernel.XNOR, Kernel.SIGNED_ADD)
    weights = integers((rows, x.channels), low, -low if signs else -low - 1, 2 if signs else 1)
    # Some thresholds are out of reach, or always reached.
    thresholds = integers((rows,), -x.channels - 2, x.channels + 2, seed=1)
    bits = ONE_BIT[rows % 2]
    target = AdderTarget(family=family)
    op = MatVecThreshold(weights, *beats, kernel, pixels, target, thresholds, bits)
    return Case(op, (x,))


def _cases() -> tuple[Case, ...]:
    six, image = bipolar_vector(6), TensorType((2, 4, 6), CodeType.binary())
    cases = [
        _case(4, six, beats, Kernel.XNOR, -1)
        for beats in ((1, 1), (2, 1), (1, 6), (4, 3), (2, 3), (4, 6))
    ]
    cases += [
        _case(rows, bipolar_vector(columns), (rows, columns), Kernel.XNOR, -1)
        for rows, columns in ((1, 1), (3, 2), (9, 16), (12, 33), (40, 9))
    ]
    cases += [
        _case(rows, bipolar_vector(columns), (rows, columns), Kernel.XNOR, -1, family="ecp5")
        for rows, columns in ((9, 16), (12, 33))
    ]
    cases += [
        _case(4, image, (4, 6), Kernel.XNOR, -1, 2),
        # More passes than starts are tables for.
        _case(18, six, (1, 3), Kernel.XNOR, -1),
        _case(18, six, (2, 6), Kernel.SIGNED_ADD, -1),
        _case(6, vector(6, -3, 4), (2, 3), Kernel.SIGNED_ADD, -1),
        _case(6, vector(6, 0, 7), (3, 2), Kernel.MAC, -4),
        _case(4, vector(6, 0, 7), (4, 6), Kernel.MAC, -4),
        _case(6, vector(6, 0, 7), (2, 1), Kernel.SHIFT_ADD, -4),
        _case(4, vector(6, -128, 127), (2, 2), Kernel.PACKED_MAC, -128),
    ]
    return tuple(cases)


CASES = _cases()
REJECTS = (
    Reject(
        MatVecThreshold(integers((4, 6), -2, 2), thresholds=integers((3,), 0, 1)),
        (vector(6, 0, 3),),
        "3 thresholds, expected one for each of 4 rows",
    ),
    Reject(
        MatVecThreshold(
            integers((4, 6), -2, 2), thresholds=integers((4,), 0, 1), codes=CodeType(1, 2)
        ),
        (vector(6, 0, 3),),
        "codes are 1..2, expected bipolar or 0..1",
    ),
)
