"""Rewrites of the graph, one file each; `PASSES` is their order, the verifier runs after each."""

from hwgen.passes.base import Pass, run_passes
from hwgen.passes.remove_identity import RemoveIdentity
from hwgen.passes.tabulate import Tabulate

PASSES: tuple[Pass, ...] = (Tabulate(), RemoveIdentity())

__all__ = ["PASSES", "Pass", "RemoveIdentity", "Tabulate", "run_passes"]
