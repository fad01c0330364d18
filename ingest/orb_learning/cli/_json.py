"""How results are printed for programs: one JSON document on standard output."""

from __future__ import annotations

import json
import math
import sys
from collections.abc import Mapping
from dataclasses import fields, is_dataclass
from datetime import date, time
from decimal import Decimal
from typing import Annotated, Any

import typer
from pydantic import BaseModel

AsJson = Annotated[bool, typer.Option("--json", help="Print it for a program.")]


def print_json(found: object) -> None:
    """Print a result as one JSON document.

    Args:
        found: a report, or what holds reports. Its keys are the names of their fields; dates and
            times are ISO 8601, ids and paths texts, and a number that JSON has not is null.
    """
    sys.stdout.write(json.dumps(_plain(found), indent=2, allow_nan=False) + "\n")


def _plain(value: Any) -> Any:
    """Return a value as JSON knows it."""
    if isinstance(value, BaseModel):
        return value.model_dump(mode="json")
    if is_dataclass(value):
        return {field.name: _plain(getattr(value, field.name)) for field in fields(value)}
    if isinstance(value, Mapping):
        return {str(_leaf(key)): _plain(one) for key, one in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(one) for one in value]
    return _leaf(value)


def _leaf(value: Any) -> str | float | bool | None:
    if isinstance(value, str | bool | int | None):
        return value
    if isinstance(value, float | Decimal):
        return float(value) if math.isfinite(value) else None
    if isinstance(value, date | time):
        return value.isoformat()
    if isinstance(value, bytes):
        return value.decode("utf-8", "backslashreplace")
    return str(value)
