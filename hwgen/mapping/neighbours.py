"""Let neighbours agree on beats where a converter would cost more than it saves.

The search prices every layer on its own. Here one layer after the other takes the choice that is
cheapest together with the converters to its neighbours, until none changes; the price never rises.
"""

from __future__ import annotations

from functools import cache

from hwgen.board import Board
from hwgen.cost import Resources
from hwgen.ir import Graph
from hwgen.mapping.layers import Layer
from hwgen.mapping.menus import Choice, price_of
from hwgen.mapping.streams import converter_steps, host_lanes
from hwgen.ops.convert_lanes import ConvertLanes

_MOST_ROUNDS = 8


class Neighbourhood:
    """The layers of a graph, what each could be, and what stands between them.

    Parameters
    ----------
    layers, menus : in the same order; `menus` hold the choices that are fast enough
    """

    def __init__(
        self, graph: Graph, layers: tuple[Layer, ...], menus: list[list[Choice]], board: Board
    ) -> None:
        self.graph, self.layers, self.menus, self.board = graph, layers, menus, board
        self.producer = {layer.gives: k for k, layer in enumerate(layers)}
        self.readers: dict[str, list[int]] = {}
        for k, layer in enumerate(layers):
            for value in layer.reads:
                self.readers.setdefault(value, []).append(k)
        self.converter_price = cache(self._converter_price)

    def settle(self, chosen: list[Choice], budget: Resources) -> list[Choice]:
        """Return choices that together with their converters cost no more than `chosen`."""
        chosen = list(chosen)
        for _ in range(_MOST_ROUNDS):
            before = list(chosen)
            for k in range(len(chosen)):
                chosen[k] = self._best(k, chosen, budget)
            if chosen == before:
                break
        return chosen

    def _best(self, k: int, chosen: list[Choice], budget: Resources) -> Choice:
        best, lowest = chosen[k], chosen[k].price + self._converters(k, chosen[k], chosen)
        others = sum((c.resources for i, c in enumerate(chosen) if i != k), Resources())
        for choice in self.menus[k]:
            if choice.price >= lowest:
                continue
            total = choice.price + self._converters(k, choice, chosen)
            if total < lowest and (others + choice.resources).fits(budget):
                best, lowest = choice, total
        return best

    def _converters(self, k: int, choice: Choice, chosen: list[Choice]) -> float:
        """Return the price of the converters around layer `k`, were it built as `choice`."""
        takes, gives = choice.lanes
        layer, price = self.layers[k], 0.0
        for value in layer.reads:
            source = self.producer.get(value)
            before = host_lanes(self.graph.types[value], takes)
            if source is not None:
                before = chosen[source].lanes[1]
            price += self.converter_price(value, before, takes)
        for reader in self.readers.get(layer.gives, ()):
            price += self.converter_price(layer.gives, gives, chosen[reader].lanes[0])
        if layer.gives in self.graph.outputs:
            kind = self.graph.types[layer.gives]
            price += self.converter_price(layer.gives, gives, host_lanes(kind, gives))
        return price

    def _converter_price(self, value: str, before: int, after: int) -> float:
        kind, used = self.graph.types[value], Resources()
        for step in converter_steps(before, after):
            if step != before:
                used = used + ConvertLanes(before, step).resources(kind)
                before = step
        return price_of(used, self.board)
