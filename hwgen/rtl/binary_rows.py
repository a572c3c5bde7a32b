"""How rows of weights -1 and +1 meet bits, all at once: the plan of an unrolled binary layer.

With p matches among n inputs a row's sum is 2p - n. Rows share the first half of their popcounts
where that takes less than counting each by itself, and each counts the rest on its own. Where only
a threshold is asked for, nothing is counted to the end.
"""

from __future__ import annotations

from functools import cached_property, lru_cache

import numpy as np

from hwgen.cost import Resources
from hwgen.ir import Codes, Same
from hwgen.numeric import CodeType
from hwgen.rtl.bit_network import BitNetwork
from hwgen.rtl.compressor_tree import compression_latency, compression_luts
from hwgen.rtl.heap_comparison import HeapBit, add_comparison, comparison
from hwgen.rtl.shared_matches import Matches, SharedMatches

# Registers of a compressor tree for each bit it starts from, by the inputs of a LUT; measured.
TREE_REGISTERS = {6: 1.6, 4: 0.9}
# By the inputs of a LUT. On ECP5 abc9 joins two levels of LUTs of four inputs to larger functions,
# which took 2.7 times as many.
LEVELS_PER_STAGE = {6: 2, 4: 1}
Heap = list[list[HeapBit]]


class BinaryRows:
    """The plan for one matrix.

    Parameters
    ----------
    weights : int64 [rows, columns], -1 and +1
    thresholds : int64 [rows], of the sums; None where the sums themselves are asked for
    lut_inputs : of a LUT of the device
    """

    def __init__(
        self, weights: Codes, thresholds: Codes | None = None, lut_inputs: int = 6
    ) -> None:
        self.weights, self.lut_inputs = weights, lut_inputs
        self.rows, self.inputs = int(weights.shape[0]), int(weights.shape[1])
        # Half a sum, rounded down, is the matches less half the inputs, rounded up.
        self.addend = -((self.inputs + 1) >> 1)
        # 2p - n >= t where p >= (t + n) / 2, rounded up.
        self.needed = None if thresholds is None else (thresholds + self.inputs + 1) >> 1
        self.shared = self._shared()

    def _shared(self) -> SharedMatches | None:
        """Return what all rows share, or None where each does better by itself."""
        parities = np.full(self.rows, self.addend) if self.needed is None else self.needed
        shared = SharedMatches(self.weights, parities % 2 == 1, self.lut_inputs)
        alone = sum(self._row_luts(row, False) for row in range(self.rows))
        together = sum(self._row_luts(row, True) for row in range(self.rows))
        return shared if shared.luts + together < alone else None

    @property
    def heap_width(self) -> int:
        """Columns of a heap that becomes a sum: half of it, without its lowest bit."""
        return CodeType(-self.inputs, self.inputs).width - 1

    @property
    def constant(self) -> int:
        """What is added to a heap that becomes a sum, modulo its width."""
        return self._constant(self.shared is not None)

    def _constant(self, shared: bool) -> int:
        # With an even number of inputs sharing counts one more match, where that makes it even.
        counted = shared and self.inputs % 2 == 0
        return (self.addend - counted * (self.addend % 2)) % (1 << self.heap_width)

    def _heights(self, shared: bool) -> tuple[int, ...]:
        """Return the heights of the columns of a heap that becomes a sum."""
        bits = [1, self.inputs // 2] if shared else [self.inputs]
        heights = [*bits, *([0] * self.heap_width)][: self.heap_width]
        return tuple(h + (self._constant(shared) >> k & 1) for k, h in enumerate(heights))

    def _comparison(self, row: int, shared: bool) -> tuple[int, int]:
        """Return the height of the one column of a heap with a threshold, and the threshold."""
        assert self.needed is not None
        needed = int(self.needed[row])
        if not shared:
            return self.inputs, needed
        # Of an odd number of inputs an odd number is reached with the parity as one more carry.
        return self.inputs // 2 + (self.inputs % 2) * (needed % 2), (needed + 1) >> 1

    def _row_luts(self, row: int, shared: bool) -> int:
        if self.needed is None:
            return compression_luts(self._heights(shared), self.lut_inputs)
        height, needed = self._comparison(row, shared)
        return comparison((height,), needed, self.lut_inputs).luts

    @cached_property
    def network(self) -> BitNetwork:
        """What is shared, and with thresholds everything."""
        return self._planned[0]

    @cached_property
    def answers(self) -> list[HeapBit | bool]:
        """Whether each row reaches its threshold."""
        network, matches = self._planned
        found = []
        for row in range(self.rows):
            heap = self._compared(matches, row)
            needed = self._comparison(row, matches is not None)[1]
            found.append(add_comparison(network, [heap], needed, f"row{row}", self.lut_inputs))
        return found

    @cached_property
    def _planned(self) -> tuple[BitNetwork, Matches | None]:
        levels = LEVELS_PER_STAGE[self.lut_inputs]
        network = BitNetwork([f"x{k}" for k in range(self.inputs)], levels)
        return network, self.shared.add_to(network) if self.shared else None

    def _raw(self, row: int) -> list[HeapBit]:
        return [(k, bool(weight < 0)) for k, weight in enumerate(self.weights[row])]

    def _compared(self, matches: Matches | None, row: int) -> list[HeapBit]:
        if matches is None:
            return self._raw(row)
        height, _ = self._comparison(row, True)
        twos = matches.twos(row)
        return [*twos, matches.ones(row)] if height > len(twos) else twos

    def heap(self, row: int) -> Heap:
        """Return the bits that a row's sum is counted from, without the constant."""
        matches = self._planned[1]
        return [self._raw(row)] if matches is None else [[matches.ones(row)], matches.twos(row)]

    @cached_property
    def wanted(self) -> list[int]:
        """The bits that are read of the network."""
        if self.needed is not None:
            return sorted({answer[0] for answer in self.answers if not isinstance(answer, bool)})
        heaps = (self.heap(row) for row in range(self.rows))
        return sorted({bit for heap in heaps for column in heap for bit, _ in column})

    @cached_property
    def network_cycles(self) -> int:
        """Registers until everything that is read of the network is ready."""
        return self.network.stages(self.wanted)

    @cached_property
    def cycles(self) -> int:
        """Registers from the inputs to the sums or answers."""
        if self.needed is not None:
            return self.network_cycles
        heights = self._heights(self.shared is not None)
        return self.network_cycles + compression_latency(heights, self.lut_inputs)

    def luts(self) -> int:
        """Predict the LUTs; fast, no network is planned."""
        shared = self.shared.luts if self.shared else 0
        own = sum(self._row_luts(row, self.shared is not None) for row in range(self.rows))
        return shared + own

    def estimate(self) -> Resources:
        """As `resources`, with a register behind each LUT: no network is planned."""
        luts = self.luts()
        return Resources(lut=luts, ff=luts)

    def resources(self) -> Resources:
        """Predict what stands between the registers of inputs and results."""
        _, registers = self.network.count(self.wanted, self.network_cycles)
        tree = 0.0
        if self.needed is None:
            bits = self.rows * sum(self._heights(self.shared is not None))
            tree = TREE_REGISTERS[self.lut_inputs] * bits
        return Resources(lut=self.luts(), ff=registers + tree)


# Kept by the identity of weights and thresholds, which never change.
@lru_cache(maxsize=64)
def binary_rows(
    weights: Same[Codes], thresholds: Same[Codes] | None, lut_inputs: int
) -> BinaryRows:
    """Return the plan for these rows."""
    return BinaryRows(weights.value, None if thresholds is None else thresholds.value, lut_inputs)
