"""Remove channels that nobody reads or that always hold the same code: learned to zero bits.

Runs behind `tabulate.py`, when functions are integers, and before the folding. The way of a channel
is in `channel_regions.py`, what is constant in `constant_channels.py`, what an operator does about
it in `narrow_operator.py`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import ClassVar

import numpy as np

from hwgen.errors import PassError
from hwgen.ir import Codes, Graph, TensorType
from hwgen.ops.matvec import MatVec
from hwgen.passes.base import Pass
from hwgen.passes.channel_regions import Region, needed_channels, region_of
from hwgen.passes.constant_channels import channel_types, constants
from hwgen.passes.narrow_operator import Mask, narrowed, shifted

FRAMES = 4  # of random codes on which the outputs are compared


@dataclass(frozen=True)
class RemoveDeadChannels(Pass):
    """Remove a channel on its whole way from the product that gives it to those that read it.

    A row of weights goes away, the parameters of the functions behind it, its taps of windows and
    its columns of the reading products, when each of these columns

    1. is zero; or
    2. meets a constant c, and what reads the product can take  # W x + w c, f(y) -> f(y + w c)

    Rows that go away leave other columns unread: it is done again until nothing changes.
    A layer's pe must divide its channels, so of many channels some stay: as many as make their
    number a multiple of the largest power of two not above an eighth of it.

    Left alone when: a join, the network's input or output needs the channel; a constant meets
    padding by another code, or reaches a product whose sums something else than a function reads.
    Numeric effect: none.
    """

    name: ClassVar[str] = "remove_dead_channels"

    def run(self, graph: Graph) -> Graph:
        """Go from the last product to the first, since what is unread spreads that way."""
        before = None
        while graph is not before:
            before, types = graph, channel_types(graph)
            for name in reversed([n.name for n in graph.nodes if isinstance(n.op, MatVec)]):
                region = region_of(graph, name)
                if region is None:
                    continue
                kept = kept_channels(needed_channels(graph, region, types))
                if not kept.all():
                    graph = without(graph, region, kept, types)
                    types = channel_types(graph)
        return graph

    def ensures(self, before: Graph, after: Graph) -> None:
        """Outputs keep shape and scale, their codes the interval; random frames give the same."""
        super().ensures(before, after)
        if after is before:
            return
        for name in before.outputs:
            old, new = before.types[name], after.types.get(name)
            if new is None or old.shape != new.shape or old.codes.bipolar != new.codes.bipolar:
                raise PassError(f"{name}: was {old}, is {new}")
            if new.codes.lo < old.codes.lo or new.codes.hi > old.codes.hi:
                raise PassError(f"{name}: codes were {old.codes}, are {new.codes}")
            if before.scale_of(name) != after.scale_of(name):
                raise PassError(f"{name}: the scale changed")
        frames = random_frames(before.inputs[0].type)
        old_codes, new_codes = before.trace(frames), after.trace(frames)
        for name in before.outputs:
            if not np.array_equal(old_codes[name], new_codes[name]):
                raise PassError(f"{name}: gives other codes for random frames")


def kept_channels(needed: Mask) -> Mask:
    """Return which channels stay: those needed, and others up to a number that folds; see above."""
    count = max(int(needed.sum()), 1)
    multiple = 1 << max((count // 8).bit_length() - 1, 0)
    spare = -(-count // multiple) * multiple - int(needed.sum())
    kept = needed.copy()
    kept[np.flatnonzero(~needed)[:spare]] = True
    return kept


def without(graph: Graph, region: Region, kept: Mask, constant: Mapping[str, TensorType]) -> Graph:
    """Return `graph` with the channels `kept` of the region's root alone.

    Parameters
    ----------
    constant : types of `channel_types`
    """
    types = {source.name: source.type for source in graph.inputs}
    taken_off: dict[str, Codes] = {}
    nodes = []
    for node in graph.nodes:
        (first, *_), op, scale = node.inputs, node.op, node.scale
        if first in taken_off:
            op = shifted(op, taken_off[first], types[first])
        if node.name in region.readers and isinstance(op, MatVec):
            columns, weights = kept[region.channels[first]], op.weights
            _, code = constants(constant[first])
            missing = weights[:, ~columns] @ code[~columns]
            if missing.any():
                taken_off[node.name] = missing
            op = replace(op, weights=weights[:, columns])
        if node.name in region.channels:
            stays = kept[region.channels[node.name]]
            op = narrowed(op, stays)
            scale = scale if len(scale) == 1 else tuple(np.array(scale)[stays].tolist())
        types[node.name] = op.infer(*(types[name] for name in node.inputs))
        nodes.append(replace(node, op=op, scale=scale))
    return graph.with_nodes(tuple(nodes))


def random_frames(x: TensorType) -> Codes:
    """Return the same few frames of type `x` every time."""
    low, high = np.array([(codes.lo, codes.hi) for codes in x.per_channel()]).T
    frames = np.random.default_rng(0).integers(low, high + 1, size=(FRAMES, *x.shape))
    return np.where(frames > 0, 1, -1) if x.codes.bipolar else frames
