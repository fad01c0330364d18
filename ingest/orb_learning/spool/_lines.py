"""From a segment's line to the event it spells, the same one however often it is read."""

from __future__ import annotations

import json
from typing import Any

from orb_learning._types import new_id, utc_now
from orb_learning.errors import InvalidEventError
from orb_learning.events import EVENT_TYPES, Event, InvalidEvent, parse_line

_KINDS: list[type[Event]] = [*EVENT_TYPES.values(), InvalidEvent]

_GENERATED = {
    cls: frozenset(
        name
        for name, field in cls.model_fields.items()
        if field.default_factory in (new_id, utc_now)
    )
    for cls in _KINDS
}
"""Fields whose default is made anew at each reading, which a line must therefore spell out."""


def read_event(line: bytes) -> tuple[Event, bytes]:
    """Return a line's event and its canonical spelling.

    Raises:
        InvalidEventError: the line spells no event, or one that another reading would make another.
    """
    try:
        event = parse_line(line)
    except InvalidEventError as error:
        line = behind_a_fragment(line)
        try:
            event = parse_line(line)
        except InvalidEventError:
            raise error from None
    missing = _GENERATED[type(event)] - event.model_fields_set
    if missing:
        raise InvalidEventError("; ".join(f"{name}: Field required" for name in sorted(missing)))
    spelled = event.to_line()
    if spelled != line:
        json.loads(line, object_pairs_hook=_refuse_doubled_keys)
    return event, spelled


_BEGIN = b'{"event_id":'
"""How every line begins; within JSON text its quotes would be escaped."""


def behind_a_fragment(line: bytes) -> bytes:
    """Return the event behind what a short write of another thread left, or nothing.

    The fragment's event was never acknowledged, so nothing is lost with it.
    """
    fragment, begin, rest = line.rpartition(_BEGIN)
    if not fragment or not (fragment.startswith(_BEGIN) or _BEGIN.startswith(fragment)):
        return b""
    try:
        json.JSONDecoder().raw_decode(fragment.decode("utf-8", "replace"))
    except (ValueError, RecursionError):
        return begin + rest
    return b""  # two whole events: neither may be lost


def _refuse_doubled_keys(pairs: list[tuple[str, Any]]) -> None:
    seen = set()
    for key, _ in pairs:
        if key in seen:
            raise InvalidEventError(f"{key[:100]}: the key stands twice in one object")
        seen.add(key)
