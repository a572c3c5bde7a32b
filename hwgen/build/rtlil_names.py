r"""Plain names in RTLIL text: what Amaranth calls `i__payload$12` an engineer looks for in vain.

Between Amaranth and yosys every module, port and wire gets a name that needs no escape in Verilog.
A wire between two instances is named after an instance and its port, `matvec_o_payload`; the rest
lose `__`, `$` and brackets. Ports come in the order clock, reset, `i`, `o`. Only names change.

Source: yosys manual, appendix "RTLIL text representation": an identifier is a backslash and
everything up to the next white space.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

from hwgen.rtl.names import free_name

Path = tuple[str, ...]
"""Names of instances from the top module down, the top's first."""

_IDENTIFIER = re.compile(r"\\\S+")
_PLAIN = re.compile(r"[a-z][a-z0-9]*(_[a-z0-9]+)*")
_WIRE = re.compile(r"  wire width (\d+) (signed )?(?:(input|output) \d+ )? ?\\(\S+)$")
_MEMORY = re.compile(r"  memory width \d+ size \d+ \\(\S+)$")
_CELL = re.compile(r"  cell \\(\S+) \\(\S+)$")
_CELL_CONNECT = re.compile(r"    connect \\(\S+) (.*)$")
_ALIAS = re.compile(r"connect \\(\S+) \\(\S+)(?: \[\d+(?::0)?\])?$")
_STREAM_PORT = {
    "input": re.compile(r"i__payload|i__valid|o__ready"),
    "output": re.compile(r"i__ready|o__payload|o__valid"),
}
_PORT_ORDER = ("aclk", "aresetn", "reset", "datapath_reset", "i_", "o_")


@dataclass
class _Module:
    """What a module's text says, and what its names become."""

    name: str
    lines: list[str]
    is_top: bool
    widths: dict[str, int] = field(default_factory=dict)
    ports: dict[str, str] = field(default_factory=dict)  # name -> direction
    reserved: list[str] = field(default_factory=list)  # names of memories and instances
    instance_wires: list[tuple[str, str, str, str]] = field(default_factory=list)
    aliases: list[tuple[str, str]] = field(default_factory=list)
    renamed: dict[str, str] = field(default_factory=dict)
    hidden: set[str] = field(default_factory=set)


def plain_names(text: str, module_name: Callable[[Path], str]) -> str:
    """Return RTLIL `text` with plain names.

    Parameters
    ----------
    text : as `amaranth.back.rtlil.convert` writes it
    module_name : gives the new name of the module at a path of instances, the top's name first
    """
    modules = {module.name: module for module in _modules(text.splitlines())}
    for module in modules.values():
        _name_ports(module)
    for module in modules.values():
        _name_wires(module, modules)
    names = {name: module_name(tuple(name.split("."))) for name in modules}
    lines: list[str] = []
    for module in modules.values():
        lines += _rewritten(module, modules, names)
    return "\n".join(lines) + "\n"


def _modules(lines: list[str]) -> Iterator[_Module]:
    begins = [k for k, line in enumerate(lines) if line.startswith("module ")]
    for count, begin in enumerate(begins):
        end = lines.index("end", begin)
        name = lines[begin].removeprefix("module \\")
        module = _Module(name, lines[begin + 1 : end], is_top=count == 0)
        _read(module)
        yield module


def _read(module: _Module) -> None:
    cell: tuple[str, str] | None = None
    for line in module.lines:
        if match := _WIRE.match(line):
            width, _, direction, name = match.groups()
            module.widths[name] = int(width)
            if direction:
                module.ports[name] = direction
        elif match := _MEMORY.match(line):
            module.reserved.append(match[1])
        elif line.startswith("  cell "):
            match = _CELL.match(line)
            cell = (match[1], match[2]) if match else None
            module.reserved += [match[2]] if match else []
        elif cell and (match := _CELL_CONNECT.match(line)):
            wire = match[2].removeprefix("\\").split(" ")[0]
            module.instance_wires.append((*cell, match[1], wire))
        elif match := _ALIAS.match(line):
            module.aliases.append((match[1], match[2]))


def _name_ports(module: _Module) -> None:
    """Give each port the name of the stream member it is, should Amaranth have taken an alias's."""
    taken = set(module.reserved)
    for port, direction in module.ports.items():
        same = [
            port,
            *(a for a, b in module.aliases if b == port),
            *(b for a, b in module.aliases if a == port),
        ]
        members = [name.split("$")[0] for name in same]
        wanted = next((m for m in members if _STREAM_PORT[direction].fullmatch(m)), members[0])
        name = port if module.is_top else free_name(_plain(wanted), taken, "port")
        module.renamed[port] = name
        taken.add(name)


def _name_wires(module: _Module, modules: dict[str, _Module]) -> None:
    taken = {*module.reserved, *module.renamed.values()}

    def rename(wire: str, wanted: str) -> None:
        module.renamed[wire] = free_name(wanted, taken, "wire")
        taken.add(module.renamed[wire])

    # The instance that drives a wire names it; one that only reads it comes second.
    for direction in ("output", "input"):
        for child, instance, port, wire in module.instance_wires:
            if modules[child].ports.get(port) != direction or wire in module.renamed:
                continue
            if wire.split("$")[0] == port.split("$")[0]:
                rename(wire, f"{instance}_{modules[child].renamed[port]}")
    aliases = {name for pair in module.aliases for name in pair}
    for wire in module.widths:
        if wire in module.renamed:
            continue
        if _PLAIN.fullmatch(wire):
            rename(wire, wire)
        elif wire.split("$")[0] and "__" not in wire and wire not in aliases:
            rename(wire, _plain(wire.split("$")[0]))
        # What is left is one more name of something; without the backslash yosys drops it first.
        else:
            module.hidden.add(wire)


def _plain(name: str) -> str:
    """Return `name` with single underscores between its words."""
    return re.sub(r"[^a-zA-Z0-9]+", "_", name).strip("_")


def _rewritten(
    module: _Module, modules: dict[str, _Module], names: dict[str, str]
) -> Iterator[str]:
    def wire(match: re.Match[str]) -> str:
        name = match[0][1:]
        return f"$hidden${name}" if name in module.hidden else "\\" + module.renamed.get(name, name)

    numbers = _port_numbers(module)
    child: _Module | None = None
    if module.is_top:
        yield "attribute \\top 1"
    yield f"module \\{names[module.name]}"
    for line in module.lines:
        stripped = line.lstrip()
        if match := _WIRE.match(line):
            width, _, direction, name = match.groups()
            number = f"{direction} {numbers[name]} " if direction else ""
            new_name = _IDENTIFIER.sub(wire, f"\\{name}")
            # Without `signed`: yosys says $signed where an operation is signed, but would write
            # an unsigned one of two wires so declared as if it were signed too.
            yield f"  wire width {width} {number}{new_name}"
        elif stripped.startswith("cell "):
            match = _CELL.match(line)
            child = modules[match[1]] if match else None
            yield f"  cell \\{names[match[1]]} \\{match[2]}" if match else line
        elif line.startswith("    connect \\"):
            _, port, signal = stripped.split(" ", 2)
            if child:
                port = "\\" + child.renamed[port[1:]]
            yield f"    connect {port} {_IDENTIFIER.sub(wire, signal)}"
        elif stripped.startswith(("attribute ", "parameter ", "memory ")):
            yield line
        else:
            yield _IDENTIFIER.sub(wire, line)
    yield "end"


def _port_numbers(module: _Module) -> dict[str, int]:
    """Return the position of each port; the top's stay as they are."""

    def rank(port: str) -> int:
        name = module.renamed[port]
        matches = [k for k, prefix in enumerate(_PORT_ORDER) if name.startswith(prefix)]
        return matches[0] if matches else len(_PORT_ORDER)

    ports = list(module.ports)
    if not module.is_top:
        ports.sort(key=rank)
    return {port: number for number, port in enumerate(ports, start=1)}
