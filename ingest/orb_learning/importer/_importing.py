"""Rows as events in the spool, and what is said of those that are none."""

from __future__ import annotations

import dataclasses
import hashlib
import json
from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, date, datetime
from pathlib import Path
from uuid import UUID, uuid5

from pydantic import ValidationError

from orb_learning._coercion import spells_epoch
from orb_learning._spellings import spellings
from orb_learning._types import NAMESPACE
from orb_learning.capture import (
    MAX_PAYLOAD_CHARACTERS,
    Reading,
    Recorder,
    clean_text,
    cleaned,
    ids_first,
    json_value,
    made,
    number_of,
    to_values,
)
from orb_learning.errors import ImportFileError, InvalidEventError, SpoolWriteError
from orb_learning.events import Event, ExecutionRecorded, InvalidEvent, describe
from orb_learning.importer._mapping import FieldMap
from orb_learning.importer._rows import BadRow, Row, read_rows
from orb_learning.spool import MAX_LINE_BYTES

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

TIMES = ("timestamp", "occurred_at", "captured_at")

MAX_REASON_CHARACTERS = 4 * 1024
SHOWN_REASONS = 5
MAX_REASONS = 1000
PROGRESS_ROWS = 500


@dataclass(frozen=True, slots=True)
class ImportReport:
    """What an import did.

    Attributes:
        files: files read.
        rows: rows read; always recorded + rejected.
        recorded: rows that are now events in the spool.
        rejected: rows that go to quarantine, each with its reason.
        reasons: the most frequent reasons, with the file and row that gave each first.
        replaced: rows that another one of the same task and attempt, or beginning, replaces.
        misfits: optional values that no field takes, kept in the metadata of their rows.
    """

    files: int
    rows: int
    recorded: int
    rejected: int
    reasons: tuple[str, ...]
    replaced: int = 0
    misfits: int = 0


@dataclass(slots=True)
class _Seen:
    """What the rows of one import had in common."""

    refused: Counter[str] = dataclasses.field(default_factory=Counter)
    first: dict[str, str] = dataclasses.field(default_factory=dict)
    runs: dict[int, int] = dataclasses.field(default_factory=dict)
    replaced: int = 0

    def refuse(self, reason: str, place: str) -> None:
        # Reasons that name values may be as many as the rows.
        if reason not in self.first and len(self.first) >= MAX_REASONS:
            reason = "other reasons"
        self.first.setdefault(reason, place)
        self.refused[reason] += 1

    def accept(self, event: ExecutionRecorded) -> None:
        """Count a row that says something else of the same run than one before it."""
        begun = event.timestamp if event.attempt is None else event.attempt
        run, content = hash((event.task_id, begun)), hash(event.event_id)
        if self.runs.setdefault(run, content) != content:
            self.runs[run] = content
            self.replaced += 1

    def reasons(self) -> tuple[str, ...]:
        return tuple(
            f"{self.first[reason]}: {reason}"
            if rows == 1
            else f"{rows:,} rows, the first {self.first[reason]}: {reason}"
            for reason, rows in self.refused.most_common(SHOWN_REASONS)
        )


def import_files(
    telemetry: Recorder,
    paths: Sequence[Path],
    *,
    field_map: FieldMap | None = None,
    assume_utc: bool = False,
    attempts_from: int = 1,
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
        attempts_from: the number of a task's first attempt in these files, 0 or 1.
        on_progress: called with the number of rows read since its last call.

    Raises:
        ImportFileError: a file cannot be read as what its name says, or counts attempts or quality
            in another way than was said; nothing is recorded then.
        SpoolWriteError: the spool cannot be written; what was recorded before stays.
    """
    field_map = field_map or FieldMap()
    _refuse_other_scales(paths, field_map, telemetry.reading.quality_scale, attempts_from)
    rows = 0
    seen = _Seen()
    misfits = telemetry.stats().misfits
    for path in paths:
        for number, row in enumerate(read_rows(path), start=1):
            rows += 1
            event = _to_event(row, field_map, assume_utc, attempts_from, telemetry.reading)
            _store(telemetry, event)
            if on_progress and rows % PROGRESS_ROWS == 0:
                on_progress(PROGRESS_ROWS)
            if isinstance(event, InvalidEvent):
                seen.refuse(event.reason, f"{path.name} row {number}")
            else:
                seen.accept(event)
    if on_progress and rows % PROGRESS_ROWS:
        on_progress(rows % PROGRESS_ROWS)
    rejected = seen.refused.total()
    misfits = telemetry.stats().misfits - misfits
    return ImportReport(
        len(paths), rows, rows - rejected, rejected, seen.reasons(), seen.replaced, misfits
    )


def _refuse_other_scales(
    paths: Sequence[Path], field_map: FieldMap, quality_scale: int, attempts_from: int
) -> None:
    """Read everything once for what one row alone does not tell: how the files count."""
    known = spellings(ExecutionRecorded)
    best, has_fraction = 0.0, False
    for path in paths:
        for number, row in enumerate(read_rows(path), start=1):
            if isinstance(row, BadRow):
                continue
            mapped = row
            with suppress(InvalidEventError):
                mapped = field_map.apply(row)
            for key, value in mapped.items():
                if known.get(key) == "quality_score" and (score := number_of(value)) is not None:
                    best, has_fraction = max(best, score), has_fraction or score % 1 != 0
                elif key == "attempt" and attempts_from == 1 and number_of(value) == 0:
                    raise ImportFileError(
                        f"{path.name} row {number}: attempt 0; if these files count from 0, say "
                        "--attempts-from 0"
                    )
    if quality_scale != 1 and has_fraction and best <= 1:
        raise ImportFileError(
            "all quality scores lie between 0 and 1, where scores are from 0 to 100; say "
            "--quality-scale 1, and nothing is recorded until then"
        )


def _store(telemetry: Recorder, event: ExecutionRecorded | InvalidEvent) -> None:
    if telemetry.record(Event, event, {}) is None:
        raise SpoolWriteError(
            f"cannot write to the spool in {telemetry.home.spool}; import again when it can be "
            "written, rows already there are not doubled"
        )


def _to_event(
    row: Row | BadRow, field_map: FieldMap, assume_utc: bool, first: int, reading: Reading
) -> ExecutionRecorded | InvalidEvent:
    if isinstance(row, BadRow):
        return _refusal(row.payload, row.reason)
    try:
        return _accept(field_map.apply(row), assume_utc, first, reading)
    except ValidationError as error:
        return _refusal(row, describe(error))
    except (InvalidEventError, TypeError, ValueError) as error:
        return _refusal(row, str(error))


def _accept(row: Row, assume_utc: bool, first: int, reading: Reading) -> ExecutionRecorded:
    row = _without_derived(row)
    if first == 0 and (attempt := number_of(row.get("attempt"))) is not None:
        row["attempt"] = attempt + 1
    row.update({name: _moment(row[name], assume_utc) for name in TIMES if name in row})
    values = cleaned(to_values(ExecutionRecorded, [row], reading))
    spelled = json.dumps(json_value(values), sort_keys=True, ensure_ascii=False)
    values.setdefault("event_id", uuid5(NAMESPACE, spelled))
    event = made(ExecutionRecorded, values, reading)
    if len(event.to_line()) >= MAX_LINE_BYTES:
        raise InvalidEventError(f"the row exceeds the line limit of {MAX_LINE_BYTES} bytes")
    return event


def _without_derived(row: Row) -> Row:
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


def _moment(given: object, assume_utc: bool) -> object:
    # What is no time is left for the event class to refuse; it also knows numbers since 1970. The
    # short offset of `2026-06-15 12:00:00+00`, as databases write it, it does not know.
    if isinstance(given, str) and spells_epoch(given):
        return given
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
