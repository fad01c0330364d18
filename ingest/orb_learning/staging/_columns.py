"""The raw tables' columns, as the event classes imply them."""

from __future__ import annotations

from types import NoneType, UnionType
from typing import Annotated, Any, Literal, Union, get_args, get_origin
from uuid import UUID

from pydantic import AwareDatetime

from orb_learning.events import EVENT_TYPES, Event

LOADER_COLUMNS = {"event_hash": "UUID", "load_id": "BIGINT"}
"""What the loader adds: the identity of the event's content, and the load that brought it."""

_SCALARS: dict[object, str] = {
    bool: "BOOLEAN",
    int: "INTEGER",
    float: "DOUBLE",
    AwareDatetime: "TIMESTAMP",
    UUID: "UUID",
}


def raw_columns(cls: type[Event]) -> dict[str, str]:
    """Return an event class's columns and their DuckDB types, the loader's own included."""
    columns = {
        name: _column_type(field.annotation)
        for name, field in cls.model_fields.items()
        if name != "event_type"
    }
    return {**columns, **LOADER_COLUMNS}


def batch_columns(kind: str) -> dict[str, str]:
    """Return the columns of a load's new rows of one kind; `position` tells their lines' order."""
    return {**raw_columns(EVENT_TYPES[kind]), "position": "BIGINT"}


def _column_type(annotation: Any) -> str:
    origin = get_origin(annotation)
    if origin is Annotated:
        return _column_type(get_args(annotation)[0])
    if origin in (Union, UnionType):
        types = {_column_type(part) for part in get_args(annotation) if part is not NoneType}
        return types.pop() if len(types) == 1 else "VARCHAR"
    if origin is dict:
        return "JSON"
    if origin is list:
        (item,) = get_args(annotation)
        return "FLOAT[]" if _column_type(item) == "DOUBLE" else f"{_column_type(item)}[]"
    if origin is Literal:
        return "VARCHAR"
    return _SCALARS.get(annotation, "VARCHAR")
