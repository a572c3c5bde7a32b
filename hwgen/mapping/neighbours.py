"""Let neighbours agree on beats where a converter would cost more than it saves: exactly.

The search prices every layer on its own. Here the choices of all layers and the converters between
them are weighed together: an integer program with a variable for each choice, and one for each pair
of beats that may meet on a stream. What could not be part of anything cheaper is left out first:
a choice that is dearer than its layer's cheapest by more than all layers together are above their
cheapest. So a few choices remain of thousands, and the program is small.

Source: Wainwright, Jordan, Variational inference, 2008, section 4.1.1 (local polytope: without a
budget its optimum is at integers wherever the layers form a tree); solved by HiGHS.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache

import numpy as np
import numpy.typing as npt

from hwgen.board import Board
from hwgen.cost import Resources
from hwgen.ir import Graph
from hwgen.mapping.budget import resource_row, undominated
from hwgen.mapping.layers import Layer
from hwgen.mapping.menus import Choice, price_of
from hwgen.mapping.streams import converter_steps, host_lanes
from hwgen.ops.convert_lanes import ConvertLanes

_EXACT = 1e-9  # prices are shares of a board: sums of floats


@dataclass(frozen=True)
class Link:
    """A stream from one layer to those that read it.

    Parameters
    ----------
    value : that flows
    producer, readers : numbers of layers
    """

    value: str
    producer: int
    readers: tuple[int, ...]


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
        readers: dict[str, list[int]] = {}
        for k, layer in enumerate(layers):
            for value in layer.reads:
                readers.setdefault(value, []).append(k)
        self.links = [
            Link(layer.gives, k, tuple(readers[layer.gives]))
            for k, layer in enumerate(layers)
            if layer.gives in readers
        ]
        self.converter = cache(self._converter)

    def settle(self, chosen: list[Choice], budget: Resources) -> list[Choice]:
        """Return the choices that are cheapest together with their converters.

        Where converters do not fit `budget` beside any choices, `chosen` stays as it is.
        """
        spare = self.price(chosen) - sum(min(c.price for c in menu) for menu in self.menus)
        menus = [self._worthwhile(menu, spare) for menu in self.menus]
        if all(len(menu) == 1 for menu in menus):
            return chosen
        found = _Program(self, menus).solve(budget)
        better = found is not None and self.price(found) < self.price(chosen) - _EXACT
        return found if found is not None and better else chosen

    def price(self, chosen: list[Choice]) -> float:
        """Return the price of all choices and of the converters between them."""
        total = sum(choice.price + self.at_host(k, choice)[0] for k, choice in enumerate(chosen))
        for link in self.links:
            gives = chosen[link.producer].lanes[1]
            # Readers of one width share a converter.
            for takes in {chosen[reader].lanes[0] for reader in link.readers}:
                total += self.converter(link.value, gives, takes)[0]
        return total

    def at_host(self, k: int, choice: Choice) -> tuple[float, Resources]:
        """Return price and resources of the converters between a choice of layer `k` and host."""
        takes, gives = choice.lanes
        layer, price, used = self.layers[k], 0.0, Resources()
        ends = [
            (value, host_lanes(self.graph.types[value], takes), takes)
            for value in layer.reads
            if value == self.graph.inputs[0].name
        ]
        if layer.gives in self.graph.outputs:
            ends.append((layer.gives, gives, host_lanes(self.graph.types[layer.gives], gives)))
        for end in ends:
            own, needed = self.converter(*end)
            price, used = price + own, used + needed
        return price, used

    def _worthwhile(self, menu: list[Choice], spare: float) -> list[Choice]:
        """Return the choices that can be part of something cheaper, the best of each beats."""
        limit = min(choice.price for choice in menu) + spare + _EXACT
        by_lanes: dict[tuple[int, int], list[Choice]] = {}
        for choice in menu:
            if choice.price <= limit:
                by_lanes.setdefault(choice.lanes, []).append(choice)
        return [choice for same in by_lanes.values() for choice in undominated(same)]

    def _converter(self, value: str, before: int, after: int) -> tuple[float, Resources]:
        """Return price and resources of what brings beats of `before` lanes to `after`."""
        kind, used = self.graph.types[value], Resources()
        for step in converter_steps(before, after):
            if step != before:
                used = used + ConvertLanes(before, step).resources(kind)
                before = step
        return price_of(used, self.board), used


class _Program:
    """The integer program: which choice for each layer, which beats meet on each stream."""

    def __init__(self, neighbourhood: Neighbourhood, menus: list[list[Choice]]) -> None:
        self.neighbourhood, self.menus = neighbourhood, menus
        self.prices: list[float] = []
        self.used: list[npt.NDArray[np.float64]] = []
        self.equal: list[tuple[dict[int, float], float]] = []  # row of coefficients, value
        self.at_least: list[dict[int, float]] = []  # rows whose product is not below 0
        self.choices = [
            [self._variable(*self._cost(k, choice)) for choice in menu]
            for k, menu in enumerate(menus)
        ]
        self.equal += [(dict.fromkeys(own, 1.0), 1.0) for own in self.choices]
        for link in neighbourhood.links:
            self._add_link(link)

    def solve(self, budget: Resources) -> list[Choice] | None:
        """Return the cheapest choices whose resources fit, converters included; None: none do."""
        # Takes a moment to import, and few searches need it.
        from scipy.optimize import Bounds, LinearConstraint, milp

        count = len(self.prices)
        whole = np.zeros(count)
        whole[[variable for own in self.choices for variable in own]] = 1
        rows = [row for row, _ in self.equal]
        constraints = [
            LinearConstraint(self._matrix(rows), *2 * (np.array([v for _, v in self.equal]),)),
            LinearConstraint(np.stack(self.used, axis=1), -np.inf, resource_row(budget)),
        ]
        if self.at_least:
            constraints.append(LinearConstraint(self._matrix(self.at_least), 0, np.inf))
        solution = milp(
            c=np.array(self.prices),
            integrality=whole,
            bounds=Bounds(0, 1),
            constraints=constraints,
            options={"mip_rel_gap": _EXACT},
        )
        if solution.x is None:
            return None
        return [
            menu[int(np.argmax(solution.x[own]))]
            for menu, own in zip(self.menus, self.choices, strict=True)
        ]

    def _variable(self, price: float = 0.0, used: Resources | None = None) -> int:
        self.prices.append(price)
        self.used.append(resource_row(used or Resources()))
        return len(self.prices) - 1

    def _cost(self, k: int, choice: Choice) -> tuple[float, Resources]:
        price, used = self.neighbourhood.at_host(k, choice)
        return choice.price + price, choice.resources + used

    def _add_link(self, link: Link) -> None:
        """Add the pairs of beats of a stream; a converter is paid once for all who need it."""
        gives = self._by_lanes(link.producer, 1)
        paid: dict[tuple[int, int], int] = {}
        for reader in link.readers:
            takes = self._by_lanes(reader, 0)
            pairs = {(a, b): self._variable() for a in gives for b in takes}
            for side, lanes in ((0, gives), (1, takes)):
                for width, choices in lanes.items():
                    met = [variable for pair, variable in pairs.items() if pair[side] == width]
                    row = dict.fromkeys(met, 1.0) | dict.fromkeys(choices, -1.0)
                    self.equal.append((row, 0.0))
            for pair, variable in pairs.items():
                if pair not in paid:
                    paid[pair] = self._variable(*self.neighbourhood.converter(link.value, *pair))
                self.at_least.append({paid[pair]: 1.0, variable: -1.0})

    def _by_lanes(self, k: int, side: int) -> dict[int, list[int]]:
        """Return the variables of the choices of layer `k` by the width of a beat."""
        found: dict[int, list[int]] = {}
        for choice, variable in zip(self.menus[k], self.choices[k], strict=True):
            found.setdefault(choice.lanes[side], []).append(variable)
        return found

    def _matrix(self, rows: list[dict[int, float]]) -> object:
        from scipy.sparse import csr_array

        entries: Iterator[tuple[int, int, float]] = (
            (at, column, value) for at, row in enumerate(rows) for column, value in row.items()
        )
        at, columns, values = zip(*entries, strict=True)
        return csr_array((values, (at, columns)), shape=(len(rows), len(self.prices)))
