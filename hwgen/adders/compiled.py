"""`compiled`: numba's compiler where it is installed, plain Python where it is not.

Both run the same source on the same integers, so the results are equal; numba is about a hundred
times faster. `pip install hwgen[fast]` brings it.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

_Function = TypeVar("_Function", bound=Callable[..., Any])

try:
    import numba
except ImportError:
    COMPILED = False
else:
    COMPILED = True


def compiled(function: _Function) -> _Function:
    """Compile `function` at its first call and keep the machine code on disk."""
    if not COMPILED:
        return function
    fast: _Function = numba.njit(cache=True)(function)
    return fast
