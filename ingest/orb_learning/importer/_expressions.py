"""The closed little language that says where in a row a field is taken from."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, TypeAlias

from orb_learning.capture import number_of
from orb_learning.errors import ImportFileError, InvalidEventError
from orb_learning.importer._paths import ABSENT, look_up
from orb_learning.importer._row import Row
from orb_learning.importer._times import Clock

_QUOTED = re.compile(r"'([^']*)'|\"([^\"]*)\"")
_NUMBER = re.compile(r"[+-]?(?:\d{1,40}(?:\.\d{0,40})?|\.\d{1,40})(?:[eE][+-]?\d{1,2})?")
_IN_BRACES = re.compile(r"\{([^{}]+)\}")
_COMPUTED = re.compile(rf"(?P<path>.+?)\s*(?P<sign>[*/+-])\s*(?P<number>{_NUMBER.pattern})")
NOTHING: Any = object()
"""What `null` says: the field is unknown, whatever the row has under its name."""

_WORDS = {"true": True, "false": False, "null": NOTHING}
_MINUS = " - "

_COMPUTE: dict[str, Callable[[float, float], float]] = {
    "*": lambda value, number: value * number,
    "/": lambda value, number: value / number,
    "+": lambda value, number: value + number,
    "-": lambda value, number: value - number,
}


class Path:
    """A path, or a path and a number to compute with."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.is_found = False
        match = _COMPUTED.fullmatch(text)
        self._operand = match["path"] if match else ""
        self._sign = match["sign"] if match else ""
        self._number = float(match["number"]) if match else 0.0
        if self._sign == "/" and not self._number:
            raise ImportFileError(f"--map: {text} divides by nothing")

    def of(self, row: Row, clock: Clock) -> Any:
        """Return what it leads to; a value that is no number stays what it is."""
        found = look_up(row, self.text)
        if found is ABSENT and self._operand:
            found = look_up(row, self._operand)
            if (number := number_of(found)) is not None:
                found = _COMPUTE[self._sign](number, self._number)
        if found is ABSENT:
            return None
        self.is_found = True
        return found


@dataclass(slots=True)
class Between:
    """The seconds between two times of the row, unless a key has that whole name."""

    whole: str
    end: Path
    start: Path

    def of(self, row: Row, clock: Clock) -> Any:
        if (found := look_up(row, self.whole)) is not ABSENT:
            self.end.is_found = self.start.is_found = True
            return found
        return clock.seconds_between(self.end.of(row, clock), self.start.of(row, clock))


@dataclass(slots=True)
class Constant:
    value: Any

    def of(self, row: Row, clock: Clock) -> Any:
        return self.value


@dataclass(slots=True)
class Template:
    """Text with paths in braces."""

    name: str
    parts: list[str | Path]

    def of(self, row: Row, clock: Clock) -> str:
        return "".join(map(str, self._filled(row, clock)))

    def _filled(self, row: Row, clock: Clock) -> Iterator[Any]:
        for part in self.parts:
            if isinstance(part, str):
                yield part
            elif (found := part.of(row, clock)) is None:
                raise InvalidEventError(f"{self.name}: the row has no {part.text} to take it from")
            else:
                yield found


Expression: TypeAlias = Path | Between | Constant | Template


def parsed(name: str, source: str) -> Expression:
    """Return what a source means.

    Raises:
        ImportFileError: it means nothing.
    """
    if quoted := _QUOTED.fullmatch(source):
        return Constant(quoted[1] if quoted[1] is not None else quoted[2])
    if _NUMBER.fullmatch(source):
        return Constant(int(source) if source.lstrip("+-").isdigit() else float(source))
    if source in _WORDS:
        return Constant(_WORDS[source])
    if _IN_BRACES.search(source):
        parts = enumerate(_IN_BRACES.split(source))
        return Template(name, [Path(part) if index % 2 else part for index, part in parts])
    if source[0] in "'\"":
        raise ImportFileError(f"--map {name}: a quote is missing in {source}")
    end, minus, start = (part.strip() for part in source.partition(_MINUS))
    if minus and end and start and not _NUMBER.fullmatch(start):
        return Between(source, Path(end), Path(start))
    return Path(source)


def paths_of(source: Expression) -> list[Path]:
    """Return the paths that a source reads."""
    if isinstance(source, Template):
        return [part for part in source.parts if isinstance(part, Path)]
    if isinstance(source, Between):
        return [source.end, source.start]
    return [source] if isinstance(source, Path) else []
