"""Whom a line is about: the tasks and users that an erasure, or pruning, has to find in it.

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

from orb_learning._types import task_uuid
from orb_learning.events import EVENT_TYPES, TASK_EVENT_TYPES, InvalidEvent
from orb_learning.staging._lines import behind_a_fragment

Named = tuple[Literal["task", "user"], str]
"""A task by the text of its UUID, or a user by the id."""

MIN_WORD = 4
"""A word of a text that is no JSON counts as an id from this length on: shorter ones are words."""

_TASK_KEYS = frozenset({"task_id", "task_ref", "given"})  # `given`: a hook's one argument
_UUID = re.compile(r"[0-9a-fA-F]{8}-(?:[0-9a-fA-F]{4}-){3}[0-9a-fA-F]{12}")
_KEYED = re.compile(r"""(task_id|task_ref|user_id)["'\\]*\s*[:=]\s*["'\\]*([^"'\\,;{}\[\]\s]+)""")
_WORD = re.compile(r"""[^\s"'\\,;:(){}\[\]<>=]+""")
_QUOTE = re.compile(r"""["']""")


class _Object(list[tuple[str, Any]]):
    """A JSON object with all its keys, those included that stand twice."""

    def last(self, name: str) -> Any:
        """Return the value of a key, or None; of two, what JSON's readers take."""
        return next((item for key, item in reversed(self) if key == name), None)


def named_by(line: bytes, *, is_refused: bool) -> Iterator[Named]:
    """Yield whom a line is about, some perhaps twice; in time linear in the line.

    Args:
        line: a line of a segment, or what stands in quarantine.
        is_refused: the line stands in quarantine, so that it is about more than an event's row.
    """
    text = line.decode("utf-8", "replace")
    found = _parsed(text)
    if found is None and not is_refused:
        found = _parsed(behind_a_fragment(line).decode("utf-8", "replace"))
    kind = found.last("event_type") if isinstance(found, _Object) else None
    if not is_refused and isinstance(kind, str) and kind in EVENT_TYPES:
        yield from _named_by_event(found, kind)
    elif found is None:
        yield from _named_in_text(text)
    else:
        yield from _named_in_json(found)


def _named_by_event(event: _Object, kind: str) -> Iterator[Named]:
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


def _named_in_json(value: Any) -> Iterator[Named]:
    waiting: list[tuple[str, Any]] = [("", value)]
    while waiting:
        key, item = waiting.pop()
        if isinstance(item, _Object):
            if item.last("event_type") == InvalidEvent.type_name:
                yield from _named_in_refusal(item)
            waiting += item
        elif isinstance(item, list):
            waiting += ((key, part) for part in item)
        else:
            if key == "user_id":
                yield from _user(item)
            elif key in _TASK_KEYS:
                yield from _task(item)
            if isinstance(item, str):
                yield from _uuids(item)


def _named_in_refusal(event: _Object) -> Iterator[Named]:
    for part in (event.last("payload"), event.last("reason")):
        if isinstance(part, str):
            found = _parsed(part)
            yield from _named_in_text(part) if found is None else _named_in_json(found)


def _named_in_text(text: str) -> Iterator[Named]:
    yield from _uuids(text)
    for match in _KEYED.finditer(text):
        yield from _user(match[2]) if match[1] == "user_id" else _task(match[2])
    # Whatever stands between two quotes, however they pair up and however often they are escaped.
    pieces = [_unescaped(piece.rstrip("\\")) for piece in _QUOTE.split(text)[1:]]
    words = [word.rstrip(".!?") for word in _WORD.findall(text)]
    for token in (*pieces, *(word for word in words if len(word) >= MIN_WORD)):
        yield from _user(token)
        yield from _task(token)


def _parsed(text: str) -> Any:
    """Return the JSON that a text is, or None, as for a text that is the JSON `null`."""
    try:
        return json.loads(text, object_pairs_hook=_Object)
    except (ValueError, RecursionError):
        return None


def _uuids(text: str) -> Iterator[Named]:
    for match in _UUID.finditer(text):
        yield "task", match[0].lower()


def _user(value: Any) -> Iterator[Named]:
    if isinstance(value, str | int | float) and value != "":
        yield "user", value if isinstance(value, str) else json.dumps(value)


def _task(value: Any) -> Iterator[Named]:
    if isinstance(value, str | int | float | UUID):
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
