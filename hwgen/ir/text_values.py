"""Values in the text form: written by their kind, read by the type a dataclass field declares.

Integers, `true`, hexadecimal floats (exact), JSON strings, enum values by name, code intervals
`lo..hi`, arrays `[1 2]`, tuples `(a, b)` and records `Name(field=value)`.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Callable, Mapping
from dataclasses import fields, is_dataclass
from enum import Enum
from typing import Any, TypeVar, get_args, get_origin, get_type_hints

import numpy as np

from hwgen.errors import IRError
from hwgen.numeric import CodeType

Arrays = dict[str, np.ndarray]
ArrayWords = Mapping[str, tuple[tuple[int, ...], list[str]]]
T = TypeVar("T")

INLINE_ELEMENTS = 12
TOKEN = re.compile(
    r"""\s*(?:
      (?P<string>"(?:[^"\\]|\\.)*")
    | (?P<number>-?(?:0x[0-9a-f]+(?:\.[0-9a-f]+)?p[+-]\d+|inf\b|\d+))
    | (?P<word>[A-Za-z_][A-Za-z0-9_]*)
    | (?P<mark>\.\.|[@%:=()\[\],#.])
    )""",
    re.VERBOSE,
)


def write_value(value: Any, path: str, arrays: Arrays) -> str:
    """Return the text of `value`; large arrays go into `arrays` under the name `path`."""
    if isinstance(value, np.ndarray):
        if value.size > INLINE_ELEMENTS or value.size == 0:
            arrays[path] = value
            return f"@{path}"
        return _inline(value.tolist())
    if isinstance(value, bool | np.bool_):
        return "true" if value else "false"
    if isinstance(value, CodeType):
        return str(value)
    if isinstance(value, Enum):
        return str(value.value)
    if isinstance(value, str):
        return json.dumps(value)
    if isinstance(value, float):
        # 0x1.8000000000000p+0 -> 0x1.8p+0
        return re.sub(r"\.?0*p", "p", value.hex()) if math.isfinite(value) else str(value)
    if isinstance(value, int | np.integer):
        return str(int(value))
    if isinstance(value, tuple):
        return f"({', '.join(write_value(v, f'{path}.{i}', arrays) for i, v in enumerate(value))})"
    if is_dataclass(value):
        keys = [(f.name, getattr(value, f.name)) for f in fields(value)]
        inside = ", ".join(f"{k}={write_value(v, f'{path}.{k}', arrays)}" for k, v in keys)
        return f"{type(value).__name__}({inside})"
    raise IRError(f"{path}: a {type(value).__name__} has no text form")


def _inline(nested: Any) -> str:
    if isinstance(nested, list):
        return f"[{' '.join(map(_inline, nested))}]"
    return write_value(nested, "", {})


class Reader:
    """The tokens of one line, read from left to right."""

    def __init__(self, line: str, arrays: ArrayWords) -> None:
        self._arrays = arrays
        self._tokens: list[str] = []
        self._at = 0
        position = 0
        line = line.rstrip()
        while position < len(line):
            match = TOKEN.match(line, position)
            if match is None:
                raise IRError(f"cannot read {line[position : position + 20]!r}")
            self._tokens.append(match[match.lastgroup or 0].strip())
            position = match.end()

    def peek(self) -> str:
        """Return the next token, "" at the end."""
        return self._tokens[self._at] if self._at < len(self._tokens) else ""

    def next(self) -> str:
        """Return the next token and go on."""
        token = self.peek()
        if not token:
            raise IRError("the line ends too early")
        self._at += 1
        return token

    def take(self, token: str) -> bool:
        """Go on if the next token is `token`; return whether it was."""
        if self.peek() == token:
            self._at += 1
            return True
        return False

    def expect(self, token: str) -> None:
        """Go past `token`."""
        got = self.peek()
        if not self.take(token):
            raise IRError(f"expected {token!r}, got {got or 'the end of the line'!r}")

    def end(self) -> None:
        """Check that nothing is left."""
        if self.peek():
            raise IRError(f"expected the end of the line, got {self.peek()!r}")

    def separated(self, read: Callable[[], T]) -> list[T]:
        """Return one or more items with commas between."""
        items = [read()]
        while self.take(","):
            items.append(read())
        return items

    def word(self) -> str:
        """Return an identifier."""
        token = self.next()
        if not re.fullmatch(r"[A-Za-z_][A-Za-z0-9_]*", token):
            raise IRError(f"expected a name, got {token!r}")
        return token

    def path(self) -> str:
        """Return a name with dots."""
        parts = [self.word()]
        while self.take("."):
            parts.append(self.next())
        return ".".join(parts)

    def reference(self) -> str:
        """Return the name in %NAME."""
        self.expect("%")
        return self.word()

    def integer(self) -> int:
        """Return an integer."""
        return _number(self.next(), int)

    def shape(self) -> tuple[int, ...]:
        """Return the sizes in [2, 3]."""
        self.expect("[")
        sizes = self.separated(self.integer)
        self.expect("]")
        return tuple(sizes)

    def codes(self) -> CodeType:
        """Return the type in lo..hi, or bipolar."""
        if self.take("bipolar"):
            return CodeType.binary()
        lo = self.integer()
        self.expect("..")
        return CodeType(lo, self.integer())

    def scale(self) -> tuple[float, ...]:
        """Return one scale or a tuple of them."""
        if self.peek() == "(":
            scales: tuple[float, ...] = self.value(tuple[float, ...])
            return scales
        return (_number(self.next(), float.fromhex),)

    def source(self) -> str:
        """Return the string of a trailing `# from "..."`, "" without one."""
        if not self.take("#"):
            return ""
        self.expect("from")
        return self._string()

    def keys(
        self, hints: Mapping[str, object], optional: Mapping[str, object] | None = None
    ) -> dict[str, Any]:
        """Return every field=value up to the end or a comment, each exactly once."""
        allowed = {**hints, **(optional or {})}
        values: dict[str, Any] = {}
        while self.peek() not in ("", "#", ")"):
            self._field(allowed, values)
            self.take(",")
        missing = sorted(hints.keys() - values.keys())
        if missing:
            raise IRError(f"expected also {', '.join(missing)}")
        return values

    def _field(self, hints: Mapping[str, object], values: dict[str, Any]) -> None:
        key = self.word()
        if key not in hints or key in values:
            state = "given twice" if key in values else "unknown"
            raise IRError(f"field {key!r} is {state}; expected {', '.join(hints)}")
        self.expect("=")
        values[key] = self.value(hints[key])

    def value(self, hint: Any) -> Any:
        """Return a value of the type that `hint` names."""
        origin = get_origin(hint)
        if origin is np.ndarray:
            return self._array(np.dtype(get_args(get_args(hint)[1])[0]))
        if origin is tuple:
            return self._tuple(get_args(hint))
        if hint is CodeType:
            return self.codes()
        if hint is str:
            return self._string()
        if hint is bool:
            return self._choice({"true": True, "false": False})
        if hint is int:
            return self.integer()
        if hint is float:
            return _number(self.next(), float.fromhex)
        if isinstance(hint, type) and issubclass(hint, Enum):
            return self._choice({str(member.value): member for member in hint})
        if isinstance(hint, type) and is_dataclass(hint):
            return self._record(hint)
        raise IRError(f"fields of type {hint} have no text form")

    def _choice(self, choices: Mapping[str, T]) -> T:
        token = self.next()
        if token not in choices:
            raise IRError(f"expected one of {', '.join(choices)}, got {token!r}")
        return choices[token]

    def _string(self) -> str:
        token = self.next()
        try:
            text = json.loads(token)
        except ValueError:
            text = None
        if not isinstance(text, str):
            raise IRError(f"expected a string, got {token!r}")
        return text

    def _tuple(self, hints: tuple[Any, ...]) -> tuple[Any, ...]:
        self.expect("(")
        items: list[Any] = []
        while not self.take(")"):
            if items:
                self.expect(",")
            repeated = len(hints) == 2 and hints[1] is Ellipsis
            if not repeated and len(items) >= len(hints):
                raise IRError(f"expected {len(hints)} items, got more")
            items.append(self.value(hints[0] if repeated else hints[len(items)]))
        return tuple(items)

    def _record(self, base: type) -> Any:
        """Return a dataclass: `base` itself or whichever of its subclasses the text names."""
        known = {cls.__name__: cls for cls in _family(base)}
        cls = self._choice(known)
        self.expect("(")
        hints = get_type_hints(cls)
        values = self.keys({f.name: hints[f.name] for f in fields(cls)})
        self.expect(")")
        return cls(**values)

    def _array(self, dtype: np.dtype) -> np.ndarray:
        if not self.take("@"):
            return _filled(self._nested(dtype), dtype)
        name = self.path()
        if name not in self._arrays:
            raise IRError(f"array @{name} is not in the section below")
        shape, words = self._arrays[name]
        if min(shape) < 0 or len(words) != math.prod(shape):
            raise IRError(f"array @{name}: {len(words)} numbers for shape {list(shape)}")
        return _filled([_element(word, dtype) for word in words], dtype).reshape(shape)

    def _nested(self, dtype: np.dtype) -> Any:
        if not self.take("["):
            return _element(self.next(), dtype)
        items = []
        while not self.take("]"):
            items.append(self._nested(dtype))
        return items


def _family(base: type) -> list[type]:
    children: list[type] = base.__subclasses__()
    return [base, *(found for child in children for found in _family(child))]


def _filled(nested: Any, dtype: np.dtype) -> np.ndarray:
    try:
        return np.array(nested, dtype=dtype)
    except ValueError as error:
        raise IRError("rows of an array have different lengths") from error
    except OverflowError as error:
        raise IRError(f"a number of an array does not fit {dtype}") from error


def _element(word: str, dtype: np.dtype) -> int | float:
    return _number(word, int) if dtype.kind in "iu" else _number(word, float.fromhex)


def _number(word: str, convert: Callable[[str], T]) -> T:
    try:
        return convert(word)
    except (ValueError, OverflowError) as error:
        raise IRError(f"expected a number, got {word!r}") from error
