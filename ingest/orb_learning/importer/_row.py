"""A row of a file, or what stands in its place."""

from __future__ import annotations

import json
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, TypeAlias

Row: TypeAlias = dict[str, Any]


@dataclass(frozen=True, slots=True)
class BadRow:
    """What stands where a row should be, and why it is none."""

    payload: object
    reason: str


def with_json(row: Row, columns: Sequence[str]) -> Row:
    """Return a row with texts of JSON as what they spell; what is none stays the text it is."""
    for column in columns:
        with suppress(ValueError, RecursionError):
            row[column] = json.loads(row[column])
    return row
