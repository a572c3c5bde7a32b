"""Rendering of `rtl_templates/`, with the quoting each target language needs.

A value that is missing is an error, never an empty string in a script.
"""

from __future__ import annotations

import re
from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from hwgen.errors import ToolError
from hwgen.resources import data_folder

_TCL_SPECIAL = set('\\"$[]{}')


def render(template: str, **values: object) -> str:
    """Return `rtl_templates/<template>` with `values` filled in."""
    environment = Environment(
        loader=FileSystemLoader(data_folder("rtl_templates")),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
        autoescape=False,
    )
    environment.filters["tcl_quote"] = tcl_quote
    return environment.get_template(template).render(**values)


def tcl_quote(text: str | Path) -> str:
    r"""Return `text` as one word of a Tcl command, at any depth of braces.

    Braces are escaped too: Tcl counts them, even inside quotes, to find the end of a body.

    Examples
    --------
    >>> print(tcl_quote("a b"), tcl_quote("$x[exit]}"))
    "a b" "\$x\[exit\]\}"
    """
    return '"' + "".join(map(_tcl_character, str(text))) + '"'


def _tcl_character(character: str) -> str:
    if character in _TCL_SPECIAL:
        return "\\" + character
    if " " <= character <= "~":
        return character
    if ord(character) > 0xFFFF or 0xD800 <= ord(character) <= 0xDFFF:
        raise ToolError(f"Tcl 8.5 has no character U+{ord(character):04X}; use a plain path")
    return f"\\u{ord(character):04x}"


def check_identifier(name: str, what: str) -> None:
    """Raise ToolError unless `name` is safe in Verilog, Tcl, Python and as a file name."""
    if not re.fullmatch(r"[a-z][a-z0-9_]{0,62}", name):
        raise ToolError(
            f"{what} is {name!r}; expected a lower-case letter, then at most 62 lower-case "
            "letters, digits and underscores"
        )
