"""Matrix-vector product with a constant matrix: o = W @ i over the channels of every vector.

The linear box of the network. Folding: `pe` rows and `simd` columns a cycle, from one of each to
the whole matrix; bias, scale and activation live in the finite function that follows.

Source: Umuroglu et al., FINN, FPGA 2017 (PE x SIMD folding).
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from typing import ClassVar

import numpy as np

from hwgen.cost import Resources
from hwgen.ir import Codes, Op, Schedule, TensorType, expect, frozen_codes, union
from hwgen.numeric import CodeType
from hwgen.ops.case import Case, Reject, bipolar_vector, integers, vector
from hwgen.rtl.dot import KERNELS, DotKernel
from hwgen.rtl.matvec import ConstantMatVec, FoldedMatVec, folded_depth
from hwgen.rtl.memory import memory_resources
from hwgen.rtl.stream.component import StreamComponent

FLOAT64_EXACT = 1 << 53


class Kernel(Enum):
    """How a weight meets an input; `rtl/dot/` has one file for each."""

    XNOR = "xnor"
    SIGNED_ADD = "signed_add"
    SHIFT_ADD = "shift_add"
    MAC = "mac"


@dataclass(frozen=True, eq=False)
class MatVec(Op):
    """Multiply by a constant matrix.

    Parameters
    ----------
    weights : int64 [O, I]
    pe : rows computed at once, a divisor of O
    simd : columns consumed at once, a divisor of I
    kernel : one that accepts these weights and inputs
    """

    # what
    name: ClassVar[str] = "matvec"
    weights: Codes
    pe: int = 1
    simd: int = 1
    kernel: Kernel = Kernel.MAC

    def __post_init__(self) -> None:
        object.__setattr__(self, "weights", frozen_codes(self.weights, 2, "matvec weights"))

    def infer(self, *inputs: TensorType) -> TensorType:
        """Vectors of I codes become vectors of O exact sums, one interval a row."""
        (x,) = inputs
        rows, columns = self.weights.shape
        expect(x.channels == columns, f"input has {x.channels} channels, expected {columns}")
        expect(
            rows % self.pe == 0 if self.pe > 0 else False,
            f"pe is {self.pe}, expected a divisor of {rows} rows: {divisors(rows)}",
        )
        expect(
            columns % self.simd == 0 if self.simd > 0 else False,
            f"simd is {self.simd}, expected a divisor of {columns} columns: {divisors(columns)}",
        )
        reason = KERNELS[self.kernel.value].rejects(self.weights, x.codes)
        expect(not reason, f"{reason}; choose another kernel")
        channels = self._row_intervals(x)
        whole = union(channels)
        expect(whole.width <= 48, f"accumulator needs {whole.width} bits, expected at most 48")
        return TensorType((*x.shape[:-1], rows), whole, channels)

    def _row_intervals(self, x: TensorType) -> tuple[CodeType, ...]:
        """Interval arithmetic over each row, exact because each input varies on its own."""
        reach = max(abs(x.codes.lo), abs(x.codes.hi))
        bound = int(np.abs(self.weights).sum(axis=1).max()) * reach
        exact = np.int64 if bound < 1 << 62 else object
        low = np.array([c.lo for c in x.per_channel()], dtype=exact)
        high = np.array([c.hi for c in x.per_channel()], dtype=exact)
        positive = np.maximum(self.weights, 0).astype(exact)
        negative = np.minimum(self.weights, 0).astype(exact)
        lo, hi = positive @ low + negative @ high, positive @ high + negative @ low
        return tuple(CodeType(int(a), int(b)) for a, b in zip(lo, hi, strict=True))

    # meaning
    def evaluate(self, *codes: Codes) -> Codes:
        """Return W @ x; through float64 BLAS where no sum can leave its exact integers."""
        (x,) = codes
        bound = int(np.abs(self.weights).sum(axis=1).max()) * int(np.abs(x).max(initial=0))
        if bound < FLOAT64_EXACT:
            product = x.astype(np.float64) @ self.weights.T.astype(np.float64)
            return product.astype(np.int64)
        return x @ self.weights.T

    # promise
    @property
    def lanes(self) -> tuple[int, int]:
        """Codes in an input beat and in an output beat."""
        return self.simd, self.pe

    @property
    def row_folds(self) -> int:
        """Passes over the input vector."""
        return int(self.weights.shape[0]) // self.pe

    @property
    def column_folds(self) -> int:
        """Beats of an input vector."""
        return int(self.weights.shape[1]) // self.simd

    @property
    def unrolled(self) -> bool:
        """Whether the whole matrix is there at once, its weights constants."""
        return self.row_folds == self.column_folds == 1

    def dot_kernel(self, inputs: CodeType) -> DotKernel:
        """Return the kernel sized for these weights and inputs."""
        return KERNELS[self.kernel.value](self.weights, inputs)

    def schedule(self, *inputs: TensorType) -> Schedule:
        """row_folds * column_folds cycles a vector; the first pass takes, each pass gives one."""
        (x,) = inputs
        steps = np.arange(self.row_folds * self.column_folds)
        takes = np.tile(steps < self.column_folds, x.vectors)
        gives = np.tile(steps % self.column_folds == self.column_folds - 1, x.vectors)
        kernel = self.dot_kernel(x.codes)
        if self.unrolled:
            return Schedule(takes, gives, ConstantMatVec.depth_of(kernel, self.weights))
        return Schedule(takes, gives, folded_depth(kernel, self.simd))

    def estimate(self, *inputs: TensorType) -> Resources:
        """As `resources`, but an unrolled matrix is not solved for its adder graph."""
        (x,) = inputs
        if not self.unrolled:
            return self.resources(x)
        return ConstantMatVec.estimate_of(self.dot_kernel(x.codes), self.weights, self.infer(x))

    def resources(self, *inputs: TensorType) -> Resources:
        """Predict from the kernel's figures for a lane, the accumulators and the memories."""
        (x,) = inputs
        kernel, out = self.dot_kernel(x.codes), self.infer(x)
        if self.unrolled:
            return ConstantMatVec.resources_of(kernel, self.weights, out)
        lanes = kernel.lane_resources() * (self.pe * self.simd)
        width = out.codes.width
        accumulators = Resources(lut=1.1 * width * self.pe, ff=2 * width * self.pe)
        control = Resources(lut=24, ff=20 + self.simd * x.codes.width)
        return lanes + accumulators + control + self._memories(kernel, x)

    def _memories(self, kernel: DotKernel, x: TensorType) -> Resources:
        folds = self.row_folds * self.column_folds
        weights = memory_resources(folds, self.pe * self.simd * kernel.weight_bits)
        if self.row_folds == 1:
            return weights
        return weights + memory_resources(
            self.column_folds, self.simd * x.codes.width, distributed=True
        )

    def memory_bits(self, *inputs: TensorType) -> int:
        """Weight words; none when they are constants."""
        (x,) = inputs
        return 0 if self.unrolled else self.weights.size * self.dot_kernel(x.codes).weight_bits

    # hardware
    def hardware(self, *inputs: TensorType) -> StreamComponent:
        """Return the unrolled or the folded unit."""
        (x,) = inputs
        kernel, out = self.dot_kernel(x.codes), self.infer(x)
        if self.unrolled:
            return ConstantMatVec(kernel, self.weights, x, out)
        return FoldedMatVec(kernel, self.weights, self.pe, self.simd, x, out)


def divisors(number: int) -> list[int]:
    """Return the divisors of `number`, ascending."""
    return [d for d in range(1, number + 1) if number % d == 0]


def _cases() -> tuple[Case, ...]:
    cases = []
    for kernel, weights, x in (
        (Kernel.XNOR, integers((4, 6), -1, 1, step=2), bipolar_vector(6)),
        (Kernel.SIGNED_ADD, integers((4, 6), -1, 1), vector(6, -3, 4)),
        (Kernel.SIGNED_ADD, integers((4, 6), -1, 1, step=2), vector(6, 0, 15)),
        (Kernel.SHIFT_ADD, integers((4, 6), -6, 6), vector(6, -8, 7)),
        (Kernel.MAC, integers((4, 6), -32, 31), vector(6, 0, 63)),
        (Kernel.MAC, integers((4, 6), -9, 3), bipolar_vector(6)),
    ):
        for pe, simd in ((1, 1), (2, 1), (1, 6), (4, 3), (2, 3), (4, 6)):
            cases.append(Case(MatVec(weights, pe, simd, kernel), (x,)))
    mac = integers((4, 6), -32, 31, seed=1)
    image = TensorType((2, 3, 6), CodeType(-4, 3))
    cases.append(Case(MatVec(mac, 2, 2), (image,)))
    cases.append(Case(MatVec(np.zeros((2, 4), dtype=np.int64), 2, 4), (vector(4, 0, 1),)))
    cases.append(Case(MatVec(integers((1, 1), 5, 5)), (vector(1, -2, 2),)))
    cases.append(Case(MatVec(integers((3, 5), -100, 100), 3, 5), (vector(5, -1000, 1000),)))
    return tuple(cases)


CASES = _cases()
REJECTS = (
    Reject(
        MatVec(integers((4, 6), -2, 2), pe=3),
        (vector(6, 0, 3),),
        "pe is 3, expected a divisor of 4 rows: [1, 2, 4]",
    ),
    Reject(
        MatVec(integers((4, 6), -2, 2)),
        (vector(5, 0, 3),),
        "input has 5 channels, expected 6",
    ),
    Reject(
        MatVec(integers((4, 6), -1, 1, step=2), kernel=Kernel.XNOR),
        (vector(6, 0, 3),),
        "inputs are 0..3, the xnor kernel takes bipolar; choose another kernel",
    ),
)
