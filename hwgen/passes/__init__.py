"""Rewrites of the graph, one file each; `PASSES` is their order, the verifier runs after each."""

from hwgen.passes.base import Pass, run_passes
from hwgen.passes.fold_padding import FoldPadding
from hwgen.passes.merge_thresholds import MergeThresholds
from hwgen.passes.remove_dead_channels import RemoveDeadChannels
from hwgen.passes.remove_identity import RemoveIdentity
from hwgen.passes.settle_ties import SettleTies
from hwgen.passes.tabulate import Tabulate

PASSES: tuple[Pass, ...] = (
    FoldPadding(),
    SettleTies(),
    Tabulate(),
    RemoveIdentity(),
    RemoveDeadChannels(),
    MergeThresholds(),
)

__all__ = [
    "PASSES",
    "FoldPadding",
    "MergeThresholds",
    "Pass",
    "RemoveDeadChannels",
    "RemoveIdentity",
    "SettleTies",
    "Tabulate",
    "run_passes",
]
