"""Fields of a row that are taken from elsewhere in it, or given."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from orb_learning.capture import number_of
from orb_learning.errors import ImportFileError, InvalidEventError
from orb_learning.events import ExecutionRecorded
from orb_learning.importer._paths import ABSENT, look_up
from orb_learning.importer._row import Row

USER = "user_id"
"""What no field takes goes into the metadata, and there `erase` looks for this one."""

_QUOTED = re.compile(r"'([^']*)'|\"([^\"]*)\"")
_NUMBER = re.compile(r"[+-]?(?:\d{1,40}(?:\.\d{0,40})?|\.\d{1,40})(?:[eE][+-]?\d{1,2})?")
_IN_BRACES = re.compile(r"\{([^{}]+)\}")
_COMPUTED = re.compile(rf"(?P<path>.+?)\s*(?P<sign>[*/+-])\s*(?P<number>{_NUMBER.pattern})")
_WORDS = {"true": True, "false": False}
_SHOWN_COLUMNS = 20

_COMPUTE: dict[str, Callable[[float, float], float]] = {
    "*": lambda value, number: value * number,
    "/": lambda value, number: value / number,
    "+": lambda value, number: value + number,
    "-": lambda value, number: value - number,
}


class _Path:
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

    def of(self, row: Row) -> Any:
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
class _Constant:
    value: Any

    def of(self, row: Row) -> Any:
        return self.value


@dataclass(slots=True)
class _Template:
    """Text with paths in braces."""

    name: str
    parts: list[str | _Path]

    def of(self, row: Row) -> str:
        return "".join(map(str, self._filled(row)))

    def _filled(self, row: Row) -> Iterator[Any]:
        for part in self.parts:
            if isinstance(part, str):
                yield part
            elif (found := part.of(row)) is None:
                raise InvalidEventError(f"{self.name}: the row has no {part.text} to take it from")
            else:
                yield found


class FieldMap:
    """Takes fields of a row from elsewhere in it."""

    def __init__(self, expressions: Sequence[str] = ()) -> None:
        """Parse `FIELD=SOURCE` expressions.

        Args:
            expressions: a field of `ExecutionRecorded`, or `user_id`, and what it is taken from: a
                path, `metadata.model` or `calls[0].model`; a path and one number,
                `duration_seconds=ms/1000`; text with paths in braces,
                `model_tier={metadata.agent}|{metadata.model}`; text in quotes,
                `pool_type='bench'`; a number; `true` or `false`.

        Raises:
            ImportFileError: an expression has another form or names an unknown field.
        """
        self._sources: dict[str, _Path | _Constant | _Template] = {}
        for expression in expressions:
            name, separator, source = (part.strip() for part in expression.partition("="))
            if not separator or not name or not source:
                raise ImportFileError(
                    "--map takes FIELD=PATH, FIELD='TEXT' or FIELD=TEMPLATE, like "
                    f"model_tier=metadata.model, not {expression!r}"
                )
            if name not in ExecutionRecorded.model_fields and name != USER:
                known = ", ".join(sorted({*ExecutionRecorded.model_fields, USER}))
                raise ImportFileError(f"--map: there is no field {name!r}; fields are {known}")
            self._sources[name] = _parsed(name, source)

    def apply(self, row: Row) -> Row:
        """Return the row with the mapped fields set; one whose path it lacks is not mapped.

        Raises:
            InvalidEventError: the row lacks a part of a template.
        """
        if not self._sources:
            return row
        mapped = dict(row)
        for name, source in self._sources.items():
            if (found := source.of(row)) is not None:
                mapped[name] = found
        return mapped

    def one(self, name: str, row: Row) -> Any:
        """Return what a field is mapped to in a row; None where it is not, or nowhere."""
        with suppress(InvalidEventError):
            return self._sources[name].of(row) if name in self._sources else None
        return None

    def reads(self, column: str) -> bool:
        """Tell whether a field is taken from a column, or from something in it."""
        paths = (path.text for source in self._sources.values() for path in _paths(source))
        return any(re.match(rf"{re.escape(column)}(?:$|[.\[\s*/+-])", path) for path in paths)

    def refuse_unfound(self, shown: str, columns: Sequence[str]) -> None:
        """Refuse a file in none of whose rows a path was found.

        Args:
            shown: what the user calls the file.
            columns: the keys that its rows have.

        Raises:
            ImportFileError: there is such a path.
        """
        for name, source in self._sources.items():
            for path in _paths(source):
                if not path.is_found:
                    more = ", …" if len(columns) > _SHOWN_COLUMNS else ""
                    raise ImportFileError(
                        f"{shown}: no row has {path.text}, which {name} is mapped to; name a path "
                        f"that rows have ({', '.join(columns[:_SHOWN_COLUMNS])}{more}), or say "
                        f"--map \"{name}='{path.text}'\" if that is the text itself"
                    )
                path.is_found = False


def _parsed(name: str, source: str) -> _Path | _Constant | _Template:
    if quoted := _QUOTED.fullmatch(source):
        return _Constant(quoted[1] if quoted[1] is not None else quoted[2])
    if _NUMBER.fullmatch(source):
        return _Constant(int(source) if source.lstrip("+-").isdigit() else float(source))
    if source in _WORDS:
        return _Constant(_WORDS[source])
    if _IN_BRACES.search(source):
        parts = enumerate(_IN_BRACES.split(source))
        return _Template(name, [_Path(part) if index % 2 else part for index, part in parts])
    if source[0] in "'\"":
        raise ImportFileError(f"--map {name}: a quote is missing in {source}")
    return _Path(source)


def _paths(source: _Path | _Constant | _Template) -> list[_Path]:
    if isinstance(source, _Template):
        return [part for part in source.parts if isinstance(part, _Path)]
    return [source] if isinstance(source, _Path) else []
