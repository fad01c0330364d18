"""A line for what is captured while the interpreter ends, made by Python alone.

What is compiled may be half gone by then: pydantic's validators have crashed such a process. So the
line is not validated, which the loader does anyway, and it is not searched for secrets: of texts
it holds single words only, and ids.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping
from contextlib import suppress
from datetime import datetime
from enum import Enum
from typing import Any
from uuid import UUID

from orb_learning._spellings import spellings
from orb_learning._types import as_dict, new_id, task_uuid, utc_now
from orb_learning.capture._task_context import current_scope
from orb_learning.events import Event

LEFT_OUT = "left_out"
"""Names in the metadata the fields that were given and are not written."""

_TIMES = ("occurred_at", "captured_at")
_WORDS = re.compile(r"[A-Za-z]{1,24}(?:[ _-][A-Za-z]{1,24}){0,3}")


def late_line(
    cls: type[Event], given: object, fields: Mapping[str, Any], *, keeps_words: bool
) -> bytes:
    """Return the line of an event that nobody has validated.

    Args:
        cls: the event's class; `Event` takes what `given` is.
        given: an event, a mapping, an object with the fields in its `__dict__`, or a task's id.
        fields: further fields; they win over `given`.
        keeps_words: whether texts of a few plain words are written.

    Raises:
        Exception: of any kind; nothing can be written of it.
    """
    if cls is Event:
        cls = type(given)  # type: ignore[assignment]  # whatever else it is has no name of a kind
    if isinstance(given, str | UUID):
        given = {"task_id": given}
    held = given if isinstance(given, dict) else vars(given) if given is not None else {}
    said = {**as_dict(held), **fields}
    values: dict[str, Any] = {}
    left_out = []
    names = spellings(cls)
    for name in sorted(said, key=lambda name: name in cls.model_fields):  # a field's own name wins
        if said[name] is None:
            continue
        value = None
        with suppress(ValueError):
            value = _plain(names.get(name, ""), said[name], keeps_words)
        if value is None or name not in names:
            left_out.append(name)
        else:
            values[names[name]] = value
    scope = current_scope()
    now = utc_now().isoformat()
    line = {
        "event_id": values.pop("event_id", str(new_id())),
        "event_type": cls.type_name,
        "occurred_at": now,
        "captured_at": now,
        **({"task_id": str(scope.task_id)} if scope and "task_id" in cls.model_fields else {}),
        **values,
        **({"metadata": {LEFT_OUT: ", ".join(left_out)}} if left_out else {}),
    }
    return json.dumps(line, separators=(",", ":")).encode()


def _plain(field: str, value: object, keeps_words: bool) -> object:
    """Return what JSON can say of a value without a secret in it; None for all else."""
    if isinstance(value, Enum):
        value = value.value
    if field == "task_id":
        return str(task_uuid(value))
    if field in _TIMES and isinstance(value, str):
        value = datetime.fromisoformat(value)
    if isinstance(value, UUID | datetime):
        return str(value)
    if isinstance(value, str):
        is_free = field == "task_description"  # a host may want only its hash to be written
        is_word = keeps_words and not is_free and _WORDS.fullmatch(value)
        return value if is_word or (field.endswith("_id") and _is_uuid(value)) else None
    is_number = isinstance(value, int) or (isinstance(value, float) and math.isfinite(value))
    return value if is_number else None


def _is_uuid(text: str) -> bool:
    try:
        UUID(text)
    except ValueError:
        return False
    return True
