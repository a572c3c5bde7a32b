"""`verilog_modules`: RTLIL from Amaranth becomes one text of readable Verilog for each module.

`rtlil_names` gives plain names, yosys recognises flip-flops with enable and reset and cuts sums to
the bits that are used, `verilog_text` brings the result into the form people write. Of attributes
one survives: `keep`, on wires that synthesis may not optimise across.
"""

from __future__ import annotations

import re
import tempfile
from collections.abc import Callable, Collection
from dataclasses import dataclass
from pathlib import Path

from hwgen.build.rtlil_names import Path as InstancePath
from hwgen.build.rtlil_names import plain_names
from hwgen.build.verilog_inline import inline_temporaries
from hwgen.build.verilog_text import tidy
from hwgen.build.yosys import quote_path, run_yosys

_EQUAL_WIDTHS = Path(__file__).with_name("equal_widths.v")
_CUT_SUMS = Path(__file__).with_name("cut_sums.v")
_FIRST_OF_THREE = "a:three_operands %ci1 t:$add t:$sub %u %i"
_COMMANDS = (
    "proc -noopt",
    "opt_expr",
    # opt_dff sees an enable only where no alias hides the multiplexer.
    "opt_clean -purge",
    "opt_dff",
    # Don't-cares of the step before: a definite 0 simulates the same everywhere.
    "setundef -zero",
    "opt_expr",
    "pmuxtree",
    # Of a sum of three numbers, the first addition has the width of the result.
    f"techmap -max_iter 1 -map {quote_path(_CUT_SUMS)} {_FIRST_OF_THREE}",
    "opt_clean -purge",
    f"wreduce t:$add t:$sub t:$neg %u %u {_FIRST_OF_THREE} %d",
    f"techmap -max_iter 1 -map {quote_path(_EQUAL_WIDTHS)}",
    "setundef -zero",
    "opt_clean -purge",
)


_MODULE = re.compile(r"^module \\(\S+)$")
_KEEP = re.compile(r"^  attribute \\keep ")
_WIRE = re.compile(r"^  wire .*\\(\S+)$")


@dataclass(frozen=True)
class VerilogModule:
    """One module.

    Parameters
    ----------
    name : of the module
    path : names of the instances down to it, the top's first
    text : from `module` to `endmodule`
    """

    name: str
    path: InstancePath
    text: str


def verilog_modules(
    rtlil: str, module_name: Callable[[InstancePath], str], dissolved: Collection[str] = ()
) -> tuple[VerilogModule, ...]:
    """Return the modules of a design, parts before the whole.

    Parameters
    ----------
    rtlil : as `amaranth.back.rtlil.convert` writes it
    module_name : gives a module's name; called once a path, parents first
    dissolved : instances below the second level that vanish into their parent

    Raises
    ------
    ToolError : when yosys fails
    """
    paths: dict[str, InstancePath] = {}

    def name_and_remember(path: InstancePath) -> str:
        name = module_name(path)
        paths[name] = path
        return name

    text = plain_names(rtlil, name_and_remember)
    wires = _kept_wires(text)
    gone = [name for name, path in paths.items() if set(dissolved) & set(path[2:])]
    kept = [name for name in reversed(paths) if name not in gone]
    with tempfile.TemporaryDirectory(prefix="hwgen_") as folder:
        work = Path(folder)
        (work / "design.il").write_text(text, encoding="utf-8")
        commands = [f"read_rtlil {quote_path(work / 'design.il')}"]
        if gone:
            cells = " ".join(f"t:{name}" for name in gone)
            commands.append(f"flatten -noscopeinfo -separator _ {cells}")
            commands.append(f"delete {' '.join(gone)}")
        commands += _COMMANDS
        for k, name in enumerate(kept):
            commands.append(f"select {name}")
            commands.append(f"write_verilog -noattr -selected {quote_path(work / f'{k}.v')}")
        run_yosys(commands)
        texts = [(work / f"{k}.v").read_text(encoding="utf-8") for k in range(len(kept))]
    return tuple(
        VerilogModule(name, paths[name], _keeping(inline_temporaries(tidy(verilog)), wires[name]))
        for name, verilog in zip(kept, texts, strict=True)
    )


def _kept_wires(rtlil: str) -> dict[str, set[str]]:
    """Return for each module of an RTLIL text its wires with the attribute `keep`."""
    kept: dict[str, set[str]] = {}
    module, keep = "", False
    for line in rtlil.splitlines():
        if match := _MODULE.match(line):
            module = match[1]
            kept[module] = set()
        elif _KEEP.match(line):
            keep = True
        elif match := _WIRE.match(line):
            kept[module] |= {match[1]} if keep else set()
            keep = False
    return kept


def _keeping(module: str, wires: Collection[str]) -> str:
    """Return the text of a Verilog module with `keep` in front of these wires."""
    if not wires:
        return module

    def declare(match: re.Match[str]) -> str:
        return f'  (* keep = "true" *) {match[0].lstrip()}' if match[1] in wires else match[0]

    return re.sub(r"^  wire (?:\[\d+:0\] )?(\w+);$", declare, module, flags=re.MULTILINE)
