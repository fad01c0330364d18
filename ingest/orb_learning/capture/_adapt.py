"""From what a host hands over, in its own spelling, to the fields of an event."""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Mapping, Sequence
from datetime import datetime
from enum import Enum
from typing import Any
from uuid import UUID

from pydantic import BaseModel

from orb_learning._types import with_task_uuid
from orb_learning.events import Event, ExecutionRecorded, RoutingDecision

MAX_DEPTH = 32
"""How deep nested metadata is kept; what lies deeper is kept as text."""

MAX_TEXT = 64 * 1024

_SPELLINGS: dict[str, tuple[str, ...]] = {
    "task_id": ("id",),
    "occurred_at": ("timestamp",),
    "task_type": ("type", "task_class", "category"),
    "task_description": ("description", "prompt"),
    "repo": ("repository", "repo_name"),
    "model_tier": ("tier", "model"),
    "pool_type": ("pool",),
    "swarm_topology": ("topology",),
    "routing_confidence": ("confidence",),
    "complexity_score": ("complexity",),
    "cost_estimate": ("estimated_cost",),
    "actual_cost": ("cost",),
    "success": ("status",),
    "duration_seconds": ("duration",),
    "quality_score": ("quality",),
    "error_message": ("error",),
}

_SUCCEEDED = {"completed", "complete", "success", "succeeded", "ok", "done", "passed"}
_FAILED = {"failed", "failure", "error", "timeout", "cancelled", "canceled", "crashed", "rejected"}


@functools.cache
def spellings(cls: type[Event]) -> dict[str, str]:
    """Return every accepted key of an event class, with the field it fills."""
    fields = {name: name for name in cls.model_fields if name != "event_type"}
    aliases = {
        alias: name for name in fields for alias in _SPELLINGS.get(name, ()) if alias not in fields
    }
    return {**aliases, **fields}


def to_values(cls: type[Event], sources: Sequence[object]) -> dict[str, Any]:
    """Return the field values that the sources give an event class, the earlier source first.

    What no field takes goes into the metadata under its own key.
    """
    names = spellings(cls)
    values: dict[str, Any] = {}
    rest: dict[str, Any] = {}
    for source in sources:
        from_alias: set[str] = set()
        for key, value in as_mapping(source).items():
            if value is None:
                continue
            if isinstance(value, Enum):
                value = value.value
            field = names.get(key)
            if field is None:
                rest.setdefault(key, value)
            elif field == "metadata" and isinstance(value, Mapping):
                for name, item in value.items():
                    rest.setdefault(name, item)
            elif field not in values:
                values[field] = value
                if key != field:
                    from_alias.add(field)
            elif field in from_alias:
                if key == field:
                    values[field], value = value, values[field]
                rest.setdefault(key, value)
    if isinstance(status := values.get("success"), str):
        values["success"] = _success_of(status)
    if rest:
        values["metadata"] = {**rest, **values.get("metadata", {})}
    if cls is RoutingDecision:
        for field in ("task_type", "repo", "model_tier"):
            if values.get(field) in (None, ""):
                values[field] = "unknown"
        for field in ("task_description", "pool_type"):
            if values.get(field) == "":
                del values[field]
    if cls is ExecutionRecorded and "occurred_at" not in values and "timestamp" in values:
        values["occurred_at"] = values["timestamp"]
    return dict(with_task_uuid(values))


def _success_of(status: str) -> object:
    word = status.strip().lower()
    if word in _SUCCEEDED:
        return True
    return False if word in _FAILED else status


def as_mapping(source: object) -> Mapping[str, Any]:
    """Return an object's public fields: a mapping's items, a model's or any object's attributes."""
    if isinstance(source, Mapping):
        return source
    if isinstance(source, BaseModel):
        return dict(source)
    if dataclasses.is_dataclass(source) and not isinstance(source, type):
        return {field.name: getattr(source, field.name) for field in dataclasses.fields(source)}
    if hasattr(source, "_asdict"):
        return dict(source._asdict())
    if hasattr(source, "__dict__"):
        return {name: value for name, value in vars(source).items() if not name.startswith("_")}
    raise TypeError(f"expected a mapping or an object with fields, not {type(source).__name__}")


def cleaned(values: Mapping[str, Any]) -> dict[str, Any]:
    """Return field values with every text made storable and the metadata made JSON."""
    return {
        key: json_value(value) if key == "metadata" else _clean_field(value)
        for key, value in values.items()
    }


def _clean_field(value: object) -> object:
    if isinstance(value, Enum):
        value = value.value
    return clean_text(value) if isinstance(value, str) else value


def clean_text(text: str) -> str:
    """Return text that UTF-8 can spell: a lone surrogate becomes its escape."""
    return str.__str__(text).encode("utf-8", "backslashreplace").decode("utf-8")


def json_value(value: object, depth: int = 0) -> Any:
    """Return the nearest JSON value to any object; never raises."""
    if depth > MAX_DEPTH:
        return _as_text(value)
    if value is None or isinstance(value, bool):
        return value
    if isinstance(value, Enum):
        return json_value(value.value, depth + 1)
    if isinstance(value, str):
        return clean_text(value)
    if isinstance(value, int):
        return int(value) if abs(value) < 2**63 else _as_text(value)
    if isinstance(value, float):
        return float(value) if abs(value) < float("inf") else str(float(value))
    if isinstance(value, UUID | datetime):
        return str(value)
    if isinstance(value, bytes | bytearray):
        return bytes(value[:MAX_TEXT]).decode("utf-8", "backslashreplace")
    try:
        if isinstance(value, Mapping):
            return {_as_text(key): json_value(item, depth + 1) for key, item in value.items()}
        if isinstance(value, list | tuple | set | frozenset):
            return [json_value(item, depth + 1) for item in value]
    except Exception:
        return f"<unreadable {type(value).__name__}>"
    return _as_text(value)


def _as_text(value: object) -> str:
    try:
        return clean_text(str(value)[:MAX_TEXT])
    except Exception:
        return f"<unreadable {type(value).__name__}>"
