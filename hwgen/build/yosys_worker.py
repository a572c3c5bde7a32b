"""The process in which yosys runs: commands come as JSON on standard input, the log goes out.

Started by `hwgen.build.yosys` and by nobody else. It is run by its file name and imports nothing
of hwgen, so that it starts in a tenth of a second.
"""

from __future__ import annotations

import json
import sys


def main() -> None:
    """Run each command on one design; yosys itself ends the process on an error."""
    commands: list[str] = json.load(sys.stdin)
    from pyosys import libyosys

    design = libyosys.Design()
    for command in commands:
        libyosys.run_pass(command, design)


if __name__ == "__main__":
    main()
