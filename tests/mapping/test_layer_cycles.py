"""When layers end their frames: bounds in order, equal at the output, an interval apart at last.

That hardware keeps to them is measured by the bench, in tests/verify.
"""

import pytest

from hwgen.mapping.layer_cycles import layer_cycles
from hwgen.mapping.layers import group_layers
from hwgen.mapping.timing import interval_cycles, latency_cycles
from tests.mapping.networks import random_network
from tests.mapping.test_timing import mapped


@pytest.mark.parametrize("seed", range(6))
def test_bounds(seed):
    graph = mapped(random_network(seed))
    cycles = layer_cycles(graph)
    assert list(cycles) == [layer.name for layer in group_layers(graph)]
    for layer in cycles.values():
        assert all(a <= b for a, b in zip(layer.earliest, layer.latest, strict=True))
        for ends in (layer.earliest, layer.latest):
            assert ends[-1] - ends[-2] == interval_cycles(graph)
    last = cycles[group_layers(graph)[-1].name]
    assert last.earliest == last.latest
    assert last.earliest[0] == latency_cycles(graph)
