"""How hosts spell an event's fields, beside the fields' own names."""

from __future__ import annotations

import functools

from orb_learning.events import Event

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
    "decision_id": ("decision_event_id",),
}


@functools.cache
def spellings(cls: type[Event]) -> dict[str, str]:
    """Return every accepted key of an event class, with the field it fills."""
    fields = {name: name for name in cls.model_fields if name not in ("event_type", "import_id")}
    aliases = {
        alias: name for name in fields for alias in _SPELLINGS.get(name, ()) if alias not in fields
    }
    return {**aliases, **fields}


def comes_first(key: str, other: str, field: str) -> bool:
    """Tell which of two spellings of a field says it more exactly: its name, then as listed."""
    order = (field, *_SPELLINGS.get(field, ()))
    return order.index(key) < order.index(other)
