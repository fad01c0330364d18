"""Storing what a load takes: rows, quarantine and ledger, in one transaction."""

from __future__ import annotations

import json
from collections.abc import Sequence
from contextlib import suppress
from importlib.metadata import version
from typing import TYPE_CHECKING

from orb_learning._faults import crash_point
from orb_learning._types import utc_now
from orb_learning.errors import OrbLearningError
from orb_learning.staging import _erasure
from orb_learning.staging._batch import Batch, LoadReport, Place, Progress, attach
from orb_learning.staging._columns import batch_columns
from orb_learning.staging._file import faults
from orb_learning.staging._segments import Line

if TYPE_CHECKING:
    import duckdb

    from orb_learning.staging._quarantine import Quarantined

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


def next_load_id(connection: duckdb.DuckDBPyConnection) -> int:
    """Return the id of the load that comes next."""
    newest = connection.execute("select coalesce(max(load_id), 0) from ledger.loads").fetchone()
    return (newest[0] if newest else 0) + 1


def commit(connection: duckdb.DuckDBPyConnection, batch: Batch) -> LoadReport:
    """Store a batch: its rows, its lines for quarantine and the ledger, in one transaction."""
    import duckdb

    _fill_tables(connection, batch)
    connection.execute("begin")
    try:
        crash_point("load.begun")
        for kind in batch.kinds:
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
    _drop_tables(connection, batch)
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

    attach(connection)
    batch = Batch(next_load_id(connection))
    numbers: dict[str, int] = {}
    for row, (kind, text) in zip(rows, spelled, strict=True):
        if row.segment not in numbers:
            numbers[row.segment] = len(batch.segments)
            batch.segments.append(Progress(row.segment, 0))
        batch.turn_to(numbers[row.segment])
        line = Line(row.byte_offset, row.byte_length, row.line)
        batch.add(kind, text, line, batch.take(1, row.byte_length))
    _fill_tables(connection, batch)
    refused = {
        (batch.segments[refusal.place.segment].name, refusal.line.offset)
        for refusal in batch.refusals
    }
    moved = [row for row in rows if (row.segment, row.byte_offset) not in refused]
    connection.execute("begin")
    try:
        for kind in batch.kinds:
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
    _drop_tables(connection, batch)
    return report


def _fill_tables(connection: duckdb.DuckDBPyConnection, batch: Batch) -> None:
    """Give the rows types, before the transaction begins: an error inside one would end it."""
    for kind in batch.rows:
        _fill_table(connection, batch, kind)
    connection.execute(
        "create or replace temp table first_positions as"
        " select unnest($1) as position, unnest($2) as segment",
        [
            [place.position for place in batch.first_positions],
            [place.segment for place in batch.first_positions],
        ],
    )


def _drop_tables(connection: duckdb.DuckDBPyConnection, batch: Batch) -> None:
    for kind in batch.kinds:
        connection.execute(f"drop table batch.{kind}")
        connection.execute(f"drop table temp.new_{kind}")


def _fill_table(connection: duckdb.DuckDBPyConnection, batch: Batch, kind: str) -> None:
    columns = batch_columns(kind)
    declared = ", ".join(f'"{name}" {type_}' for name, type_ in columns.items())
    connection.execute(f"create table if not exists batch.{kind} ({declared})")
    shape = {
        name: [type_.removesuffix("[]")] if type_.endswith("[]") else type_
        for name, type_ in columns.items()
    }
    insert = (
        f"insert into batch.{kind} by name"
        " select unnest(row) from (select unnest(from_json_strict($1, $2)) as row)"
    )
    rows = batch.rows[kind]
    for start in range(0, len(rows), _CHUNK_ROWS):
        _insert_chunk(connection, batch, insert, json.dumps([shape]), rows[start:][:_CHUNK_ROWS])


def _insert_chunk(
    connection: duckdb.DuckDBPyConnection,
    batch: Batch,
    insert: str,
    shape: str,
    rows: Sequence[tuple[str, Line, Place]],
) -> None:
    """Insert rows; where DuckDB refuses some, find them by halving and refuse only those."""
    import duckdb

    try:
        connection.execute(insert, ["[" + ",".join(row for row, _, _ in rows) + "]", shape])
    except (duckdb.DataError, duckdb.ProgrammingError) as error:
        # Only these are about the rows: a full disk is not.
        if len(rows) == 1:
            _, line, place = rows[0]
            reason = str(error).partition("\n")[0]
            batch.refuse(line, place, f"DuckDB cannot store it: {reason}")
            return
        half = len(rows) // 2
        _insert_chunk(connection, batch, insert, shape, rows[:half])
        _insert_chunk(connection, batch, insert, shape, rows[half:])


def _insert_new(connection: duckdb.DuckDBPyConnection, batch: Batch, kind: str) -> None:
    # The inner join reads only the parts of the raw table whose ids may be among the new ones,
    # which an anti join does not; ids made by a hook are ordered by time.
    connection.execute(
        f"""
        create or replace temp table new_{kind} as
        select min(position) as position
        from batch.{kind} as batch
        anti join (
            select raw.event_id, raw.event_hash
            from raw.{kind} as raw
            inner join batch.{kind} as batch
                on raw.event_id = batch.event_id and raw.event_hash = batch.event_hash
        ) as known using (event_id, event_hash)
        group by event_id, event_hash
        """
    )
    connection.execute(
        f"insert into raw.{kind} by name select * exclude (position)"
        f" from batch.{kind} as batch semi join new_{kind} as new using (position)"
    )
    stored = connection.execute(
        f"select count(*) from raw.{kind} where load_id = ?", [batch.load_id]
    ).fetchone()
    loaded = _by_segment(connection, f"temp.new_{kind}")
    if not stored or stored[0] != sum(loaded.values()):
        raise OrbLearningError(f"raw.{kind} does not hold the rows just written to it")
    for segment, count in _by_segment(connection, f"batch.{kind}").items():
        batch.segments[segment].loaded += loaded.get(segment, 0)
        batch.segments[segment].duplicates += count - loaded.get(segment, 0)


def _by_segment(connection: duckdb.DuckDBPyConnection, table: str) -> dict[int, int]:
    return dict(
        connection.execute(
            f"""
            select segment, count(*)
            from {table} as held
            asof join temp.first_positions as run on held.position >= run.position
            group by segment
            """
        ).fetchall()
    )


def _insert_refusals(connection: duckdb.DuckDBPyConnection, batch: Batch) -> None:
    if not batch.refusals:
        return
    batch.refusals.sort(key=lambda refusal: refusal.place.position)
    known = {
        quarantine_id
        for (quarantine_id,) in connection.execute(
            "select quarantine_id from ledger.quarantine where quarantine_id in (select unnest(?))",
            [[refusal.quarantine_id for refusal in batch.refusals]],
        ).fetchall()
    }
    _erasure.note_late_lines(connection, batch.refusals)
    rows: list[dict[str, object]] = []
    waiting = 0
    for refusal in batch.refusals:
        progress = batch.segments[refusal.place.segment]
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


def _write_ledger(connection: duckdb.DuckDBPyConnection, batch: Batch, report: LoadReport) -> None:
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
