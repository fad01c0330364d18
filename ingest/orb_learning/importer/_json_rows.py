"""JSON as rows: an object a line, a list of objects, or an object that holds such a list."""

from __future__ import annotations

import json
from collections.abc import Iterator
from itertools import chain, islice
from typing import Any, TextIO

from orb_learning._spellings import spellings
from orb_learning.capture import MAX_PAYLOAD_CHARACTERS
from orb_learning.errors import ImportFileError
from orb_learning.events import ExecutionRecorded
from orb_learning.importer._paths import WHOLE, look_up
from orb_learning.importer._row import BadRow, Row
from orb_learning.importer._sources import Source

_CHUNK = 256 * 1024
_FIRST_LINES = 100
_MAX_LEVELS = 3
_SPACE = " \t\r\n\ufeff"

_decoder = json.JSONDecoder()


def read_json(
    source: Source, encoding: str, rows: str | None, *, may_lack: bool = False
) -> Iterator[Row | BadRow]:
    """Yield the rows of a JSON file.

    Args:
        source: the file.
        encoding: of its text.
        rows: the path to the rows within an object, a list or an object of objects; `.` is the
            object itself, which is a row if it is no object of objects; None to find a list.
        may_lack: whether an object without rows at the path is a row itself.

    Raises:
        ImportFileError: it is no JSON with rows, or which of its lists holds them cannot be told.
    """
    is_list, values = _values(source, encoding)
    head = list(islice(values, 2))
    is_alone = not is_list and len(head) == 1 and isinstance(head[0], dict)
    if is_alone and rows is None:
        rows = _only_list(source, head[0])
    for value in chain(head, values):
        if rows is None or isinstance(value, BadRow):
            yield _row(value)
            continue
        listed = _rows_at(value, rows)
        if listed is not None:
            yield from map(_row, listed)
        elif may_lack or rows == WHOLE:
            yield _row(value)
        elif is_alone:
            raise ImportFileError(f"{source.name}: there is no list {rows} in it")
        else:
            yield BadRow(value, f"there is no list {rows} in it")


def _rows_at(value: Any, path: str) -> list[Any] | None:
    """Return the rows at a path: the items of a list, or of an object, each with its key."""
    found = value if path == WHOLE else look_up(value, path)
    if isinstance(found, list):
        return found
    if isinstance(found, dict) and found and all(isinstance(row, dict) for row in found.values()):
        return [{"key": key, **row} for key, row in found.items()]
    return None


def _row(value: Any) -> Row | BadRow:
    if isinstance(value, dict | BadRow):
        return value
    return BadRow(value, f"not a JSON object but a {type(value).__name__}")


def _values(source: Source, encoding: str) -> tuple[bool, Iterator[Any]]:
    """Return whether a file is one list, and its items, or else the values that it holds."""
    with source.path.open(encoding=encoding, errors="replace") as text:
        start = text.read(_CHUNK).lstrip(_SPACE)
    if start.startswith("["):
        return True, _document(source, encoding)
    if not start:
        return False, iter(())
    if start.startswith("{") and not _is_json(_first_line(source, encoding)):
        try:
            next(_document(source, encoding))
        except ImportFileError:
            pass
        else:
            return False, _document(source, encoding)
    if not any(map(_is_object, islice(_lines(source, encoding), _FIRST_LINES))):
        raise ImportFileError(
            f"{source.name} holds no rows: none of its first lines is a JSON object, and it is no "
            "list of objects"
        )
    return False, map(_parsed, _lines(source, encoding))


def _lines(source: Source, encoding: str) -> Iterator[bytes | str]:
    if encoding in ("utf-8", "utf-8-sig"):
        with source.watched(source.path.open("rb")) as lines:
            if encoding == "utf-8-sig":
                lines.seek(3)
            yield from filter(None, map(bytes.strip, lines))
    else:
        with source.watched(source.path.open(encoding=encoding)) as texts:
            yield from filter(None, map(str.strip, texts))


def _first_line(source: Source, encoding: str) -> bytes | str:
    return next(_lines(source, encoding), "")


def _is_json(line: bytes | str) -> bool:
    return not isinstance(_parsed(line), BadRow)


def _is_object(line: bytes | str) -> bool:
    return isinstance(_parsed(line), dict)


def _parsed(line: bytes | str) -> Any:
    try:
        return json.loads(line)
    except (ValueError, RecursionError) as error:
        return BadRow(line[:MAX_PAYLOAD_CHARACTERS], f"not JSON: {error}")


def _document(source: Source, encoding: str) -> Iterator[Any]:
    """Yield the items of a list, or values that follow one another, as far as memory goes."""
    try:
        with source.watched(source.path.open(encoding=encoding)) as text:
            yield from _Reader(text).values()
    except (ValueError, RecursionError) as error:
        raise ImportFileError(f"cannot read {source.name} as JSON: {error}") from error


class _Reader:
    """Reads values of JSON out of a text that need not fit into memory."""

    def __init__(self, text: TextIO) -> None:
        self._text = text
        self._held = ""
        self._place = 0
        self._passed = 0
        self._is_ended = False

    def values(self) -> Iterator[Any]:
        """Yield the items of a list, else one value after another.

        Raises:
            ValueError: the text is no JSON from some place on.
        """
        if self._next() != "[":
            while self._next():
                yield self._value()
            return
        self._place += 1
        while self._next() != "]":
            yield self._value()
            if self._next() == ",":
                self._place += 1
                if self._next() == "]":
                    raise self._fault("a value is missing after the comma")
            elif self._next() != "]":
                raise self._fault("a comma is missing, or the end of the list")
        self._place += 1
        if self._next():
            raise self._fault("something follows the list")

    def _next(self) -> str:
        """Return the next sign that is no space, without passing it; nothing at the end."""
        while True:
            while self._place < len(self._held) and self._held[self._place] in _SPACE:
                self._place += 1
            if self._place < len(self._held):
                return self._held[self._place]
            if not self._more():
                return ""

    def _value(self) -> Any:
        while True:
            try:
                value, end = _decoder.raw_decode(self._held, self._place)
            except ValueError as error:
                if self._more():
                    continue
                raise self._fault(getattr(error, "msg", str(error))) from None
            # A number may go on in what is not read yet.
            if end < len(self._held) or not self._more():
                self._place = end
                return value

    def _more(self) -> bool:
        if self._is_ended:
            return False
        self._passed += self._place
        self._held = self._held[self._place :]
        self._place = 0
        # Twice as much each time, so that a long value is not read again and again.
        read = self._text.read(max(_CHUNK, len(self._held)))
        self._held += read
        self._is_ended = not read
        return bool(read)

    def _fault(self, what: str) -> ValueError:
        return ValueError(f"{what}, at character {self._passed + self._place:,}")


def _only_list(source: Source, document: Row) -> str | None:
    """Return the path to the list of objects in the only object of a file; None if it is a row."""
    known = {spellings(ExecutionRecorded).get(key) for key in document}
    if {"success", "timestamp"} <= known:
        return None
    lists = list(_lists(document, "", _MAX_LEVELS))
    if len(lists) > 1:
        raise ImportFileError(
            f"{source.name} holds several lists of objects; say which: "
            + " or ".join(f"--rows {path}" for path in lists)
        )
    return lists[0] if lists else None


def _lists(value: Row, path: str, levels: int) -> Iterator[str]:
    for key, item in value.items():
        if isinstance(item, list) and any(isinstance(one, dict) for one in item):
            yield path + key
        elif isinstance(item, dict) and levels > 1:
            yield from _lists(item, f"{path}{key}.", levels - 1)
