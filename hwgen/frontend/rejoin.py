"""Branches that meet again: a node whose inputs are all element-wise functions of one value.

x * Sigmoid(x), a HardSwish or a GELU spelled out, Where(x > 0, x, f(x)), with quantizers among the
branches or not: whatever lies between the value and the node is one function of one number, and is
tabulated as such. Nothing joins in hardware.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from hwgen.errors import FrontendError
from hwgen.frontend.flow import Flow
from hwgen.frontend.network import Network, Steps
from hwgen.frontend.nodes import TRANSLATORS, combined
from hwgen.frontend.site import Site
from hwgen.ops.elementwise import Elementwise

MAX_BRANCHES = 1 << 12  # steps of all branches: each further node may double them


def rejoined(site: Site, network: Network) -> Flow | None:
    """Return the flow behind a node of several flows, None where they have no value in common.

    Raises
    ------
    FrontendError : when branches met so often that the function has too many steps
    """
    first = site.flow
    for flow in site.flows:
        alike = flow.shape == first.shape and np.array_equal(flow.order, first.order)
        if flow.value is None or flow.pools or flow.summands or not alike:
            return None
    found = _common(network, site.flows)
    if found is None:
        return None
    value, branches = found
    if sum(map(_count, branches)) > MAX_BRANCHES:
        raise FrontendError(
            f"expected at most {MAX_BRANCHES} element-wise steps in one function, got more; put "
            "quantizers between its parts"
        )
    pending = dict.fromkeys(name for flow in site.flows for name in flow.pending)
    # Names of nodes that became operators already: these go if nobody else reads them.
    start = Flow(value, first.order, (), tuple(pending), source=first.source)
    steps = combined(site.at(start, network.types[value].channels), branches)
    fitted = network.fitted(site, start, steps)
    return fitted.then(steps, site.node.name)


def expect_one_value(site: Site, network: Network) -> Flow:
    """Return the flow behind a node that has no other meaning than a function of one value."""
    flow = rejoined(site, network) if site.node.op_type in TRANSLATORS else None
    if flow is None:
        raise FrontendError(
            f"expected one input that depends on the model's input, or several that are "
            f"element-wise functions of one tensor, got {len(site.flows)} that different operators "
            "give; only Add, Sub, Sum and Concat join those"
        )
    return flow


def _common(network: Network, flows: tuple[Flow, ...]) -> tuple[str, tuple[Steps, ...]] | None:
    """Return the latest value that all flows are functions of, and these functions."""
    lines = [dict(_ancestors(network, flow)) for flow in flows]
    for value in lines[0]:
        if all(value in line for line in lines):
            return value, tuple(line[value] for line in lines)
    return None


def _ancestors(network: Network, flow: Flow) -> Iterator[tuple[str, Steps]]:
    """Yield each value that `flow` is an element-wise function of, the latest first."""
    assert flow.value is not None
    value, steps = flow.value, flow.steps
    makers = {node.name: node for node in network.nodes}
    while True:
        yield value, steps
        maker = makers.get(value)
        if maker is None or not isinstance(maker.op, Elementwise):
            return
        value, steps = maker.inputs[0], (*maker.op.steps, maker.op.quantizer, *steps)


def _count(steps: Steps) -> int:
    return sum(step.count() for step in steps)


def is_tabulable(network: Network, flow: Flow, most: int = 1 << 16) -> bool:
    """Whether any function of the value of `flow` can be a table."""
    assert flow.value is not None
    return network.types[flow.value].codes.size <= most


def fused_sum(site: Site, network: Network) -> Flow | None:
    """Return a sum as a function of one value, where that is better than an adder.

    Codes that are there already are added. Real numbers that no code stands for yet are not: their
    sum is one function, if a table holds it.
    """
    if all(flow.settled for flow in site.flows):
        return None
    flow = rejoined(site, network)
    return flow if flow is not None and is_tabulable(network, flow) else None


def without_unread(network: Network, output: str) -> list[str]:
    """Drop the operators that the output does not need; return their names."""
    read = {output}
    for node in reversed(network.nodes):
        if node.name in read:
            read |= set(node.inputs)
    unread = [node.name for node in network.nodes if node.name not in read]
    network.nodes[:] = [node for node in network.nodes if node.name in read]
    return unread
