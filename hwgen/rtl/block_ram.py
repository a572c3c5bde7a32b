"""Block RAM as the device has it: shapes of a RAMB18, and what one is worth.

Source: AMD UG573, table 1-1.
"""

from __future__ import annotations

from hwgen.cost import Resources

# Words and bits of a RAMB18 with one read port.
HALF_BRAM_SHAPES = ((512, 36), (1024, 18), (2048, 9), (4096, 4), (8192, 2), (16384, 1))

# What a RAMB18 may cost in LUTs before LUTs are dearer: Zynq devices have 150 to 350 for each.
LUTS_OF_HALF_BRAM = 100


def half_brams(depth: int, width: int) -> int:
    """Return the RAMB18 of a memory whose words keep their shape."""
    return min(-(-depth // words) * -(-width // bits) for words, bits in HALF_BRAM_SHAPES)


def price_in_luts(resources: Resources) -> float:
    """Return the LUTs and what the block RAMs are worth in LUTs."""
    return resources.lut + 2 * LUTS_OF_HALF_BRAM * resources.bram36
