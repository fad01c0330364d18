"""The loader: from spool segments to raw tables, exactly once.

A load reads whole lines beyond what the ledger says is read, validates each by the class that
captured it, and commits the rows together with the ledger's new position. Whatever happens in
between, the ledger decides what is new.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import datetime
from importlib.metadata import version
from typing import TYPE_CHECKING
from uuid import UUID, uuid5

from orb_learning._faults import crash_point
from orb_learning._types import NAMESPACE, utc_now
from orb_learning.errors import InvalidEventError, OrbLearningError
from orb_learning.events import EVENT_TYPES, InvalidEvent, content_hash
from orb_learning.home import Home
from orb_learning.staging import _erasure
from orb_learning.staging._columns import raw_columns
from orb_learning.staging._file import faults, open_staging
from orb_learning.staging._lines import ERASED, read_event
from orb_learning.staging._segments import MAX_READ_BYTES, Line, open_segment, segment_sizes

if TYPE_CHECKING:
    import duckdb

    from orb_learning.staging._quarantine import Quarantined

MAX_LOAD_LINES = 200_000
"""Lines one load may take; a longer backlog becomes several loads, each a transaction."""

_CHUNK_ROWS = 10_000
_CHUNK_BYTES = 8 * 1024 * 1024

_QUARANTINE = {
    "quarantine_id": "UUID",
    "segment": "VARCHAR",
    "byte_offset": "BIGINT",
    "byte_length": "BIGINT",
    "claimed_type": "VARCHAR",
    "reason": "VARCHAR",
    "line": "VARCHAR",
    "captured_at": "TIMESTAMP",
}

Spelled = tuple[str, bytes]

logger = logging.getLogger("orb_learning.staging")


@dataclass(frozen=True, slots=True)
class LoadReport:
    """What loading did.

    Attributes:
        load_id: the newest load in staging, 0 before the first.
        lines: lines read; always loaded + duplicates + quarantined.
    """

    load_id: int = 0
    lines: int = 0
    loaded: int = 0
    duplicates: int = 0
    quarantined: int = 0

    def and_then(self, later: LoadReport) -> LoadReport:
        """Return this load and a later one as one."""
        return LoadReport(
            later.load_id,
            self.lines + later.lines,
            self.loaded + later.loaded,
            self.duplicates + later.duplicates,
            self.quarantined + later.quarantined,
        )


@dataclass(slots=True)
class _Progress:
    """How far one segment has been read, before and within this load."""

    name: str
    read_to: int
    is_complete: bool = False
    lines: int = 0
    loaded: int = 0
    duplicates: int = 0
    quarantined: int = 0


@dataclass(frozen=True, slots=True)
class _Refusal:
    """One line for quarantine."""

    segment: int
    quarantine_id: UUID
    line: Line
    reason: str
    claimed_type: str | None = None
    payload: bytes | None = None
    captured_at: datetime | None = None

    @property
    def stored(self) -> bytes:
        """What is kept of it: the payload that a hook refused, else the line."""
        return self.line.data if self.payload is None else self.payload


@dataclass(slots=True)
class _Batch:
    """What one load takes: rows as JSON text by kind of event, and lines for quarantine."""

    load_id: int
    segments: list[_Progress] = field(default_factory=list)
    rows: dict[str, list[tuple[str, Line, int]]] = field(default_factory=dict)
    refusals: list[_Refusal] = field(default_factory=list)
    lines: int = 0

    def add(self, line: Line) -> None:
        segment = len(self.segments) - 1
        progress = self.segments[segment]
        progress.lines += 1
        progress.read_to = line.offset + line.length
        self.lines += 1
        if line.data.startswith(ERASED):
            self.refuse(line, segment, "erased on request")
            return
        if line.fault:
            self.refuse(line, segment, line.fault)
            return
        try:
            event, spelled = read_event(line.data)
        except InvalidEventError as error:
            self.refuse(line, segment, str(error))
            return
        if isinstance(event, InvalidEvent):
            self.refusals.append(
                _Refusal(
                    segment,
                    event.event_id,
                    line,
                    event.reason,
                    event.claimed_type,
                    event.payload.encode(),
                    event.captured_at.replace(tzinfo=None),
                )
            )
            return
        row = self.row(spelled, segment)
        self.rows.setdefault(event.type_name, []).append((row, line, segment))

    def refuse(self, line: Line, segment: int, reason: str, kind: str | None = None) -> None:
        name = self.segments[segment].name
        where = uuid5(NAMESPACE, f"{name}:{line.offset}")
        self.refusals.append(_Refusal(segment, where, line, reason, kind))

    def row(self, spelled: bytes, segment: int) -> str:
        added = (
            f',"event_hash":"{content_hash(spelled)}","load_id":{self.load_id},'
            f'"segment":{segment},"position":{self.lines}}}'
        )
        return spelled[:-1].decode() + added


def load(home: Home, on_progress: Callable[[int], None] | None = None) -> LoadReport:
    """Load every whole line that the spool holds now and that is not loaded yet.

    Args:
        home: the home whose spool is read.
        on_progress: called after each load with the number of lines it took.

    Raises:
        BusyError, HomeError, MigrationError: see `open_staging`.
    """
    total = LoadReport()
    erased: list[str] = []
    with home.locked():
        with open_staging(home) as connection:
            crash_point("load.opened")
            # What hooks write from here on waits for the next load, or a busy host would keep
            # this one from ever ending.
            sizes = segment_sizes(home.spool)
            while True:
                batch = _read_batch(connection, home, sizes)
                crash_point("load.read")
                if not batch.lines:
                    break
                report = _commit(connection, batch)
                total = total.and_then(report)
                if on_progress:
                    on_progress(report.lines)
            _mark_complete(connection, batch.segments)
            crash_point("load.completed")
            if not total.load_id:
                total = LoadReport(batch.load_id - 1)
            if _erasure.must_apply(connection):
                erased = _erasure.blank_and_list(connection, home)
        if erased:
            _erasure.apply_erasures(home, erased)
    if total.lines:
        logger.info(
            "load %d: %d lines, %d loaded, %d duplicates, %d quarantined",
            total.load_id,
            total.lines,
            total.loaded,
            total.duplicates,
            total.quarantined,
        )
    return total


def _read_batch(connection: duckdb.DuckDBPyConnection, home: Home, sizes: dict[str, int]) -> _Batch:
    ledger = dict(
        connection.execute(
            "select segment, (bytes_read, is_complete) from ledger.segments"
        ).fetchall()
    )
    newest = connection.execute("select coalesce(max(load_id), 0) from ledger.loads").fetchone()
    batch = _Batch(load_id=(newest[0] if newest else 0) + 1)
    for name, size in sizes.items():
        bytes_read, is_complete = ledger.get(name, (0, False))
        if is_complete:
            continue
        segment = open_segment(home.spool, name)
        if segment is None:
            logger.warning("ignored %s in the spool: it is not a regular file of ours", name)
            continue
        try:
            if segment.size > MAX_READ_BYTES:
                logger.warning(
                    "ignored %s in the spool: %d bytes are more than any writer of ours leaves",
                    name,
                    segment.size,
                )
                continue
            progress = _Progress(name, bytes_read)
            batch.segments.append(progress)
            for line in segment.lines(bytes_read, size):
                batch.add(line)
                if batch.lines >= MAX_LOAD_LINES:
                    return batch
            progress.is_complete = segment.is_sealed and progress.read_to >= segment.size
        finally:
            segment.close()
    return batch


def _commit(connection: duckdb.DuckDBPyConnection, batch: _Batch) -> LoadReport:
    import duckdb

    # Rows become typed before the transaction begins: an error inside one would end it.
    for kind in list(batch.rows):
        _fill_temporary(connection, batch, kind)
    connection.execute("begin")
    try:
        crash_point("load.begun")
        for kind in batch.rows:
            _insert_new(connection, batch, kind)
        _insert_refusals(connection, batch)
        _erasure.erase_rows(connection, batch.load_id)
        crash_point("load.inserted")
        for progress in batch.segments:
            parts = progress.loaded + progress.duplicates + progress.quarantined
            if progress.lines != parts:
                raise OrbLearningError(
                    f"segment {progress.name}: {progress.lines} lines read but {parts} accounted "
                    "for; nothing was loaded, please report this"
                )
        report = LoadReport(
            batch.load_id,
            batch.lines,
            sum(progress.loaded for progress in batch.segments),
            sum(progress.duplicates for progress in batch.segments),
            sum(progress.quarantined for progress in batch.segments),
        )
        _write_ledger(connection, batch, report)
        crash_point("load.noted")
        connection.execute("commit")
        crash_point("load.committed")
    except BaseException:
        # A transaction that failed to commit is over already.
        with suppress(duckdb.Error):
            connection.execute("rollback")
        raise
    for kind in batch.rows:
        connection.execute(f"drop table temp.batch_{kind}")
        connection.execute(f"drop table temp.new_{kind}")
    return report


def commit_replay(
    connection: duckdb.DuckDBPyConnection, rows: Sequence[Quarantined], spelled: Sequence[Spelled]
) -> LoadReport:
    """Load lines out of quarantine: they leave the load that refused them and become a load.

    Args:
        connection: staging.
        rows: what is in quarantine.
        spelled: for each of them the kind of event and its canonical line.
    """
    import duckdb

    newest = connection.execute("select coalesce(max(load_id), 0) from ledger.loads").fetchone()
    batch = _Batch(load_id=(newest[0] if newest else 0) + 1)
    numbers: dict[str, int] = {}
    for row, (kind, text) in zip(rows, spelled, strict=True):
        if row.segment not in numbers:
            numbers[row.segment] = len(batch.segments)
            batch.segments.append(_Progress(row.segment, 0))
        batch.lines += 1
        line = Line(row.byte_offset, row.byte_length, row.line)
        added = (batch.row(text, numbers[row.segment]), line, numbers[row.segment])
        batch.rows.setdefault(kind, []).append(added)
    for kind in batch.rows:
        _fill_temporary(connection, batch, kind)
    refused = {
        (batch.segments[refusal.segment].name, refusal.line.offset) for refusal in batch.refusals
    }
    moved = [row for row in rows if (row.segment, row.byte_offset) not in refused]
    connection.execute("begin")
    try:
        for kind in batch.rows:
            _insert_new(connection, batch, kind)
        for row in moved:
            connection.execute(
                "delete from ledger.quarantine where quarantine_id = ?", [row.quarantine_id]
            )
            connection.execute(
                "update ledger.loads set lines = lines - 1, quarantined = quarantined - 1"
                " where load_id = ?",
                [row.load_id],
            )
            connection.execute(
                "update ledger.segments set quarantined = quarantined - 1, last_load_id = ?"
                " where segment = ?",
                [batch.load_id, row.segment],
            )
        for progress in batch.segments:
            connection.execute(
                "update ledger.segments set loaded = loaded + ?, duplicates = duplicates + ?"
                " where segment = ?",
                [progress.loaded, progress.duplicates, progress.name],
            )
        loaded = sum(progress.loaded for progress in batch.segments)
        duplicates = sum(progress.duplicates for progress in batch.segments)
        report = LoadReport(batch.load_id, len(moved), loaded, duplicates, 0)
        _note_load(connection, report)
        _erasure.erase_rows(connection, batch.load_id)
        if wrong := faults(connection):
            raise OrbLearningError(f"{wrong[0]}; nothing was replayed, please report this")
        connection.execute("commit")
    except BaseException:
        with suppress(duckdb.Error):
            connection.execute("rollback")
        raise
    return report


def _fill_temporary(connection: duckdb.DuckDBPyConnection, batch: _Batch, kind: str) -> None:
    columns = {**raw_columns(EVENT_TYPES[kind]), "segment": "INTEGER", "position": "BIGINT"}
    declared = ", ".join(f'"{name}" {kind}' for name, kind in columns.items())
    connection.execute(f"create or replace temp table batch_{kind} ({declared})")
    shape = {
        name: [kind.removesuffix("[]")] if kind.endswith("[]") else kind
        for name, kind in columns.items()
    }
    insert = (
        f"insert into batch_{kind} by name"
        " select unnest(row) from (select unnest(from_json_strict($1, $2)) as row)"
    )
    rows = batch.rows[kind]
    for start in range(0, len(rows), _CHUNK_ROWS):
        _insert_chunk(connection, batch, insert, json.dumps([shape]), rows[start:][:_CHUNK_ROWS])


def _insert_chunk(
    connection: duckdb.DuckDBPyConnection,
    batch: _Batch,
    insert: str,
    shape: str,
    rows: Sequence[tuple[str, Line, int]],
) -> None:
    """Insert rows; where DuckDB refuses some, find them by halving and refuse only those."""
    import duckdb

    try:
        connection.execute(insert, ["[" + ",".join(row for row, _, _ in rows) + "]", shape])
    except (duckdb.DataError, duckdb.ProgrammingError) as error:
        # Only these are about the rows: a full disk is not.
        if len(rows) == 1:
            _, line, segment = rows[0]
            reason = str(error).partition("\n")[0]
            batch.refuse(line, segment, f"DuckDB cannot store it: {reason}")
            return
        half = len(rows) // 2
        _insert_chunk(connection, batch, insert, shape, rows[:half])
        _insert_chunk(connection, batch, insert, shape, rows[half:])


def _insert_new(connection: duckdb.DuckDBPyConnection, batch: _Batch, kind: str) -> None:
    connection.execute(
        f"""
        create or replace temp table new_{kind} as
        select batch.*
        from batch_{kind} as batch
        anti join raw.{kind} as raw using (event_id, event_hash)
        qualify row_number() over (
            partition by event_id, event_hash order by position
        ) = 1
        """
    )
    connection.execute(
        f"insert into raw.{kind} by name select * exclude (segment, position) from new_{kind}"
    )
    stored = connection.execute(
        f"select count(*) from raw.{kind} where load_id = ?", [batch.load_id]
    ).fetchone()
    loaded = dict(
        connection.execute(f"select segment, count(*) from new_{kind} group by segment").fetchall()
    )
    if not stored or stored[0] != sum(loaded.values()):
        raise OrbLearningError(f"raw.{kind} does not hold the rows just written to it")
    for segment, count in connection.execute(
        f"select segment, count(*) from batch_{kind} group by segment"
    ).fetchall():
        batch.segments[segment].loaded += loaded.get(segment, 0)
        batch.segments[segment].duplicates += count - loaded.get(segment, 0)


def _insert_refusals(connection: duckdb.DuckDBPyConnection, batch: _Batch) -> None:
    known = {
        row[0]
        for row in connection.execute("select quarantine_id from ledger.quarantine").fetchall()
    }
    _erasure.note_late_lines(connection, [refusal.stored for refusal in batch.refusals])
    rows: list[dict[str, object]] = []
    waiting = 0
    for refusal in batch.refusals:
        progress = batch.segments[refusal.segment]
        if refusal.quarantine_id in known:
            progress.duplicates += 1
            continue
        known.add(refusal.quarantine_id)
        progress.quarantined += 1
        stored = refusal.stored
        rows.append(
            {
                "quarantine_id": str(refusal.quarantine_id),
                "segment": progress.name,
                "byte_offset": refusal.line.offset,
                "byte_length": refusal.line.length,
                # In hex, for they may hold what JSON cannot.
                "claimed_type": _hex(refusal.claimed_type),
                "reason": _hex(refusal.reason),
                "line": stored.hex(),
                "captured_at": refusal.captured_at and refusal.captured_at.isoformat(),
            }
        )
        waiting += len(stored)
        if waiting > _CHUNK_BYTES:
            _insert_quarantined(connection, batch.load_id, rows)
            rows, waiting = [], 0
    if rows:
        _insert_quarantined(connection, batch.load_id, rows)


def _hex(text: str | None) -> str | None:
    return None if text is None else text.encode("utf-8", "replace").hex()


def _insert_quarantined(
    connection: duckdb.DuckDBPyConnection, load_id: int, rows: list[dict[str, object]]
) -> None:
    connection.execute(
        f"""
        insert into ledger.quarantine
        select
            quarantine_id, {load_id}, segment, byte_offset, byte_length,
            decode(unhex(claimed_type)), decode(unhex(reason)), unhex(line), captured_at
        from (
            select unnest(item)
            from (select unnest(from_json_strict($rows, $shape)) as item) as items
        ) as refused
        """,
        {"rows": json.dumps(rows), "shape": json.dumps([_QUARANTINE])},
    )


def _note_load(connection: duckdb.DuckDBPyConnection, report: LoadReport) -> None:
    connection.execute(
        "insert into ledger.loads values (?, ?, ?, ?, ?, ?, ?)",
        [
            report.load_id,
            utc_now().replace(tzinfo=None),
            version("orb-learning"),
            report.lines,
            report.loaded,
            report.duplicates,
            report.quarantined,
        ],
    )


def _write_ledger(connection: duckdb.DuckDBPyConnection, batch: _Batch, report: LoadReport) -> None:
    _note_load(connection, report)
    for progress in batch.segments:
        if progress.lines:
            connection.execute(
                """
                insert into ledger.segments values ($1, $2, $3, $4, $5, $6, $7, $8, $8)
                on conflict (segment) do update set
                    bytes_read = excluded.bytes_read,
                    lines = segments.lines + excluded.lines,
                    loaded = segments.loaded + excluded.loaded,
                    duplicates = segments.duplicates + excluded.duplicates,
                    quarantined = segments.quarantined + excluded.quarantined,
                    is_complete = excluded.is_complete,
                    last_load_id = excluded.last_load_id
                """,
                [
                    progress.name,
                    progress.read_to,
                    progress.lines,
                    progress.loaded,
                    progress.duplicates,
                    progress.quarantined,
                    progress.is_complete,
                    batch.load_id,
                ],
            )


def _mark_complete(connection: duckdb.DuckDBPyConnection, segments: list[_Progress]) -> None:
    for progress in segments:
        if progress.is_complete:
            connection.execute(
                "update ledger.segments set is_complete = true where segment = ?", [progress.name]
            )
