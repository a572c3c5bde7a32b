"""Which beats fit a value: divisors of its channels, or several whole pixels of a row.

What operators check and what their `foldings` enumerate.
"""

from __future__ import annotations

import math

from hwgen.ir import TensorType, expect
from hwgen.rtl.spatial.geometry import Geometry, expect_lanes

# `foldings` offer no more pixels a beat: beyond, beats are wider than any layer can use.
MOST_PIXELS = 8


def divisors(number: int) -> list[int]:
    """Return the divisors of `number`, ascending."""
    return [d for d in range(1, number + 1) if number % d == 0]


def row_pixels(x: TensorType) -> int:
    """Return the pixels of a row of an image, the vectors of a sequence, 1 for a vector."""
    return x.shape[-2] if len(x.shape) > 1 else 1


def pixel_choices(x: TensorType) -> list[int]:
    """Return how many pixels a beat may hold, at most `MOST_PIXELS`."""
    return [m for m in divisors(row_pixels(x)) if m <= MOST_PIXELS]


def lane_choices(x: TensorType) -> list[int]:
    """Return the widths of beats of a channel-wise operator: parts of a pixel, whole pixels."""
    return divisors(x.channels) + [m * x.channels for m in pixel_choices(x)[1:]]


def expect_choice(what: str, value: int, choices: list[int]) -> None:
    """Check that `value` of parameter `what` is one of `choices`.

    Raises
    ------
    IRError : naming the parameter and all choices
    """
    expect(value in choices, f"{what} is {value}, expected one of {choices}")


def expect_channel_lanes(pe: int, x: TensorType) -> None:
    """Check that beats of `pe` codes are parts of a pixel or whole pixels of a row.

    Raises
    ------
    IRError : with the choices that there are
    """
    pixels, rest = divmod(pe, x.channels)
    whole = rest == 0 and pixels > 0 and row_pixels(x) % pixels == 0
    expect(
        whole or (pe > 0 and x.channels % pe == 0),
        f"pe is {pe}, expected a divisor of {x.channels} channels or "
        f"{x.channels} times one of {divisors(row_pixels(x))} pixels",
    )


def expect_pixels(pe: int, pixels: int, channels: int, choices: list[int]) -> None:
    """Check the beats of an operator on images: parts of one pixel, or whole pixels.

    Raises
    ------
    IRError : naming the parameter at fault and what fits
    """
    expect_lanes(pe, channels)
    expect_choice("pixels", pixels, choices)
    expect(
        pixels == 1 or pe == channels,
        f"pixels is {pixels} with pe {pe}, expected pe {channels}: all channels",
    )


def matrix_choices(x: TensorType, rows: int) -> list[tuple[int, int, int]]:
    """Return every (pe, simd, pixels) of a product of `x` with a matrix of `rows` rows."""
    columns = x.channels
    folded = [(pe, simd, 1) for pe in divisors(rows) for simd in divisors(columns)]
    return folded + [(rows, columns, m) for m in pixel_choices(x)[1:]]


def expect_matrix_beats(x: TensorType, rows: int, pe: int, simd: int, pixels: int) -> None:
    """Check the beats of a product of `x` with a matrix of `rows` rows.

    Raises
    ------
    IRError : naming the parameter at fault and what fits
    """
    columns = x.channels
    expect(
        pe > 0 and rows % pe == 0,
        f"pe is {pe}, expected a divisor of {rows} rows: {divisors(rows)}",
    )
    expect(
        simd > 0 and columns % simd == 0,
        f"simd is {simd}, expected a divisor of {columns} columns: {divisors(columns)}",
    )
    expect_choice("pixels", pixels, divisors(row_pixels(x)))
    expect(
        pixels == 1 or (pe, simd) == (rows, columns),
        f"pixels is {pixels} with pe {pe} and simd {simd}, expected pe {rows} and simd {columns}: "
        "the whole matrix",
    )


def window_pixels(geometry: Geometry) -> list[int]:
    """Return how many pixels a beat may hold where windows leave whole.

    Beats of pixels make up a row, and so do beats of windows; pixels / gcd(pixels, stride) windows
    leave together.
    """
    columns = geometry.columns
    return [
        m
        for m in divisors(columns.size)
        if columns.windows % (m // math.gcd(m, columns.stride)) == 0
    ]


def window_choices(geometry: Geometry, channels: int) -> list[tuple[int, int, int]]:
    """Return every (pe, taps, pixels) of a window, at most `MOST_PIXELS` pixels."""
    parts = [(pe, 1, 1) for pe in divisors(channels)]
    parts += [(channels, taps, 1) for taps in divisors(geometry.taps)[1:]]
    pixels = [m for m in window_pixels(geometry)[1:] if m <= MOST_PIXELS]
    return parts + [(channels, geometry.taps, m) for m in pixels]


def expect_window_beats(geometry: Geometry, channels: int, pe: int, taps: int, pixels: int) -> None:
    """Check the beats of a window.

    Raises
    ------
    IRError : naming the parameter at fault and what fits
    """
    expect_lanes(pe, channels)
    expect_choice("taps", taps, divisors(geometry.taps))
    expect(
        taps == 1 or pe == channels,
        f"taps is {taps} with pe {pe}, expected pe {channels}: all channels",
    )
    expect_choice("pixels", pixels, window_pixels(geometry))
    expect(
        pixels == 1 or (pe, taps) == (channels, geometry.taps),
        f"pixels is {pixels} with pe {pe} and taps {taps}, expected pe {channels} and taps "
        f"{geometry.taps}: whole windows",
    )
