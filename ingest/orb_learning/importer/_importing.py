"""Rows as events in the spool, and what is said of those that are none."""

from __future__ import annotations

import dataclasses
import json
import re
import secrets
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date
from pathlib import Path
from uuid import UUID, uuid5

from pydantic import ValidationError

from orb_learning._types import NAMESPACE, utc_now
from orb_learning.capture import (
    MAX_PAYLOAD_CHARACTERS,
    Recorder,
    clean_text,
    cleaned,
    ids_first,
    json_value,
    made,
    number_of,
    to_values,
)
from orb_learning.errors import InvalidEventError, SpoolWriteError
from orb_learning.events import Event, ExecutionRecorded, InvalidEvent, describe
from orb_learning.importer._exported import without_derived
from orb_learning.importer._mapping import USER, FieldMap
from orb_learning.importer._meter import Meter
from orb_learning.importer._row import BadRow, Row
from orb_learning.importer._sources import Source, opened
from orb_learning.importer._survey import Scales, Settings, look_through
from orb_learning.importer._times import Clock, zone_named
from orb_learning.spool import MAX_LINE_BYTES

TIMES = ("timestamp", "occurred_at", "captured_at")

MAX_REASON_CHARACTERS = 4 * 1024
MAX_NAME_CHARACTERS = 24
SHOWN_REASONS = 5
SHOWN_ROWS = 3
MAX_REASONS = 1000
PROGRESS_ROWS = 500
_NO_OFFSET = "Input should have timezone info"


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
        days: how many of the recorded runs began on each day, UTC.
        first: of a dry run, the first rows as they would be written.
        unused: columns that no field and no map takes; they are in the metadata.
        import_id: names the import, so that it can be undone.
    """

    files: int
    rows: int
    recorded: int
    rejected: int
    reasons: tuple[str, ...]
    replaced: int = 0
    misfits: int = 0
    days: Mapping[date, int] = dataclasses.field(default_factory=dict, compare=False)
    first: tuple[ExecutionRecorded, ...] = ()
    unused: tuple[str, ...] = dataclasses.field(default=(), compare=False)
    import_id: str = dataclasses.field(default="", compare=False)

    def before(self, day: date) -> int:
        """Return how many of the recorded runs began before a day."""
        return sum(runs for begun, runs in self.days.items() if begun < day)


@dataclass(slots=True)
class _Seen:
    """What the rows of one import had in common."""

    refused: Counter[str] = dataclasses.field(default_factory=Counter)
    first: dict[str, str] = dataclasses.field(default_factory=dict)
    runs: dict[int, int] = dataclasses.field(default_factory=dict)
    tasks: Counter[UUID] = dataclasses.field(default_factory=Counter)
    days: Counter[date] = dataclasses.field(default_factory=Counter)
    shown: list[ExecutionRecorded] = dataclasses.field(default_factory=list)
    rows: int = 0
    replaced: int = 0

    def show(self, event: ExecutionRecorded | InvalidEvent, telemetry: Recorder) -> None:
        """Keep the first events as they would be written."""
        if isinstance(event, ExecutionRecorded) and len(self.shown) < SHOWN_ROWS:
            self.shown.append(telemetry.as_written(event))

    def task_of(self, spelled: str) -> UUID:
        """Return the task of a row that names none.

        It follows from the content and from how many equal rows came before it, so that importing
        a file again changes nothing, wherever it lies and however it is cut.
        """
        content = uuid5(NAMESPACE, f"task of {spelled}")
        self.tasks[content] += 1
        return uuid5(content, str(self.tasks[content]))

    def refuse(self, reason: str, place: str) -> None:
        # Reasons that name values may be as many as the rows.
        if reason not in self.first and len(self.first) >= MAX_REASONS:
            reason = "other reasons"
        self.first.setdefault(reason, place)
        self.refused[reason] += 1

    def accept(self, event: ExecutionRecorded) -> None:
        """Count a row that says something else of the same run than one before it."""
        self.days[event.timestamp.date()] += 1
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
    rows: str | None = None,
    assume_utc: bool = False,
    timezone: str | None = None,
    time_format: str | None = None,
    attempts_from: int = 1,
    dry_run: bool = False,
    on_progress: Callable[[int], None] | None = None,
    on_share: Callable[[int, int], None] | None = None,
) -> ImportReport:
    """Record every row of the files as a finished execution.

    Args:
        telemetry: writes the events.
        paths: files, patterns such as `runs/*.jsonl`, pipes, and `-` for standard input: JSON (a
            list, an object that holds one, or an object a line), CSV or Parquet, with the extra
            `import` Arrow, too; packed with gzip, bzip2, xz or, with the extra, zstd. Field names
            are those of `ExecutionRecord`; what no field takes goes into the metadata.
        field_map: takes fields from elsewhere in the row.
        rows: the path to the rows within a JSON object, a list or an object of objects; `.` is the
            object itself; None to find a list.
        assume_utc: read times without an offset as UTC instead of refusing them.
        timezone: the zone of times without an offset, such as `Europe/Berlin`.
        time_format: how times are written, as `strptime` takes it.
        attempts_from: the number of a task's first attempt in these files, 0 or 1.
        dry_run: write nothing, and tell what would be recorded.
        on_progress: called with the number of rows read since its last call.
        on_share: called with how many bytes are read, of how many; each file is read twice.

    Raises:
        ImportFileError: a file cannot be read, none of its rows has a path that is mapped or a
            field that every execution needs, or it counts attempts or quality in another way than
            was said; nothing is recorded then.
        SpoolWriteError: the spool cannot be written; what was recorded before stays.
    """
    settings = Settings(
        _new_id(paths),
        field_map or FieldMap(),
        Clock(zone_named(timezone) if timezone else UTC if assume_utc else None, time_format),
        attempts_from,
        telemetry.reading,
        rows,
    )
    with opened(paths) as sources:
        if on_share:
            settings = dataclasses.replace(settings, meter=Meter(sources, on_share))
        scales = Scales(telemetry.reading.quality_scale, attempts_from)
        unused = [name for source in sources for name in look_through(source, settings, scales)]
        scales.refuse_shares()
        files = [(source, settings.rows_of(source)) for source in sources]
        seen = _Seen()
        misfits = telemetry.stats().misfits
        for count, event in enumerate(_events(files, settings, seen), start=1):
            if dry_run:
                seen.show(event, telemetry)
            else:
                _store(telemetry, event)
            if on_progress and count % PROGRESS_ROWS == 0:
                on_progress(PROGRESS_ROWS)
    if on_progress and seen.rows % PROGRESS_ROWS:
        on_progress(seen.rows % PROGRESS_ROWS)
    rejected = seen.refused.total()
    return ImportReport(
        files=len(sources),
        rows=seen.rows,
        recorded=seen.rows - rejected,
        rejected=rejected,
        reasons=seen.reasons(),
        replaced=seen.replaced,
        misfits=telemetry.stats().misfits - misfits,
        days=seen.days,
        first=tuple(seen.shown),
        unused=tuple(dict.fromkeys(unused)),
        import_id=settings.import_id,
    )


def _new_id(paths: Sequence[Path]) -> str:
    """Return a new import's id; it begins with the name of its first file."""
    name = paths[0].name.partition(".")[0] if paths else ""
    words = "-".join(re.findall(r"[a-z0-9]+", "stdin" if name == "-" else name.lower()))
    known = words[:MAX_NAME_CHARACTERS].strip("-") or "file"
    return f"{known}-{utc_now():%Y%m%d}-{secrets.token_hex(3)}"


def _events(
    files: Sequence[tuple[Source, Iterator[Row | BadRow]]], settings: Settings, seen: _Seen
) -> Iterator[ExecutionRecorded | InvalidEvent]:
    for source, rows in files:
        for number, row in enumerate(rows, start=1):
            seen.rows += 1
            event = _to_event(row, settings, seen)
            yield event
            if isinstance(event, InvalidEvent):
                seen.refuse(event.reason, f"{Path(source.name).name} row {number}")
            else:
                seen.accept(event)


def _store(telemetry: Recorder, event: ExecutionRecorded | InvalidEvent) -> None:
    if telemetry.record(Event, event, {}) is None:
        raise SpoolWriteError(
            f"cannot write to the spool in {telemetry.home.spool}; import again when it can be "
            "written, rows already there are not doubled"
        )


def _to_event(
    row: Row | BadRow, settings: Settings, seen: _Seen
) -> ExecutionRecorded | InvalidEvent:
    if isinstance(row, BadRow):
        shown = row.payload
        return _refusal(
            _with_user(shown, settings) if isinstance(shown, dict) else shown, row.reason, settings
        )
    try:
        return _accept(settings.field_map.apply(row, settings.clock), settings, seen)
    except ValidationError as error:
        reason = _with_remedy(describe(error))
    except (InvalidEventError, TypeError, ValueError) as error:
        reason = str(error)
    return _refusal(_with_user(row, settings), reason, settings)


def _with_user(row: Row, settings: Settings) -> Row:
    """Return a refused row with its mapped user and task, by which it can be erased."""
    named = {name: settings.field_map.one(name, row) for name in (USER, "task_id")}
    return {**row, **{name: value for name, value in named.items() if value is not None}}


def _with_remedy(reason: str) -> str:
    if _NO_OFFSET in reason:
        return f"{reason}; --assume-utc reads it as UTC, --timezone as of another zone"
    return reason


def _accept(row: Row, settings: Settings, seen: _Seen) -> ExecutionRecorded:
    row = without_derived(row)
    if isinstance(row.get("success"), dict | list):
        raise InvalidEventError(
            "success holds others; map what says how the run ended, as --map success=verdict.state"
        )
    if (user := settings.field_map.one(USER, row)) is not None:
        said = row.get("metadata")
        row["metadata"] = {**(said if isinstance(said, dict) else {}), USER: user}
    if settings.attempts_from == 0 and (attempt := number_of(row.get("attempt"))) is not None:
        row["attempt"] = attempt + 1
    row.update({name: settings.clock.read(row[name]) for name in TIMES if name in row})
    values = cleaned(to_values(ExecutionRecorded, [row], settings.reading))
    spelled = json.dumps(json_value(values), sort_keys=True, ensure_ascii=False)
    if values.get("task_id") is None:
        values["task_id"] = seen.task_of(spelled)
        spelled += str(values["task_id"])
    values.setdefault("event_id", uuid5(NAMESPACE, spelled))
    values["import_id"] = settings.import_id
    event = made(ExecutionRecorded, values, settings.reading)
    if len(event.to_line()) >= MAX_LINE_BYTES:
        raise InvalidEventError(f"the row exceeds the line limit of {MAX_LINE_BYTES} bytes")
    return event


def _refusal(shown: object, reason: str, settings: Settings) -> InvalidEvent:
    given = json_value(shown)
    payload = spelled = json.dumps(given, sort_keys=True, ensure_ascii=False)
    if len(spelled) > MAX_PAYLOAD_CHARACTERS:
        payload = json.dumps(ids_first(given), ensure_ascii=False)
    return InvalidEvent(
        event_id=uuid5(NAMESPACE, spelled),
        claimed_type=ExecutionRecorded.type_name,
        reason=clean_text(reason[:MAX_REASON_CHARACTERS]),
        payload=payload[:MAX_PAYLOAD_CHARACTERS],
        import_id=settings.import_id,
    )
