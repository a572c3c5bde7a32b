"""The form of emitted Verilog: ANSI port lists, a header that says where the file comes from.

yosys declares each port three times, in the style of 1995; here a port is one line. Text of the
model is escaped so that it can neither leave its comment nor act as a tool's directive.

Source: IEEE 1364-2001, section 12.3.3 (lists of port declarations).
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import cache
from typing import Protocol

import jinja2

from hwgen.resources import data_folder

LONGEST_COMMENT_TEXT = 120

_MODULE = re.compile(r"^module (\w+)\(([^)]*)\);\n", re.MULTILINE)
_PORT = re.compile(r"^  (input|output) (\[\d+:\d+\] )?(\w+);\n", re.MULTILINE)


class Origin(Protocol):
    """What the header tells about the model."""

    @property
    def sha256(self) -> bytes:
        """Of the model file."""

    @property
    def version(self) -> str:
        """Of hwgen."""

    @property
    def source(self) -> str:
        """Name of the model file."""


def comment_text(text: str) -> str:
    r"""Return `text` in quotes, safe inside a line comment.

    Examples
    --------
    >>> print(comment_text("fc1\n endmodule"))
    "fc1\u000a endmodule"
    """
    shown = text[:LONGEST_COMMENT_TEXT]
    left_out = len(text) - len(shown)
    escaped = "".join(_escape(character) for character in shown)
    return f'"{escaped}"' + (f" and {left_out} more characters" if left_out else "")


def _escape(character: str) -> str:
    # Outside printable ASCII there are line ends and characters that turn the direction of
    # reading; the backslash and the quote would make the escapes ambiguous; */ and the back tick
    # mean something to careless tools.
    if " " <= character <= "~" and character not in '\\"`*':
        return character
    return f"\\u{ord(character):04x}"


def header(module: str, purpose: str, lines: Sequence[str], origin: Origin) -> str:
    """Return the comment at the top of a file."""
    return _template().render(
        module=module,
        purpose=purpose,
        lines=lines,
        model=comment_text(origin.source),
        sha256=origin.sha256.hex(),
        version=comment_text(origin.version).strip('"'),
    )


@cache
def _template() -> jinja2.Template:
    loader = jinja2.FileSystemLoader(data_folder("rtl_templates"))
    environment = jinja2.Environment(
        loader=loader,
        undefined=jinja2.StrictUndefined,
        keep_trailing_newline=True,
        autoescape=False,
    )
    return environment.get_template("header.v.j2")


def tidy(verilog: str) -> str:
    """Return one module as yosys wrote it, without yosys' first line, with an ANSI port list."""
    # The first line names the build of yosys, which is no part of the design.
    verilog = verilog.split("\n", 1)[1].strip("\n") + "\n"
    ports = {name: (kind, span or "") for kind, span, name in _PORT.findall(verilog)}
    verilog = _PORT.sub("", verilog)
    declarations: dict[str, str] = {}

    def take(match: re.Match[str]) -> str:
        declarations[match[2]] = match[1]
        return ""

    names = "|".join(ports)
    declaration = re.compile(
        rf"^  ((?:wire|reg) (?:signed )?(?:\[\d+:\d+\] )?({names})(?: = [^;]+)?);\n", re.MULTILINE
    )
    verilog = declaration.sub(take, verilog)
    width = max(len(kind) for kind, _ in ports.values())
    rows = [f"  {kind:{width}} {declarations[name]}" for name, (kind, _) in ports.items()]
    port_list = ",\n".join(rows)
    verilog = _MODULE.sub(lambda match: f"module {match[1]} (\n{port_list}\n);\n", verilog)
    return verilog
