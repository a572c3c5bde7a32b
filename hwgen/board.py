"""`Board`: one TOML file of `boards/`, checked and typed.

Mapping plans against its resources and clock, `hwgen.build` runs its tool flow. `boards/README.md`
explains each key.
"""

from __future__ import annotations

import difflib
import re
import tomllib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from math import isfinite
from pathlib import Path

from hwgen.cost import Resources
from hwgen.errors import BoardError
from hwgen.resources import data_folder

FAMILIES = ("xcup", "xc7")
FLOWS = ("vivado",)
HOST_LINKS = ("axi_dma",)
PROCESSORS = ("zynq_ultrascale_plus", "zynq_7000")

_NAME = r"[a-z0-9][a-z0-9_-]*"
_PART = r"[A-Za-z0-9-]+"
_BOARD_PART = r"[A-Za-z0-9_.:*-]*"


@dataclass(frozen=True)
class VivadoSettings:
    """What only Vivado needs: the processor system and the pattern of the board definition."""

    processor: str
    board_part: str


@dataclass(frozen=True)
class Board:
    """A board: the device's budget, its clocks, its link to a host and its tool flow."""

    name: str
    title: str
    part: str
    family: str
    flow: str
    resources: Resources
    default_clock_mhz: float
    maximum_clock_mhz: float
    host_link: str
    vivado: VivadoSettings

    def check_clock(self, clock_mhz: float) -> None:
        """Raise BoardError unless the board can make `clock_mhz`."""
        if not 0 < clock_mhz <= self.maximum_clock_mhz:
            raise BoardError(
                f"{self.name}: a clock of {clock_mhz:g} MHz was asked for, the board takes up to "
                f"{self.maximum_clock_mhz:g}; try --clock {self.default_clock_mhz:g}"
            )


def list_boards() -> list[str]:
    """Return the names of the boards that come with hwgen, sorted."""
    return sorted(path.stem for path in data_folder("boards").glob("*.toml"))


def load_board(name: str | Path) -> Board:
    """Return the board called `name`, or the one in your own file if `name` ends in `.toml`.

    Raises
    ------
    BoardError
        When there is no such board, or its file has mistakes; all of them are listed.
    """
    if str(name).endswith(".toml"):
        path = Path(name)
    else:
        if name not in list_boards():
            raise BoardError(
                f"no board is called {str(name)!r}{_suggestion(str(name), list_boards())}; "
                f"there are {', '.join(list_boards())}, or give the path of your own .toml file"
            )
        path = data_folder("boards") / f"{name}.toml"
    try:
        table = tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise BoardError(f"{path}: cannot be read: {error.strerror or error}") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise BoardError(f"{path}: is not TOML: {error}") from error
    return _parse(table, path)


def _parse(table: Mapping[str, object], path: Path) -> Board:
    top = _Section(table, "", [])
    resources = top.section("resources")
    clock = top.section("clock")
    host = top.section("host")
    vivado = top.section("vivado")
    board = Board(
        name=top.text("name", _NAME, "lower-case letters, digits, - and _"),
        title=top.text("title", r"[^\n]+", "one line of text"),
        part=top.text("part", _PART, "the vendor's part number"),
        family=top.choice("family", FAMILIES),
        flow=top.choice("flow", FLOWS),
        resources=_resources(resources),
        default_clock_mhz=clock.positive("default_mhz"),
        maximum_clock_mhz=clock.positive("maximum_mhz"),
        host_link=host.choice("link", HOST_LINKS),
        vivado=VivadoSettings(
            processor=vivado.choice("processor", PROCESSORS),
            board_part=vivado.text("board_part", _BOARD_PART, 'like "vendor:board:part0:*"'),
        ),
    )
    for section in (top, resources, clock, host, vivado):
        section.refuse_unknown_keys()
    problems = top.problems
    if not problems and board.name != path.stem:
        problems.append(f"name: is {board.name!r}, expected the file's own, {path.stem!r}")
    if not problems and board.default_clock_mhz > board.maximum_clock_mhz:
        problems.append("clock.default_mhz: is above clock.maximum_mhz")
    if problems:
        lines = "".join(f"\n  - {problem}" for problem in problems)
        raise BoardError(f"{path}: is not a board file (boards/README.md explains it):{lines}")
    return board


def _resources(section: _Section) -> Resources:
    """Return the device's; all keys are needed but those of what few devices have."""
    return Resources(
        lut=section.count("lut"),
        ff=section.count("ff"),
        dsp=section.count("dsp"),
        bram36=section.count("bram36"),
        uram=section.count("uram", needed=False),
    )


@dataclass
class _Section:
    """A TOML table being read; every mistake is noted and reading goes on."""

    table: Mapping[str, object]
    prefix: str
    problems: list[str]
    known: list[str] = field(default_factory=list)

    def section(self, key: str) -> _Section:
        value = self._get(key)
        if value is not None and not isinstance(value, dict):
            self._note(key, f"is {value!r}, expected a table [{key}]")
        table = value if isinstance(value, dict) else None
        # A missing table is one problem, not one for each of its keys.
        problems = self.problems if table is not None else []
        return _Section(table or {}, f"{self.prefix}{key}.", problems)

    def text(self, key: str, pattern: str, expected: str) -> str:
        value = self._get(key)
        if isinstance(value, str) and re.fullmatch(pattern, value):
            return value
        if value is not None:
            self._note(key, f"is {value!r}, expected {expected}")
        return ""

    def choice(self, key: str, choices: tuple[str, ...]) -> str:
        value = self._get(key)
        if value in choices:
            return str(value)
        if value is not None:
            hint = _suggestion(str(value), choices)
            self._note(key, f"is {value!r}{hint}, expected one of {', '.join(choices)}")
        return ""

    def count(self, key: str, needed: bool = True) -> int:
        value = self._get(key, needed)
        if isinstance(value, int) and not isinstance(value, bool) and value >= 0:
            return value
        if value is not None:
            self._note(key, f"is {value!r}, expected a whole number, zero or more")
        return 0

    def positive(self, key: str) -> float:
        value = self._get(key)
        if isinstance(value, int | float) and not isinstance(value, bool) and isfinite(value):
            if value > 0:
                return float(value)
        if value is not None:
            self._note(key, f"is {value!r}, expected a number above zero")
        return 0.0

    def refuse_unknown_keys(self) -> None:
        missing = [key for key in self.known if key not in self.table]
        for key in self.table:
            if key not in self.known:
                self._note(key, f"is not a key of a board file{_suggestion(key, missing)}")

    def _get(self, key: str, needed: bool = True) -> object:
        self.known.append(key)
        if needed and key not in self.table:
            self._note(key, "is missing")
        return self.table.get(key)

    def _note(self, key: str, problem: str) -> None:
        self.problems.append(f"{self.prefix}{key}: {problem}")


def _suggestion(word: str, known: Iterable[str]) -> str:
    close = difflib.get_close_matches(word, list(known), n=1)
    return f" (did you mean {close[0]!r}?)" if close else ""
