"""Rewrites of the graph, one file each; `run_passes` runs them in order, verified after each."""

from hwgen.passes.base import Pass, run_passes
from hwgen.passes.remove_identity import RemoveIdentity
from hwgen.passes.tabulate import Tabulate

__all__ = ["Pass", "RemoveIdentity", "Tabulate", "run_passes"]
