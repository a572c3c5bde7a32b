"""One choice a layer, all of them within a budget, for the least price: an integer program.

Source: multiple-choice knapsack with several capacities; solved by HiGHS branch and cut.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from hwgen.cost import Resources
from hwgen.mapping.menus import Choice

_KINDS = tuple(Resources().as_dict())


def cheapest_within(menus: list[list[Choice]], budget: Resources) -> list[Choice] | None:
    """Return the choices of least total price whose resources fit `budget`, None when none do.

    The optimum is exact to the solver's relative gap of 1e-6 of the price.
    """
    # Takes a moment to import, and few searches need it.
    from scipy.optimize import Bounds, LinearConstraint, milp

    menus = [undominated(menu) for menu in menus]
    flat = [choice for menu in menus for choice in menu]
    owner = np.repeat(np.arange(len(menus)), [len(menu) for menu in menus])
    one_each = (owner[None, :] == np.arange(len(menus))[:, None]).astype(np.float64)
    solution = milp(
        c=np.array([choice.price for choice in flat]),
        integrality=np.ones(len(flat)),
        bounds=Bounds(0, 1),
        constraints=[
            LinearConstraint(one_each, 1, 1),
            LinearConstraint(_table(flat), -np.inf, resource_row(budget)),
        ],
        options={"mip_rel_gap": 1e-6},
    )
    if solution.x is None:
        return None
    taken = np.flatnonzero(solution.x > 0.5)
    return [flat[int(k)] for k in taken]


def undominated(menu: list[Choice]) -> list[Choice]:
    """Return the choices that no other undercuts in price and in every resource."""
    kept: list[Choice] = []
    for choice in sorted(menu, key=lambda c: (c.price, c.interval_cycles)):
        if not any(other.resources.fits(choice.resources) for other in kept):
            kept.append(choice)
    return kept


def _table(choices: list[Choice]) -> npt.NDArray[np.float64]:
    return np.stack([resource_row(choice.resources) for choice in choices], axis=1)


def resource_row(resources: Resources) -> npt.NDArray[np.float64]:
    """Return the counts as a vector."""
    return np.array([getattr(resources, kind) for kind in _KINDS], dtype=np.float64)
