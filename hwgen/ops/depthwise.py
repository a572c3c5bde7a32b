"""Depthwise convolution: each channel of a window meets its own kernel.

Reads what `sliding_window` gives. With weights of one it is a sum over overlapping windows.

Source: Howard et al., MobileNets, arXiv 1704.04861, section 3.1.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import ClassVar

import numpy as np

from hwgen.cost import Resources
from hwgen.ir import Codes, Op, Schedule, TensorType, expect, frozen_codes, union
from hwgen.numeric import CodeType
from hwgen.ops.case import Case, Reject, bipolar_vector, integers, vector
from hwgen.ops.lane_choices import divisors, expect_choice
from hwgen.ops.matvec import Kernel
from hwgen.rtl.dot import KERNELS, DotKernel
from hwgen.rtl.memory import lut_memory_resources
from hwgen.rtl.rom import rom_resources
from hwgen.rtl.spatial.geometry import expect_lanes
from hwgen.rtl.spatial.tap_sum import TapSum, depth_of
from hwgen.rtl.stream.component import StreamComponent


@dataclass(frozen=True, eq=False)
class Depthwise(Op):
    """Turn windows (..., taps * C) into (..., C): a dot product a channel.

    Parameters
    ----------
    weights : int64 [C, taps]
    pe : channels a beat, a divisor of C
    kernel : one that accepts these weights and inputs
    taps : taps a beat, a divisor of all; several only with pe = C
    """

    # what
    name: ClassVar[str] = "depthwise"
    weights: Codes
    pe: int = 1
    kernel: Kernel = Kernel.MAC
    taps: int = 1

    def __post_init__(self) -> None:
        object.__setattr__(self, "weights", frozen_codes(self.weights, 2, "depthwise weights"))

    def infer(self, *inputs: TensorType) -> TensorType:
        """Exact sums, one interval a channel."""
        (x,) = inputs
        channels, taps = self.weights.shape
        expect(
            x.channels == channels * taps,
            f"windows have {x.channels} codes, expected {taps} taps of {channels} channels",
        )
        expect_lanes(self.pe, channels)
        expect_choice("taps", self.taps, divisors(int(taps)))
        expect(
            self.taps == 1 or self.pe == channels,
            f"taps is {self.taps} with pe {self.pe}, expected pe {channels}: all channels",
        )
        reason = KERNELS[self.kernel.value].rejects(self.weights, x.codes)
        expect(not reason, f"{reason}; choose another kernel")
        each = self._channel_intervals(x)
        whole = union(each)
        expect(whole.width <= 48, f"accumulator needs {whole.width} bits, expected at most 48")
        return TensorType((*x.shape[:-1], channels), whole, each)

    def _channel_intervals(self, x: TensorType) -> tuple[CodeType, ...]:
        """Interval arithmetic over the taps, in Python integers, which cannot overflow."""
        channels, kinds = self.weights.shape[0], x.per_channel()
        intervals = []
        for channel, row in enumerate(self.weights.tolist()):
            ends = [
                sorted((weight * codes.lo, weight * codes.hi))
                for weight, codes in zip(row, kinds[channel::channels], strict=True)
            ]
            intervals.append(CodeType(sum(low for low, _ in ends), sum(high for _, high in ends)))
        return tuple(intervals)

    # meaning
    def evaluate(self, *codes: Codes) -> Codes:
        """Return the dot products."""
        (x,) = codes
        channels, taps = self.weights.shape
        result = np.zeros((*x.shape[:-1], channels), dtype=np.int64)
        for tap in range(taps):
            result += x[..., tap * channels : (tap + 1) * channels] * self.weights[:, tap]
        return result

    # promise
    @property
    def lanes(self) -> tuple[int, int]:
        """Codes in an input beat and in an output beat."""
        return self.taps * self.pe, self.pe

    def interval_cycles(self, *inputs: TensorType) -> int:
        """A beat a cycle."""
        return inputs[0].size // (self.taps * self.pe)

    def foldings(self, *inputs: TensorType) -> tuple[Depthwise, ...]:
        """Parts of a tap, then several taps: as `sliding_window` gives them."""
        channels, taps = (int(n) for n in self.weights.shape)
        every = [(pe, 1) for pe in divisors(channels)]
        every += [(channels, t) for t in divisors(taps)[1:]]
        return tuple(replace(self, pe=pe, taps=t) for pe, t in every)

    @property
    def groups(self) -> int:
        """Beats of a pixel."""
        return int(self.weights.shape[0]) // self.pe

    def dot_kernel(self, inputs: CodeType) -> DotKernel:
        """Return the kernel sized for these weights and inputs."""
        return KERNELS[self.kernel.value](self.weights, inputs)

    def schedule(self, *inputs: TensorType) -> Schedule:
        """A beat a cycle; the beats of a window's last tap lead to its sums."""
        (x,) = inputs
        beats = self.weights.size // (self.taps * self.pe)
        gives = np.tile(np.arange(beats) >= beats - self.groups, x.vectors)
        depth = depth_of(self.dot_kernel(x.codes), self.taps)
        return Schedule(np.ones(len(gives), dtype=bool), gives, depth)

    def resources(self, *inputs: TensorType) -> Resources:
        """Predict from the kernel's figures for a lane, the sums and the weight memory."""
        (x,) = inputs
        kernel, width = self.dot_kernel(x.codes), self.infer(x).codes.width
        multipliers = self.taps * self.pe
        lanes = kernel.lane_resources() * multipliers + Resources(lut=1.1 * width) * self.pe
        control = Resources(lut=24, ff=24 + multipliers * x.codes.width)
        weights = rom_resources(self.weights.size // multipliers, multipliers * kernel.weight_bits)
        sums = lut_memory_resources(self.groups, self.pe * width)
        return lanes + control + sums + weights

    def memory_bits(self, *inputs: TensorType) -> int:
        """Weight words."""
        return self.weights.size * self.dot_kernel(inputs[0].codes).weight_bits

    # hardware
    def hardware(self, *inputs: TensorType) -> StreamComponent:
        """Return `pe` lanes of multiply and accumulate."""
        (x,) = inputs
        kernel, out = self.dot_kernel(x.codes), self.infer(x)
        return TapSum(kernel, self.weights, self.pe, x, out, self.taps)


def _cases() -> tuple[Case, ...]:
    windows = TensorType((2, 3, 24), CodeType(-4, 3))
    each = tuple(CodeType(-k, 2 * k) for k in range(6))
    cases = [Case(Depthwise(integers((4, 6), -9, 9), pe), (windows,)) for pe in (1, 2, 4)]
    cases += [
        Case(Depthwise(integers((2, 3), -7, 9), pe), (TensorType((6,), CodeType(-5, 10), each),))
        for pe in (1, 2)
    ]
    for kernel, weights, x in (
        (Kernel.XNOR, integers((4, 6), -1, 1, step=2), bipolar_vector(24)),
        (Kernel.SIGNED_ADD, integers((4, 6), -1, 1), vector(24, -3, 4)),
        (Kernel.SIGNED_ADD, integers((4, 6), 1, 1), vector(24, 0, 15)),
        (Kernel.SHIFT_ADD, integers((4, 6), -6, 6), vector(24, -8, 7)),
        (Kernel.MAC, integers((4, 6), -9, 3), bipolar_vector(24)),
    ):
        cases += [Case(Depthwise(weights, pe, kernel), (x,)) for pe in (2, 4)]
        cases += [Case(Depthwise(weights, 4, kernel, taps), (x,)) for taps in (3, 6)]
    cases.append(Case(Depthwise(integers((3, 1), -5, 5)), (vector(3, -2, 2),)))
    cases.append(Case(Depthwise(np.zeros((2, 2), dtype=np.int64), 2), (vector(4, 0, 1),)))
    cases.append(Case(Depthwise(integers((1, 9), -128, 127)), (vector(9, -128, 127),)))
    return tuple(cases)


CASES = _cases()
REJECTS = (
    Reject(
        Depthwise(integers((4, 6), -2, 2)),
        (vector(20, 0, 3),),
        "windows have 20 codes, expected 6 taps of 4 channels",
    ),
    Reject(
        Depthwise(integers((4, 6), -2, 2), pe=3),
        (vector(24, 0, 3),),
        "pe is 3, expected a divisor of 4 channels",
    ),
    Reject(
        Depthwise(integers((4, 6), -2, 2), 2, taps=3),
        (vector(24, 0, 3),),
        "taps is 3 with pe 2, expected pe 4: all channels",
    ),
    Reject(
        Depthwise(integers((4, 6), -2, 2), kernel=Kernel.XNOR),
        (vector(24, 0, 3),),
        "inputs are 0..3, the xnor kernel takes bipolar; choose another kernel",
    ),
)
