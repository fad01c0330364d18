"""Rows of `executions` that come back: without what was derived from what they say."""

from __future__ import annotations

import hashlib
from contextlib import suppress
from uuid import UUID

from orb_learning.events import ExecutionRecorded
from orb_learning.importer._row import Row

DERIVED_COLUMNS = (
    "uploaded_at",
    "load_id",
    "date",
    "content_hash",
    "parent_task_id",
    "cost_source",
    "attempt_is_ambiguous",
    "known_cost",
    "known_duration_seconds",
    "defaulted",
)
"""Columns of `executions` that say nothing new about an execution when it is imported again."""


def without_derived(row: Row) -> Row:
    """Return a row as it was imported first, as far as it says so."""
    kept = {
        key: value for key, value in row.items() if value is not None and key not in DERIVED_COLUMNS
    }
    # An exported row says which of its values nobody said.
    for name in _defaulted(row):
        field = ExecutionRecorded.model_fields.get(name)
        if field is not None and not field.is_required():
            kept.pop(name, None)
    if row.get("duration_source") == "unknown":
        kept.pop("duration_source")
    if _is_later_attempt(row):
        kept["task_id"] = row["parent_task_id"]
    return kept


def _defaulted(row: Row) -> set[str]:
    said = row.get("defaulted")
    if isinstance(said, str):  # as DuckDB writes a list into a CSV file
        said = said.strip("[]").split(", ")
    names = {str(name) for name in said} if isinstance(said, list) else set()
    if row.get("cost_source") in ("estimate", "unknown"):
        names.add("actual_cost")
    if row.get("cost_source") == "unknown":
        names.add("cost_estimate")
    if row.get("duration_source") == "unknown":
        names.add("duration_seconds")
    return names


def _is_later_attempt(row: Row) -> bool:
    """Tell whether the row's task id is the one that `executions` gives to a second attempt."""
    task, parent = (_spelled_id(row.get(name)) for name in ("task_id", "parent_task_id"))
    spelled = f"{parent}/attempt/{row.get('attempt')}"
    made = UUID(hashlib.md5(spelled.encode(), usedforsecurity=False).hexdigest())
    return task == str(made)


def _spelled_id(given: object) -> str:
    with suppress(ValueError):
        return str(UUID(bytes=given) if isinstance(given, bytes) else given)
    return ""
