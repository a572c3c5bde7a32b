"""Products go through float BLAS only where that is exact; at its limits they stay exact."""

import numpy as np
import pytest

from hwgen.ops.matvec import FLOAT32_EXACT, FLOAT64_EXACT, MatVec


def by_python_integers(weights, x):
    return [
        [sum(int(w) * int(v) for w, v in zip(row, frame, strict=True)) for row in weights]
        for frame in x
    ]


@pytest.mark.parametrize("limit", [FLOAT32_EXACT, FLOAT64_EXACT])
@pytest.mark.parametrize("distance", [-2, -1, 0, 1, 2])
@pytest.mark.parametrize("sign", [1, -1])
def test_sums_beside_the_limit(limit, distance, sign):
    # Odd sums just above the limit are what a float cannot hold.
    weights = np.array([[1, 1, 0], [1, 0, -1], [1, 1, 1]])
    half = limit // 2
    x = sign * np.array([[half + distance, half, 1], [limit + distance, 1, 0], [1, 0, 0]])
    got = MatVec(weights).evaluate(x)
    assert got.dtype == np.int64
    assert got.tolist() == by_python_integers(weights, x)


@pytest.mark.parametrize("reach", [1 << 3, 1 << 11, 1 << 12, 1 << 25, 1 << 40, 1 << 45])
def test_long_rows_of_large_numbers(rng, reach):
    weights = rng.integers(-127, 128, (5, 96))
    x = rng.integers(-reach, reach + 1, (20, 96))
    assert MatVec(weights).evaluate(x).tolist() == by_python_integers(weights, x)


def test_no_frames_and_images():
    weights = np.array([[1, 2], [3, 4], [5, 6]])
    assert MatVec(weights).evaluate(np.zeros((0, 2), dtype=np.int64)).shape == (0, 3)
    image = np.arange(24).reshape(2, 2, 3, 2)
    assert MatVec(weights).evaluate(image).shape == (2, 2, 3, 3)
