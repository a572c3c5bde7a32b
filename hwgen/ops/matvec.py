"""Matrix-vector product with a constant matrix: o = W @ i over the channels of every vector.

The linear box of the network. Folding: `pe` rows and `simd` columns a cycle, from one of each to
the whole matrix; bias, scale and activation live in the finite function that follows.

Source: Umuroglu et al., FINN, FPGA 2017 (PE x SIMD folding).
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import ClassVar

import numpy as np

from hwgen.adders import AdderTarget
from hwgen.cost import Resources
from hwgen.ir import Codes, Op, Same, Schedule, TensorType, expect, frozen_codes, union
from hwgen.numeric import CodeType
from hwgen.ops.case import Case, Reject, bipolar_vector, integers, vector
from hwgen.ops.kernel import Kernel as Kernel
from hwgen.ops.lane_choices import expect_matrix_beats, matrix_choices
from hwgen.ops.row_intervals import row_intervals
from hwgen.rtl.binary_matvec import BinaryMatVec
from hwgen.rtl.binary_rows import BinaryRows, binary_rows
from hwgen.rtl.constant_matvec import DEFAULT_TARGET, ConstantMatVec
from hwgen.rtl.dot import DotKernel, dot_kernel, kernel_rejects
from hwgen.rtl.matvec import FoldedMatVec, folded_depth
from hwgen.rtl.stream.component import StreamComponent

FLOAT32_EXACT, FLOAT64_EXACT = 1 << 24, 1 << 53  # every integer up to these is a float


@dataclass(frozen=True, eq=False)
class MatVec(Op):
    """Multiply by a constant matrix.

    Parameters
    ----------
    weights : int64 [O, I]
    pe : rows computed at once, a divisor of O
    simd : columns consumed at once, a divisor of I
    kernel : one that accepts these weights and inputs
    pixels : vectors a beat, side by side; several only with the whole matrix, pe = O and simd = I
    target : what an unrolled matrix may be made of
    """

    # what
    name: ClassVar[str] = "matvec"
    weights: Codes
    pe: int = 1
    simd: int = 1
    kernel: Kernel = Kernel.MAC
    pixels: int = 1
    target: AdderTarget = DEFAULT_TARGET

    def __post_init__(self) -> None:
        object.__setattr__(self, "weights", frozen_codes(self.weights, 2, "matvec weights"))

    def infer(self, *inputs: TensorType) -> TensorType:
        """Vectors of I codes become vectors of O exact sums, one interval a row."""
        x, (rows, columns) = inputs[0], self.weights.shape
        expect(x.channels == columns, f"input has {x.channels} channels, expected {columns}")
        expect_matrix_beats(x, rows, self.pe, self.simd, self.pixels)
        multiplier = self.target.multiplier
        reason = kernel_rejects(self.kernel.value, Same(self.weights), x.codes, multiplier)
        expect(not reason, f"{reason}; choose another kernel")
        reason = f"pixels is {self.pixels}, the bit_serial kernel takes one vector a beat"
        expect(self.kernel is not Kernel.BIT_SERIAL or self.pixels == 1, reason)
        channels = row_intervals(Same(self.weights), Same(x))
        whole = union(channels)
        expect(whole.width <= 48, f"accumulator needs {whole.width} bits, expected at most 48")
        return TensorType((*x.shape[:-1], rows), whole, channels)

    # meaning
    def evaluate(self, *codes: Codes) -> Codes:
        """Return W @ x; through float BLAS where no partial sum can leave its exact integers."""
        (x,) = codes
        bound = int(np.abs(self.weights).sum(axis=1).max()) * int(np.abs(x).max(initial=0))
        if bound >= FLOAT64_EXACT:
            return x @ self.weights.T
        real = np.float32 if bound < FLOAT32_EXACT else np.float64
        return np.asarray(x.astype(real) @ self.weights.T.astype(real), dtype=np.int64)

    # promise
    @property
    def lanes(self) -> tuple[int, int]:
        """Codes in an input beat and in an output beat."""
        return self.pixels * self.simd, self.pixels * self.pe

    @property
    def row_folds(self) -> int:
        """Passes over the input vector."""
        return int(self.weights.shape[0]) // self.pe

    @property
    def column_folds(self) -> int:
        """Beats of an input vector."""
        return int(self.weights.shape[1]) // self.simd

    @property
    def steps(self) -> int:
        """Different weights that a row of the unit has, one after the other."""
        return self.row_folds * self.column_folds

    @property
    def unrolled(self) -> bool:
        """Whether the whole matrix is there at once, its weights constants."""
        return self.row_folds == self.column_folds == 1 and self.kernel is not Kernel.BIT_SERIAL

    @property
    def binary(self) -> BinaryRows | None:
        """The plan of an unrolled product of bits, whose rows share popcounts."""
        if not self.unrolled or self.kernel is not Kernel.XNOR:
            return None
        return binary_rows(Same(self.weights), None, self.target.lut_inputs)

    def dot_kernel(self, inputs: CodeType) -> DotKernel:
        """Return the kernel sized for these weights and inputs."""
        device = self.target.multiplier, self.target.lut_inputs
        return dot_kernel(self.kernel.value, Same(self.weights), inputs, *device)

    def schedule(self, *inputs: TensorType) -> Schedule:
        """A cycle a step, or one for each input bit; the first pass takes, each gives a beat."""
        x, kernel = inputs[0], self.dot_kernel(inputs[0].codes)
        steps, plane = np.divmod(np.arange(self.steps * kernel.planes), kernel.planes)
        passes = steps % self.column_folds == self.column_folds - 1
        vectors = x.vectors // self.pixels
        takes = np.tile((steps < self.column_folds) & (plane == 0), vectors)
        gives = np.tile(passes & (plane == kernel.planes - 1), vectors)
        if self.binary is not None:
            return Schedule(takes, gives, BinaryMatVec.depth_of(self.binary))
        if self.unrolled:
            depth = ConstantMatVec.depth_of(kernel, self.weights, self.target)
            return Schedule(takes, gives, depth)
        return Schedule(takes, gives, folded_depth(kernel.folded_unit(self.steps, self.simd)))

    def interval_cycles(self, *inputs: TensorType) -> int:
        """A cycle a step of each vector, or one for each bit of an input."""
        planes = self.dot_kernel(inputs[0].codes).planes
        return self.steps * planes * inputs[0].vectors // self.pixels

    def foldings(self, *inputs: TensorType) -> tuple[MatVec, ...]:
        """Return every pe and simd; then the whole matrix for several pixels a beat."""
        choices = matrix_choices(inputs[0], int(self.weights.shape[0]))
        return tuple(replace(self, pe=pe, simd=simd, pixels=m) for pe, simd, m in choices)

    def estimate(self, *inputs: TensorType) -> Resources:
        """As `resources`, but nothing is solved or planned for an unrolled matrix."""
        if not self.unrolled:
            return self.resources(*inputs)
        kernel, out = self.dot_kernel(inputs[0].codes), self.infer(*inputs)
        if self.binary is not None:
            return BinaryMatVec.estimate_of(self.binary, out.codes) * self.pixels
        return ConstantMatVec.estimate_of(kernel, self.weights, out, self.target) * self.pixels

    def resources(self, *inputs: TensorType) -> Resources:
        """Predict from the kernel's figures for a lane, the accumulators and the memories."""
        kernel, out = self.dot_kernel(inputs[0].codes), self.infer(*inputs)
        if self.binary is not None:
            return BinaryMatVec.resources_of(self.binary, out.codes) * self.pixels
        if self.unrolled:
            unit = ConstantMatVec.resources_of(kernel, self.weights, out, self.target)
            return unit * self.pixels
        return FoldedMatVec.resources_of(kernel, self.weights, self.pe, self.simd, out)

    def memory_bits(self, *inputs: TensorType) -> int:
        """Weight words; none when they are constants."""
        kernel = self.dot_kernel(inputs[0].codes)
        return 0 if self.unrolled else self.weights.size * kernel.weight_bits

    # hardware
    def hardware(self, *inputs: TensorType) -> StreamComponent:
        """Return the unrolled or the folded unit."""
        x = inputs[0]
        kernel, out = self.dot_kernel(x.codes), self.infer(x)
        if self.binary is not None:
            return BinaryMatVec(self.binary, x, out, self.pixels)
        if self.unrolled:
            return ConstantMatVec(kernel, self.weights, x, out, self.pixels, self.target)
        return FoldedMatVec(kernel, self.weights, self.pe, self.simd, x, out)


def _cases() -> tuple[Case, ...]:
    cases = []
    for kernel, weights, x in (
        (Kernel.XNOR, integers((4, 6), -1, 1, step=2), bipolar_vector(6)),
        (Kernel.SIGNED_ADD, integers((4, 6), -1, 1), vector(6, -3, 4)),
        (Kernel.SIGNED_ADD, integers((4, 6), -1, 1, step=2), vector(6, 0, 15)),
        (Kernel.SHIFT_ADD, integers((4, 6), -6, 6), vector(6, -8, 7)),
        (Kernel.MAC, integers((4, 6), -32, 31), vector(6, 0, 63)),
        (Kernel.MAC, integers((4, 6), -9, 3), bipolar_vector(6)),
        (Kernel.PACKED_MAC, integers((4, 6), -8, 7), vector(6, 0, 15)),
        (Kernel.PACKED_MAC, integers((4, 6), -128, 127), vector(6, -128, 127)),
        (Kernel.BIT_SERIAL, integers((4, 6), -9, 3), vector(6, 0, 11)),
        (Kernel.BIT_SERIAL, integers((4, 6), -2, 1), vector(6, -4, 3)),
    ):
        beats = ((1, 1), (2, 1), (1, 6), (4, 3), (2, 3), (4, 6))
        cases += [Case(MatVec(weights, pe, simd, kernel), (x,)) for pe, simd in beats]
    mac, signs = integers((4, 6), -32, 31, seed=1), integers((4, 6), -1, 1, 2)
    image, bits = TensorType((2, 3, 6), CodeType(-4, 3)), TensorType((2, 4, 6), CodeType.binary())
    cases += [Case(MatVec(mac, 2, 2), (image,)), Case(MatVec(mac, 4, 6, pixels=3), (image,))]
    cases.append(Case(MatVec(signs, 4, 6, Kernel.XNOR, 2), (bits,)))
    clocks = [AdderTarget(family="ecp5", period_ps=ps) for ps in (2_000, 7_000, 50_000)]
    clocks += [AdderTarget(0.0, True, period_ps=ps) for ps in (0, 2_000, 50_000)]
    inputs = vector(6, -8, 7), vector(6, 0, 31)
    cases += [Case(MatVec(mac, 4, 6, target=clock), (x,)) for x in inputs for clock in clocks]
    nothing = Case(MatVec(np.zeros((2, 4), dtype=np.int64), 2, 4), (vector(4, 0, 1),))
    wide = Case(MatVec(integers((3, 5), -100, 100), 3, 5), (vector(5, -1000, 1000),))
    one = Case(MatVec(integers((1, 1), 5, 5)), (vector(1, -2, 2),))
    return (*cases, nothing, one, wide, *_wide_cases())


def _wide_cases() -> list[Case]:
    """Folds with several blocks, masks, memories and starts of their own."""
    signs, ternary, few = (integers((3, 76), *r) for r in ((-1, 1, 2), (-1, 1), (-2, 1)))
    bits, nibbles = bipolar_vector(76), vector(76, -8, 7)
    chosen = (
        (signs, Kernel.XNOR, bits, (76, 19, 4)),
        (signs, Kernel.SIGNED_ADD, nibbles, (19, 4)),
        (ternary, Kernel.SIGNED_ADD, nibbles, (38, 4)),
        (few, Kernel.MAC, nibbles, (38, 4)),
        (few, Kernel.BIT_SERIAL, nibbles, (38, 4)),
        (few, Kernel.SHIFT_ADD, vector(76, 0, 7), (19,)),
    )
    narrow = MatVec(signs, 3, 76, Kernel.XNOR, target=AdderTarget(family="ecp5"))
    cases = [Case(MatVec(w, 1, simd, kernel), (x,)) for w, kernel, x, s in chosen for simd in s]
    return [*cases, Case(narrow, (bits,))]


CASES = _cases()
REJECTS = (
    Reject(
        MatVec(integers((4, 6), -2, 2), 4, 3, pixels=2),
        (TensorType((2, 6, 6), CodeType(0, 3)),),
        "pixels is 2 with pe 4 and simd 3, expected pe 4 and simd 6: the whole matrix",
    ),
    Reject(
        MatVec(integers((4, 6), -2, 2), pe=3),
        (vector(6, 0, 3),),
        "pe is 3, expected a divisor of 4 rows: [1, 2, 4]",
    ),
    Reject(MatVec(integers((4, 6), -2, 2)), (vector(5, 0, 3),), "input has 5 channels, expected 6"),
    Reject(
        MatVec(integers((4, 6), -1, 1, step=2), kernel=Kernel.XNOR),
        (vector(6, 0, 3),),
        "inputs are 0..3, the xnor kernel takes bipolar; choose another kernel",
    ),
)
