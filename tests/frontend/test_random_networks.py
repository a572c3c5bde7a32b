"""Networks that branch at random: whatever is accepted is equal, and hardly anything is refused."""

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.frontend.equality import assert_equal_everywhere
from tests.frontend.models import grid_frames
from tests.frontend.random_networks import RandomNetwork

IMAGE = (2, 5, 6)


@settings(max_examples=30)
@given(seed=st.integers(0, 2**32 - 1), layers=st.integers(1, 8))
def test_random_network(seed, layers):
    rng = np.random.default_rng(seed)
    network = RandomNetwork(rng, IMAGE)
    network.grow(layers)
    assert_equal_everywhere(network.model(), grid_frames(rng, IMAGE, 5))
