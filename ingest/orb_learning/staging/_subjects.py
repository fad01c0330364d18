"""Whom a line is about: the tasks, users and import that an erasure, or pruning, has to find in it.

An event is about those that its row is deleted by, and about no one else who is mentioned in it.
What was refused has no row, so more of it is searched: its values by their names, and where it is
no JSON its words.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any, Literal
from uuid import UUID

from orb_learning._spellings import spellings
from orb_learning._types import task_uuid
from orb_learning.events import (
    EVENT_TYPES,
    TASK_EVENT_TYPES,
    ExecutionRecorded,
    Feedback,
    InvalidEvent,
)
from orb_learning.spool import behind_a_fragment

Subject = Literal["task", "user", "import"]

Named = tuple[Subject, str]
"""A task by the text of its UUID, or a user or an import by the id."""

MIN_WORD = 4
"""A word of a text that is no JSON counts as an id from this length on: shorter ones are words."""

_ARGUMENT = "given"
"""Under which a refusal keeps what a hook was given beside its fields."""

_TASK_KEYS = frozenset(
    {"task_ref", *(key for key, field in spellings(Feedback).items() if field == "task_id")}
)
_UUID = re.compile(r"[0-9a-fA-F]{8}-(?:[0-9a-fA-F]{4}-){3}[0-9a-fA-F]{12}")
_KEYED = re.compile(r"""(task_id|task_ref|user_id)["'\\]*\s*[:=]\s*["'\\]*([^"'\\,;{}\[\]\s]+)""")
_WORD = re.compile(r"""[^\s"'\\,;(){}\[\]<>=]+""")
_QUOTES = tuple(re.compile(quote) for quote in ('"', "'", r'(?<!\\)"'))


class _Object(list[tuple[str, Any]]):
    """A JSON object with all its keys, those included that stand twice."""

    def last(self, name: str) -> Any:
        """Return the value of a key, or None; of two, what JSON's readers take."""
        return next((item for key, item in reversed(self) if key == name), None)


def named_by_event(line: bytes) -> Iterator[Named]:
    """Yield whom a segment's line is about, some perhaps twice; in time linear in the line.

    Those are the subjects by which `_erasure` deletes its row, or if it spells no event with a row
    those of `named_by_refused`.
    """
    text = line.decode("utf-8", "replace")
    found = _parsed(text)
    if found is None:
        found = _parsed(behind_a_fragment(line).decode("utf-8", "replace"))
    kind = found.last("event_type") if isinstance(found, _Object) else None
    if kind in (ExecutionRecorded.type_name, InvalidEvent.type_name):
        import_id = found.last("import_id")
        if isinstance(import_id, str):
            yield "import", import_id
    if isinstance(kind, str) and kind in EVENT_TYPES:
        yield from _named_by_fields(found, kind)
    else:
        yield from named_by_refused(line)


def named_by_refused(line: bytes, *, is_imported: bool = False) -> Iterator[Named]:
    """Yield whom a line is about that stands in quarantine; in time linear in the line.

    Args:
        line: the line, or what a hook or an import was given.
        is_imported: an import refused it, whose columns may have been mapped, or have shifted: any
            of its values may be an id.
    """
    text = line.decode("utf-8", "replace")
    found = _parsed(text)
    if found is None:
        yield from _named_in_text(text)
    else:
        yield from _named_in_json(found, is_imported)


def named_as_such(line: bytes) -> Iterator[Named]:
    """Yield the tasks and users that a refused line names by the keys for them.

    What merely looks like an id in it may be another's. Of a text that is no JSON, such as half a
    line, nobody knows whether a feedback names them; so it names none.
    """
    found = _parsed(line.decode("utf-8", "replace"))
    waiting: list[tuple[str, Any]] = [("", found)]
    while waiting:
        key, item = waiting.pop()
        if isinstance(item, _Object):
            if item.last("event_type") == Feedback.type_name:
                continue
            waiting += item
        elif isinstance(item, list):
            waiting += ((key, part) for part in item)
        elif key == "user_id":
            yield from _user(item)
        elif key in _TASK_KEYS:
            yield from _task(item)


def _named_by_fields(event: _Object, kind: str) -> Iterator[Named]:
    # The very conditions of `_erasure._delete`.
    metadata = event.last("metadata")
    if not isinstance(metadata, _Object):
        metadata = _Object()
    for user in (event.last("user_id"), metadata.last("user_id")):
        yield from _user(user)
    if kind in TASK_EVENT_TYPES:
        yield from _task(event.last("task_id"))
    elif isinstance(metadata.last("task_id"), str):
        yield "task", metadata.last("task_id").lower()


def _named_in_json(value: Any, is_imported: bool) -> Iterator[Named]:
    waiting: list[tuple[str, Any]] = [(_ARGUMENT, value)]
    while waiting:
        key, item = waiting.pop()
        if isinstance(item, _Object):
            if item.last("event_type") == InvalidEvent.type_name:
                yield from _named_in_refusal(item)
            waiting += item
        elif isinstance(item, list):
            waiting += ((key, part) for part in item)
        else:
            if key == "user_id" or is_imported:
                yield from _user(item)
            if key in _TASK_KEYS or is_imported:
                yield from _task(item)
            if isinstance(item, str):
                yield from _named_in_text(item) if key == _ARGUMENT else _uuids(item)


def _named_in_refusal(event: _Object) -> Iterator[Named]:
    is_imported = has_imported_id(event.last("event_id"))
    for part in (event.last("payload"), event.last("reason")):
        if isinstance(part, str):
            yield from named_by_refused(part.encode("utf-8", "replace"), is_imported=is_imported)


def imported_row(line: bytes) -> tuple[str, str]:
    """Return the event's id and the import of a line that an import wrote, else two empty texts."""
    found = _parsed(line.decode("utf-8", "replace")) if b'"import_id":"' in line else None
    if not isinstance(found, _Object):
        return "", ""
    row, import_id = found.last("event_id"), found.last("import_id")
    return (row, import_id) if isinstance(row, str) and isinstance(import_id, str) else ("", "")


def has_imported_id(event_id: object) -> bool:
    """Tell whether a refusal's id is one that an import makes of the row; a hook's are random."""
    try:
        return UUID(str(event_id)).version == 5
    except ValueError:
        return False


def _named_in_text(text: str) -> Iterator[Named]:
    yield from _uuids(text)
    for match in _KEYED.finditer(text):
        yield from _user(match[2]) if match[1] == "user_id" else _task(match[2])
    tokens = []
    for quote in _QUOTES:
        # Whatever stands between two quotes, however they pair up and however they are escaped.
        tokens += [_unescaped(piece.rstrip("\\")) for piece in quote.split(text)[1:]]
    for word in _WORD.findall(text):
        parts = [part.rstrip(".!?") for part in (word.rstrip(":"), *word.split(":"))]
        tokens += [part for part in parts if len(part) >= MIN_WORD]
    for token in tokens:
        yield from _user(token)
        yield from _task(token)


def _parsed(text: str) -> Any:
    """Return the JSON that a text is, or None, as for a text that is the JSON `null`."""
    try:
        return json.loads(text, object_pairs_hook=_Object, parse_float=str)
    except (ValueError, RecursionError):
        return None


def _uuids(text: str) -> Iterator[Named]:
    for match in _UUID.finditer(text):
        yield "task", match[0].lower()


def _user(value: Any) -> Iterator[Named]:
    if isinstance(value, str | int) and value != "":
        yield "user", value if isinstance(value, str) else json.dumps(value)


def _task(value: Any) -> Iterator[Named]:
    if isinstance(value, str | int):
        try:
            yield "task", str(task_uuid(value))
        except ValueError:
            return  # blank, or no text


def _unescaped(piece: str) -> str:
    if "\\" not in piece:
        return piece
    try:
        return str(json.loads(f'"{piece}"'))
    except ValueError:
        return piece.replace("\\", "")
