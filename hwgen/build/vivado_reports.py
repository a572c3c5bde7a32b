"""Read what Vivado measured: resources from its utilization report, slack from its timing summary.

Source: AMD UG835, report_utilization and report_timing_summary.
"""

from __future__ import annotations

import re
from pathlib import Path

from hwgen.cost import Resources
from hwgen.errors import ToolError

# The first column's words: UltraScale+ counts CLBs, 7 series slices.
_ROWS = {
    "lut": r"(?:CLB|Slice) LUTs\*?",
    "ff": r"(?:CLB|Slice) Registers",
    "bram36": r"Block RAM Tile",
    "dsp": r"DSPs",
    "uram": r"URAM",
}
_NOT_EVERYWHERE = {"uram"}  # devices that have none have no such row


def read_utilization(report: Path) -> Resources:
    """Return the counts of a utilization report.

    Raises
    ------
    ToolError : when a row is missing
    """
    text = report.read_text(encoding="utf-8", errors="replace")
    counts = {}
    for name, label in _ROWS.items():
        found = re.search(rf"^\|\s*{label}\s*\|\s*([\d.]+)\s*\|", text, re.MULTILINE)
        if found is None and name in _NOT_EVERYWHERE:
            continue
        if found is None:
            raise ToolError(f"{report}: has no row {label!r}; is it a utilization report?")
        counts[name] = float(found.group(1))
    return Resources(**counts)


def read_worst_slack_ns(report: Path) -> float:
    """Return the worst negative slack of a timing summary, in ns.

    Raises
    ------
    ToolError : when the summary has none
    """
    text = report.read_text(encoding="utf-8", errors="replace")
    found = re.search(r"WNS\(ns\).*\n[-\s]+\n\s*(-?[\d.]+)", text)
    if found is None:
        raise ToolError(f"{report}: has no WNS; is it a timing summary?")
    return float(found.group(1))
