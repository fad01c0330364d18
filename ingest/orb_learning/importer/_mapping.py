"""Fields of a row that are taken from elsewhere in it."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

from orb_learning.errors import ImportFileError, InvalidEventError
from orb_learning.events import ExecutionRecorded
from orb_learning.importer._rows import Row

_FIELD = re.compile(r"\{([^{}]+)\}")


class FieldMap:
    """Takes fields of a row from elsewhere in it."""

    def __init__(self, expressions: Sequence[str] = ()) -> None:
        """Parse `FIELD=PATH` and `FIELD=TEMPLATE` expressions.

        Args:
            expressions: such as `model_tier=metadata.model`, a dotted path into the row, or
                `model_tier={metadata.agent}|{metadata.model}`, text with paths in braces.

        Raises:
            ImportFileError: an expression has another form or names an unknown field.
        """
        self._sources: dict[str, str] = {}
        for expression in expressions:
            field, separator, source = expression.partition("=")
            if not separator or not field or not source:
                raise ImportFileError(
                    f"--map takes FIELD=PATH or FIELD=TEMPLATE, like model_tier=metadata.model, "
                    f"not {expression!r}"
                )
            if field not in ExecutionRecorded.model_fields:
                known = ", ".join(sorted(ExecutionRecorded.model_fields))
                raise ImportFileError(f"--map: there is no field {field!r}; fields are {known}")
            self._sources[field] = source

    def apply(self, row: Row) -> Row:
        """Return the row with the mapped fields set; one whose path it lacks is not mapped.

        Raises:
            InvalidEventError: the row lacks a part of a template.
        """
        if not self._sources:
            return row
        mapped = dict(row)
        for field, source in self._sources.items():
            if "{" in source:
                mapped[field] = "".join(
                    _part_of(row, part, field) if index % 2 else part
                    for index, part in enumerate(_FIELD.split(source))
                )
            elif (found := _look_up(row, source)) is not None:
                mapped[field] = found
        return mapped


def _look_up(row: Mapping[str, Any], path: str) -> Any:
    value: Any = row
    for part in path.split("."):
        value = value.get(part) if isinstance(value, Mapping) else None
    return value


def _part_of(row: Mapping[str, Any], path: str, field: str) -> str:
    found = _look_up(row, path)
    if found is None:
        raise InvalidEventError(f"{field}: the row has no {path} to take it from")
    return str(found)
