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
    event = parse_line(line)
    missing = _GENERATED[type(event)] - event.model_fields_set
    if missing:
        raise InvalidEventError("; ".join(f"{name}: Field required" for name in sorted(missing)))
    spelled = event.to_line()
    if spelled != line:
        json.loads(line, object_pairs_hook=_refuse_doubled_keys)
    return event, spelled


def _refuse_doubled_keys(pairs: list[tuple[str, Any]]) -> None:
    seen = set()
    for key, _ in pairs:
        if key in seen:
            raise InvalidEventError(f"{key[:100]}: the key stands twice in one object")
        seen.add(key)
