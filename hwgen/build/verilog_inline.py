"""Put single-use temporaries where they are used, so that a register's line says what it loads.

yosys names the result of every cell `_123_`. Only places where Verilog's rules on width and sign
cannot change the value are touched: a whole right-hand side, a condition, and operands of bitwise
operators and multiplexers that have the width of the result and neither sign nor arithmetic.

Source: IEEE 1364-2005, section 5.4 (expression bit lengths) and 5.5 (signed expressions).
"""

from __future__ import annotations

import re
from collections import Counter

MAX_LENGTH = 110  # of an inlined expression; beyond, a name reads better

_TEMPORARY = re.compile(r"\b_\d+_\b")
_SPAN = re.compile(r"\b(_\d+_)\b(\[\d+:0\])?")
_WIDE = re.compile(r"^  wire \[\d+:0\] (_\d+_);$", re.MULTILINE)
_DECLARATION = re.compile(
    r"^\s+(?:input |output )?\s*(?:wire|reg) (?:signed )?(?:\[(\d+):0\] )?(\w+)(?: = [^;]+)?[;,]?$"
)
_ASSIGN = re.compile(r"^  assign (_\d+_) = (.*);$")
_LOAD = re.compile(r"^(.*? )(\w+) <= (.*);$")
_WIRE = re.compile(r"^(  assign )(\w+) = (.*);$")
_CONDITION = re.compile(r"\bif \((_\d+_)\)")
_MUX = re.compile(r"^(\S+) \? (\S+) : (\S+)$")
_BITWISE = re.compile(r"^(\S+) ([&|^]) (\S+)$")
_NOT = re.compile(r"^~ (\S+)$")
_TOUCHY = re.compile(r"[$*+<>\-/%{]")


def inline_temporaries(module: str) -> str:
    """Return the text of a Verilog module with fewer temporaries and the same meaning."""
    return _Inliner(_narrowed(module).split("\n")).text()


def _narrowed(module: str) -> str:
    """Declare temporaries of which only the low bits are ever named with just these bits."""
    spans: dict[str, set[str]] = {}
    named = Counter[str]()
    for name, span in _SPAN.findall(module):
        named[name] += not span
        spans.setdefault(name, set()).update({span} - {""})
    narrow = {
        name: min(spans[name])
        for name in _WIDE.findall(module)
        # Named without a span in its declaration only, and always with the same one else.
        if named[name] == 1 and len(spans[name]) == 1
    }

    def declare(found: re.Match[str]) -> str:
        return f"  wire {narrow[found[1]]} {found[1]};" if found[1] in narrow else found[0]

    module = _WIDE.sub(declare, module)
    return _SPAN.sub(lambda found: found[1] if found[1] in narrow else found[0], module)


class _Inliner:
    """One pass over a module's lines; `kept` are temporaries that stay."""

    def __init__(self, lines: list[str]) -> None:
        self.lines = lines
        self.width: dict[str, int] = {}
        self.value: dict[str, str] = {}
        for line in lines:
            if found := _DECLARATION.match(line):
                self.width[found[2]] = int(found[1] or 0) + 1
            elif found := _ASSIGN.match(line):
                self.value[found[1]] = found[2]
        uses = Counter(_TEMPORARY.findall("\n".join(lines)))
        # Declaration, assignment, use.
        self.single = {name for name in self.value if uses[name] == 3}
        self.inlined: set[str] = set()

    def text(self) -> str:
        rendered: dict[int, str] = {}
        waiting = {}
        for k, line in enumerate(self.lines):
            found = _ASSIGN.match(line)
            if found and found[1] in self.single:
                waiting[found[1]] = k
            else:
                rendered[k] = self._line(line)
        # What is still named somewhere stays, and may itself take others in.
        queue = [name for line in rendered.values() for name in _TEMPORARY.findall(line)]
        while queue:
            name = queue.pop()
            if name in waiting and name not in self.inlined:
                k = waiting.pop(name)
                rendered[k] = self._line(self.lines[k])
                queue += _TEMPORARY.findall(rendered[k])
        kept = (
            line
            for k, line in sorted(rendered.items())
            if not ((found := _DECLARATION.match(line)) and found[2] in self.inlined)
        )
        return "\n".join(kept)

    def _line(self, line: str) -> str:
        if _DECLARATION.match(line):
            return line
        line = _CONDITION.sub(lambda m: f"if ({self._whole(m[1], 1)})", line)
        # `<=` also compares, in the expression of an assign.
        wire = line.startswith("  assign ")
        found = (_WIRE if wire else _LOAD).match(line)
        if not found or found[2] not in self.width:
            return line
        value = self._whole(found[3], self.width[found[2]])
        return f"{found[1]}{found[2]} {'=' if wire else '<='} {value};"

    def _whole(self, expression: str, width: int) -> str:
        """Return a self-standing expression of `width` bits with what it names inlined."""
        if self._fits(expression, width):
            self.inlined.add(expression)
            return self._whole(self.value[expression], width)
        if found := _NOT.match(expression):
            return f"~{self._operand(found[1], width)}"
        if found := _MUX.match(expression):
            condition = self._operand(found[1], 1, anything=True)
            chosen = (self._operand(found[k], width) for k in (2, 3))
            return f"{condition} ? {' : '.join(chosen)}"
        if found := _BITWISE.match(expression):
            left, right = (self._operand(found[k], width) for k in (1, 3))
            return f"{left} {found[2]} {right}"
        return expression

    def _operand(self, name: str, width: int, anything: bool = False) -> str:
        """Return an operand in parentheses where it is inlined."""
        if not self._fits(name, width) or (not anything and self._is_touchy(name)):
            return name
        self.inlined.add(name)
        return f"({self._whole(self.value[name], width)})"

    def _fits(self, name: str, width: int) -> bool:
        short = name in self.single and len(self.value[name]) <= MAX_LENGTH
        return short and name not in self.inlined and self.width.get(name) == width

    def _is_touchy(self, name: str) -> bool:
        """Whether the value of `name` could depend on the expression around it.

        Equality and bitwise logic cannot; arithmetic, order, signs and concatenations are left
        where they are.
        """
        return bool(_TOUCHY.search(self.value[name]))
