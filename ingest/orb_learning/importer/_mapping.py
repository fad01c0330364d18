"""Fields of a row that are taken from elsewhere in it, or given."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

from orb_learning._spellings import spellings
from orb_learning.errors import ImportFileError, InvalidEventError
from orb_learning.events import ExecutionRecorded
from orb_learning.importer._expressions import NOTHING, Expression, parsed, paths_of
from orb_learning.importer._presets import Preset
from orb_learning.importer._row import Row
from orb_learning.importer._times import USUAL, Clock

USER = "user_id"
"""What no field takes goes into the metadata, and there `erase` looks for this one."""

_SHOWN_COLUMNS = 20
_FIELDS = {*ExecutionRecorded.model_fields, USER} - {"event_type", "import_id"}


class FieldMap:
    """Takes fields of a row from elsewhere in it."""

    def __init__(self, expressions: Sequence[str] = (), preset: Preset | None = None) -> None:
        """Parse `FIELD=SOURCE` expressions.

        Args:
            expressions: a field of `ExecutionRecorded`, or `user_id`, and what it is taken from: a
                path, `metadata.model`, `calls[0].model`, or `calls[*].usd` for a sum; a path and
                one number, `duration_seconds=ms/1000`; the seconds between two times,
                `duration_seconds=end - start`; text with paths in braces,
                `model_tier={metadata.agent}|{metadata.model}`; text in quotes,
                `pool_type='bench'`; a number; `true`, `false` or `null`. Of several for one field,
                a row takes the first that it has.
            preset: takes the fields that the expressions do not name, as far as rows have them.

        Raises:
            ImportFileError: an expression has another form or names an unknown field.
        """
        self.preset = preset
        self._own = _by_field(expressions)
        given = _by_field(preset.maps) if preset else {}
        self._presets = {name: given[name] for name in given if name not in self._own}
        self._left_out = preset.left_out if preset else ()

    def apply(self, row: Row, clock: Clock = USUAL) -> Row:
        """Return the row with the mapped fields set; one whose path it lacks is not mapped.

        Args:
            row: a row of a file.
            clock: reads the times that a source subtracts.

        Raises:
            InvalidEventError: the row lacks a part of a template.
        """
        if not (self._own or self.preset):
            return row
        mapped = {key: value for key, value in row.items() if key not in self._left_out}
        for name, sources in self._own.items():
            found, refusal = _first(sources, row, clock)
            if found is None and refusal:
                raise refusal
            _set(mapped, name, found)
        for name, sources in self._presets.items():
            found, _ = _first(sources, row, clock)
            if self.preset and found in self.preset.says_nothing.get(name, ()):
                found = NOTHING
            _set(mapped, name, found)
        return mapped

    def one(self, name: str, row: Row) -> Any:
        """Return what a field is mapped to in a row; None where it is not, or nowhere."""
        found, _ = _first(self._own.get(name, ()), row, USUAL)
        return None if found is NOTHING else found

    def reads(self, column: str) -> bool:
        """Tell whether a field is taken from a column, or from something in it."""
        paths = (
            path.text
            for fields in (self._own, self._presets)
            for sources in fields.values()
            for source in sources
            for path in paths_of(source)
        )
        return column in self._left_out or any(
            re.match(rf"{re.escape(column)}(?:$|[.\[\s*/+-])", path) for path in paths
        )

    def looked_for(self, name: str) -> list[str]:
        """Return the paths where the preset looks for a field."""
        sources = self._presets.get(name, ())
        return [path.text for source in sources for path in paths_of(source)]

    def refuse_unfound(self, shown: str, columns: Sequence[str]) -> None:
        """Refuse a file in none of whose rows a path was found.

        A preset's paths may be missing: other versions of the tool lack them.

        Args:
            shown: what the user calls the file.
            columns: the keys that its rows have.

        Raises:
            ImportFileError: there is such a path.
        """
        for name, sources in self._own.items():
            read = [paths_of(source) for source in sources]
            lacking = [next((one for one in paths if not one.is_found), None) for paths in read]
            if (path := lacking[0]) and None not in lacking:
                more = ", …" if len(columns) > _SHOWN_COLUMNS else ""
                raise ImportFileError(
                    f"{shown}: no row has {path.text}, which {name} is mapped to; name a path "
                    f"that rows have ({', '.join(columns[:_SHOWN_COLUMNS])}{more}), or say "
                    f"--map \"{name}='{path.text}'\" if that is the text itself"
                )
            for path in (one for paths in read for one in paths):
                path.is_found = False


def _by_field(expressions: Sequence[str]) -> dict[str, list[Expression]]:
    fields: dict[str, list[Expression]] = {}
    for expression in expressions:
        name, separator, source = (part.strip() for part in expression.partition("="))
        if not separator or not name or not source:
            raise ImportFileError(
                "--map takes FIELD=PATH, FIELD='TEXT' or FIELD=TEMPLATE, like "
                f"model_tier=metadata.model, not {expression!r}"
            )
        if name not in _FIELDS:
            raise ImportFileError(
                f"--map: there is no field {name!r}; fields are {', '.join(sorted(_FIELDS))}"
            )
        fields.setdefault(name, []).append(parsed(name, source))
    return fields


def _first(
    sources: Sequence[Expression], row: Row, clock: Clock
) -> tuple[Any, InvalidEventError | None]:
    """Return the first value that a row has, and why the last that it lacks is none."""
    found: Any = None
    refusal = None
    for source in sources:
        try:
            found = source.of(row, clock)
        except InvalidEventError as error:
            found, refusal = None, error
        if found is not None and found != "":
            break
    return found, refusal


def _set(row: Row, name: str, found: Any) -> None:
    """Set a field; what is said to be nothing is taken away, however the row spells it."""
    if found is NOTHING:
        known = spellings(ExecutionRecorded)
        for key in [key for key in row if key == name or known.get(key) == name]:
            del row[key]
    elif found is not None:
        row[name] = found
