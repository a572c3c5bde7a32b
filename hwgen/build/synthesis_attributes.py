"""Attributes that hold the synthesizer to what the operators promised.

Without them each tool draws its own line between block RAM and LUTs, and between DSPs and LUTs,
and the predicted resources mean little.

Source: AMD UG901, synthesis attributes ROM_STYLE, RAM_STYLE and USE_DSP; yosys reads the same.
"""

from __future__ import annotations

import re

from hwgen.rtl.memory import ram_style
from hwgen.rtl.rom import LUT_WORDS, rom_style

_MEMORY = re.compile(r"^  reg (?:\[(\d+):0\] )?(\w+) \[(\d+):0\];$", re.MULTILINE)


def with_attributes(module: str, uses_dsp: bool, uses_ultra_ram: bool = False) -> str:
    """Return the text of a Verilog module with its memories' styles, and multipliers kept in LUTs.

    Parameters
    ----------
    uses_dsp : whether the module's operator promised DSPs; if not, none may be taken
    uses_ultra_ram : whether it promised UltraRAM, for its large memories
    """

    def styled(match: re.Match[str]) -> str:
        high, name, last = match.groups()
        if re.search(rf"^\s+{name}\[.*\] <= ", module, re.MULTILINE):
            if re.search(rf"^  assign .* = {name}\[", module, re.MULTILINE):
                return match.group(0)  # written and read without a register: LUTs, nothing else
            style = ram_style(int(last) + 1, int(high or 0) + 1, uses_ultra_ram)
            return f'  (* ram_style = "{style}" *)\n{match.group(0)}'
        style = rom_style(int(last) + 1, int(high or 0) + 1)
        if style == "distributed" and int(last) < LUT_WORDS:
            return match.group(0)  # every tool builds these from LUTs
        return f'  (* rom_style = "{style}" *)\n{match.group(0)}'

    text = _MEMORY.sub(styled, module)
    multiplies = re.search(r"\) \* \$|\w \* \w", text) is not None
    if multiplies and not uses_dsp:
        text = re.sub(
            r"^module ", '(* use_dsp = "no" *)\nmodule ', text, count=1, flags=re.MULTILINE
        )
    return text
