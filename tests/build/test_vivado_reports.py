"""Vivado's reports, in the form its releases write them."""

from __future__ import annotations

from pathlib import Path

import pytest

from hwgen.build.vivado_reports import read_utilization, read_worst_slack_ns
from hwgen.cost import Resources
from hwgen.errors import ToolError

ULTRASCALE = """
1. CLB Logic
------------

+----------------------------+------+-------+------------+-----------+-------+
|          Site Type         | Used | Fixed | Prohibited | Available | Util% |
+----------------------------+------+-------+------------+-----------+-------+
| CLB LUTs                   | 6403 |     0 |          0 |     70560 |  9.07 |
|   LUT as Logic             | 6300 |     0 |          0 |     70560 |  8.93 |
| CLB Registers              | 2974 |     0 |          0 |    141120 |  2.11 |
+----------------------------+------+-------+------------+-----------+-------+
| Block RAM Tile |  6.5 |     0 |          0 |       216 |  3.01 |
|   RAMB36/FIFO* |    6 |     0 |          0 |       216 |  2.78 |
| DSPs           |    2 |     0 |          0 |       360 |  0.56 |
"""
SERIES7 = ULTRASCALE.replace("CLB LUTs ", "Slice LUTs*").replace("CLB Registers", "Slice Registers")
TIMING = """
| Design Timing Summary
| ---------------------

    WNS(ns)      TNS(ns)  TNS Failing Endpoints  TNS Total Endpoints      WHS(ns)
    -------      -------  ---------------------  -------------------      -------
      1.213        0.000                      0                 9120        0.011
"""


@pytest.mark.parametrize("text", [ULTRASCALE, SERIES7])
def test_utilization(text: str, tmp_path: Path) -> None:
    report = tmp_path / "utilization.rpt"
    report.write_text(text)
    assert read_utilization(report) == Resources(lut=6403, ff=2974, dsp=2, bram36=6.5)


def test_ultra_ram_where_the_device_has_it(tmp_path: Path) -> None:
    row = "| URAM           |    3 |     0 |          0 |        64 |  4.69 |\n"
    report = tmp_path / "utilization.rpt"
    report.write_text(ULTRASCALE + row)
    assert read_utilization(report) == Resources(lut=6403, ff=2974, dsp=2, bram36=6.5, uram=3)


def test_slack(tmp_path: Path) -> None:
    report = tmp_path / "timing.rpt"
    report.write_text(TIMING)
    assert read_worst_slack_ns(report) == 1.213
    report.write_text(TIMING.replace("1.213", "-0.042"))
    assert read_worst_slack_ns(report) == -0.042


def test_a_foreign_file_is_refused(tmp_path: Path) -> None:
    report = tmp_path / "other.rpt"
    report.write_text("nothing here")
    with pytest.raises(ToolError, match="is it a utilization report"):
        read_utilization(report)
    with pytest.raises(ToolError, match="is it a timing summary"):
        read_worst_slack_ns(report)
