"""Importing finished executions from files: JSON lines (also gzipped), CSV and Parquet.

Rows become `execution_recorded` events in the spool, so an import needs no lock and loads like
anything else. An event's id is derived from its row, so importing a file twice changes nothing.
"""

from __future__ import annotations

import csv
import gzip
import hashlib
import io
import json
import re
import tempfile
import zlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias
from uuid import UUID, uuid5

from pydantic import ValidationError

from orb_learning._success import Vocabulary
from orb_learning._types import NAMESPACE
from orb_learning.capture import (
    MAX_PAYLOAD_CHARACTERS,
    Recorder,
    clean_text,
    cleaned,
    ids_first,
    json_value,
    to_values,
)
from orb_learning.errors import ImportFileError, InvalidEventError, SpoolWriteError
from orb_learning.events import Event, ExecutionRecorded, InvalidEvent, describe
from orb_learning.spool import MAX_LINE_BYTES

if TYPE_CHECKING:
    import duckdb

Row: TypeAlias = dict[str, Any]

DERIVED_COLUMNS = (
    "uploaded_at",
    "load_id",
    "date",
    "content_hash",
    "parent_task_id",
    "cost_source",
    "attempt_is_ambiguous",
)
"""Columns of `executions` that say nothing new about an execution when it is imported again."""

TIMES = ("timestamp", "occurred_at", "captured_at")

MAX_REASON_CHARACTERS = 4 * 1024
SHOWN_REASONS = 5
PROGRESS_ROWS = 500

_FIELD = re.compile(r"\{([^{}]+)\}")


@dataclass(frozen=True, slots=True)
class ImportReport:
    """What an import did.

    Attributes:
        files: files read.
        rows: rows read; always recorded + rejected.
        recorded: rows that are now events in the spool.
        rejected: rows that go to quarantine, each with its reason.
        reasons: the first few reasons, with the file and row they came from.
    """

    files: int
    rows: int
    recorded: int
    rejected: int
    reasons: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class _BadRow:
    """What stands where a row should be, and why it is none."""

    payload: object
    reason: str


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
        """Return the row with the mapped fields set.

        Raises:
            InvalidEventError: the row lacks what a mapped field is taken from.
        """
        if not self._sources:
            return row
        mapped = dict(row)
        for field, source in self._sources.items():
            if "{" in source:
                mapped[field] = "".join(
                    str(_look_up(row, part, field)) if index % 2 else part
                    for index, part in enumerate(_FIELD.split(source))
                )
            else:
                mapped[field] = _look_up(row, source, field)
        return mapped


def import_files(
    telemetry: Recorder,
    paths: Sequence[Path],
    *,
    field_map: FieldMap | None = None,
    assume_utc: bool = False,
    on_progress: Callable[[int], None] | None = None,
) -> ImportReport:
    """Record every row of the files as a finished execution.

    Args:
        telemetry: writes the events.
        paths: `.jsonl`, `.ndjson` or `.json` (one object a line), each also with `.gz`; `.csv`,
            also with `.gz`; `.parquet`. Field names are those of `ExecutionRecord`; what no field
            takes goes into the metadata.
        field_map: takes fields from elsewhere in the row.
        assume_utc: read times without an offset as UTC instead of refusing them.
        on_progress: called with the number of rows read since its last call.

    Raises:
        ImportFileError: a file cannot be read as what its name says.
        SpoolWriteError: the spool cannot be written; what was recorded before stays.
    """
    field_map = field_map or FieldMap()
    rows = rejected = 0
    reasons: list[str] = []
    for path in paths:
        for number, row in enumerate(_read(path), start=1):
            rows += 1
            event = _to_event(row, field_map, assume_utc, telemetry.words)
            _store(telemetry, event)
            if on_progress and rows % PROGRESS_ROWS == 0:
                on_progress(PROGRESS_ROWS)
            if isinstance(event, InvalidEvent):
                rejected += 1
                if len(reasons) < SHOWN_REASONS:
                    reasons.append(f"{path.name} row {number}: {event.reason}")
    if on_progress and rows % PROGRESS_ROWS:
        on_progress(rows % PROGRESS_ROWS)
    return ImportReport(len(paths), rows, rows - rejected, rejected, tuple(reasons))


def _store(telemetry: Recorder, event: ExecutionRecorded | InvalidEvent) -> None:
    if telemetry.record(Event, event, {}) is None:
        raise SpoolWriteError(
            f"cannot write to the spool in {telemetry.home.spool}; import again when it can be "
            "written, rows already there are not doubled"
        )


def _to_event(
    row: Row | _BadRow, field_map: FieldMap, assume_utc: bool, words: Vocabulary
) -> ExecutionRecorded | InvalidEvent:
    if isinstance(row, _BadRow):
        return _refusal(row.payload, row.reason)
    try:
        return _accept(field_map.apply(row), assume_utc, words)
    except ValidationError as error:
        return _refusal(row, describe(error))
    except (InvalidEventError, TypeError, ValueError) as error:
        return _refusal(row, str(error))


def _accept(row: Row, assume_utc: bool, words: Vocabulary) -> ExecutionRecorded:
    row = _without_derived(row)
    row.update({name: _moment(row[name], assume_utc) for name in TIMES if name in row})
    values = cleaned(to_values(ExecutionRecorded, [row], words))
    spelled = json.dumps(json_value(values), sort_keys=True, ensure_ascii=False)
    values.setdefault("event_id", uuid5(NAMESPACE, spelled))
    event = ExecutionRecorded(**values)
    if len(event.to_line()) >= MAX_LINE_BYTES:
        raise InvalidEventError(f"the row exceeds the line limit of {MAX_LINE_BYTES} bytes")
    return event


def _without_derived(row: Row) -> Row:
    kept = {
        key: value for key, value in row.items() if value is not None and key not in DERIVED_COLUMNS
    }
    # An exported row says in cost_source which of its costs nobody reported.
    source = row.get("cost_source")
    if source in ("estimate", "unknown"):
        kept.pop("actual_cost", None)
    if source == "unknown":
        kept.pop("cost_estimate", None)
    if _is_later_attempt(row):
        kept["task_id"] = row["parent_task_id"]
    return kept


def _is_later_attempt(row: Row) -> bool:
    """Tell whether the row's task id is the one that `executions` gives to a second attempt."""
    spelled = f"{row.get('parent_task_id')}/attempt/{row.get('attempt')}"
    made = UUID(hashlib.md5(spelled.encode(), usedforsecurity=False).hexdigest())
    return str(row.get("task_id")) == str(made)


def _moment(given: object, assume_utc: bool) -> object:
    # What is no time is left for the event class to refuse; it also knows numbers of seconds. The
    # short offset of `2026-06-15 12:00:00+00`, as databases write it, it does not know.
    if isinstance(given, date | str) and not isinstance(given, datetime):
        try:
            given = datetime.fromisoformat(str(given))
        except ValueError:
            return given
    if assume_utc and isinstance(given, datetime) and given.tzinfo is None:
        return given.replace(tzinfo=UTC)
    return given


def _refusal(shown: object, reason: str) -> InvalidEvent:
    given = json_value(shown)
    payload = spelled = json.dumps(given, sort_keys=True, ensure_ascii=False)
    if len(spelled) > MAX_PAYLOAD_CHARACTERS:
        payload = json.dumps(ids_first(given), ensure_ascii=False)
    return InvalidEvent(
        event_id=uuid5(NAMESPACE, spelled),
        claimed_type=ExecutionRecorded.type_name,
        reason=clean_text(reason[:MAX_REASON_CHARACTERS]),
        payload=payload[:MAX_PAYLOAD_CHARACTERS],
    )


def _look_up(row: Mapping[str, Any], path: str, field: str) -> Any:
    value: Any = row
    for part in path.split("."):
        if not isinstance(value, Mapping) or value.get(part) is None:
            raise InvalidEventError(f"{field}: the row has no {path} to take it from")
        value = value[part]
    return value


def _read(path: Path) -> Iterator[Row | _BadRow]:
    suffixes = [suffix.lower() for suffix in path.suffixes[-2:]]
    if suffixes and suffixes[-1] == ".gz":
        suffixes = suffixes[:-1]
    suffix = suffixes[-1] if suffixes else ""
    if not path.is_file():
        raise ImportFileError(f"{path} is not a file that can be read")
    try:
        if suffix in (".jsonl", ".ndjson", ".json"):
            yield from _read_json_lines(path)
        elif suffix == ".csv":
            yield from _read_csv(path)
        elif suffix == ".parquet":
            yield from _read_parquet(path)
        else:
            raise ImportFileError(
                f"{path}: cannot tell its format; name it .jsonl, .jsonl.gz, .csv or .parquet"
            )
    except (OSError, EOFError, zlib.error, csv.Error) as error:
        raise ImportFileError(f"cannot read {path}: {error}") from error


def _unpacked(path: Path, raw: io.BufferedReader) -> io.BufferedIOBase:
    return gzip.GzipFile(fileobj=raw) if path.suffix.lower() == ".gz" else raw


def _read_json_lines(path: Path) -> Iterator[Row | _BadRow]:
    with path.open("rb") as raw, _unpacked(path, raw) as lines:
        for line in map(bytes.strip, lines):
            if line:
                yield _parse_json(line)


def _parse_json(line: bytes) -> Row | _BadRow:
    try:
        row = json.loads(line)
    except (ValueError, RecursionError) as error:
        return _BadRow(line[:MAX_PAYLOAD_CHARACTERS], f"not JSON: {error}")
    if not isinstance(row, dict):
        reason = f"not a JSON object but a {type(row).__name__}"
        return _BadRow(line[:MAX_PAYLOAD_CHARACTERS], reason)
    return row


def _read_csv(path: Path) -> Iterator[Row | _BadRow]:
    with path.open("rb") as raw, _unpacked(path, raw) as binary:
        text = io.TextIOWrapper(
            io.BufferedReader(binary), encoding="utf-8-sig", errors="backslashreplace", newline=""
        )
        for row in csv.DictReader(text, restkey="_more"):
            if "_more" in row:
                yield _BadRow(dict(row), "more values than the header has columns")
            else:
                yield _csv_row({key: value for key, value in row.items() if value})


def _csv_row(row: Row) -> Row | _BadRow:
    return _with_json(row, [key for key in ("metadata", "candidates") if key in row])


def _with_json(row: Row, columns: Sequence[str]) -> Row | _BadRow:
    for column in columns:
        try:
            row[column] = json.loads(row[column])
        except (ValueError, RecursionError) as error:
            return _BadRow(row, f"{column}: not JSON: {error}")
    return row


def _read_parquet(path: Path) -> Iterator[Row | _BadRow]:
    import duckdb

    # DuckDB reads names as patterns, so it gets a name without any.
    with tempfile.TemporaryDirectory() as folder, duckdb.connect() as connection:
        link = Path(folder) / "rows.parquet"
        link.symlink_to(path.resolve())
        try:
            yield from _parquet_rows(connection, link)
        except duckdb.Error as error:
            reason = " ".join(str(error).split()).replace(str(link), str(path))
            raise ImportFileError(f"cannot read {path}: {reason}") from error


def _parquet_rows(connection: duckdb.DuckDBPyConnection, link: Path) -> Iterator[Row | _BadRow]:
    connection.execute("set timezone = 'UTC'")
    rows = connection.read_parquet(str(link))
    kinds = dict(zip(rows.columns, map(str, rows.types), strict=True))
    json_columns = [name for name, kind in kinds.items() if kind == "JSON"]
    result = rows.project(", ".join(_fetched(name, kind) for name, kind in kinds.items()))
    while batch := result.fetchmany(1000):
        for values in batch:
            row = dict(zip(kinds, values, strict=True))
            yield _with_json(row, [name for name in json_columns if row[name] is not None])


def _fetched(name: str, kind: str) -> str:
    column = '"' + name.replace('"', '""') + '"'
    # A time with an offset would be fetched through pytz, which is no dependency.
    return f"cast({column} as varchar)" if kind == "TIMESTAMP WITH TIME ZONE" else column
