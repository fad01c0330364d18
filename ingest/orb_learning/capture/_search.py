"""The search that tells at once whether a text may hold something, and what a match holds."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import TYPE_CHECKING

from pydantic_core import SchemaValidator, core_schema

if TYPE_CHECKING:
    from re import Match, Pattern


def searcher(pattern: str) -> Callable[[str | bytes], bool]:
    """Return what tells whether a text, or its UTF-8, contains a match."""
    # Rust's engine, which pydantic brings along; `isinstance_python` neither raises nor copies.
    return SchemaValidator(core_schema.str_schema(pattern=pattern)).isinstance_python


def first_group(match: Match[str]) -> tuple[str, int]:
    """Return the name and the number of the first named group that has matched."""
    # Reading the text of every group, as `groupdict` does, takes as long as finding the match.
    return next(group for group in _groups(match.re) if match.start(group[1]) >= 0)


@cache
def _groups(pattern: Pattern[str]) -> list[tuple[str, int]]:
    return sorted(pattern.groupindex.items(), key=lambda group: group[1])
