"""Storing what a load takes: rows, quarantine and ledger, in one transaction."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import TYPE_CHECKING

from orb_learning._database import as_text, transaction
from orb_learning._faults import crash_point
from orb_learning.errors import OrbLearningError
from orb_learning.home import Home
from orb_learning.spool import Line
from orb_learning.staging._batch import Batch, LoadReport, Place
from orb_learning.staging._columns import batch_columns
from orb_learning.staging._erasure import blank_lines, erase_rows, note_removal
from orb_learning.staging._ledger import write_ledger
from orb_learning.staging._refusals import insert_refusals

if TYPE_CHECKING:
    import duckdb

_CHUNK_ROWS = 10_000


def commit(connection: duckdb.DuckDBPyConnection, home: Home, batch: Batch) -> LoadReport:
    """Store a batch: its rows, its lines for quarantine and the ledger, in one transaction."""
    fill_tables(connection, batch)
    with transaction(connection):
        crash_point("load.begun")
        erased = erase_rows(connection, batch)
        for kind in batch.kinds:
            insert_new(connection, batch, kind)
        refused = insert_refusals(connection, batch, erased)
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
        write_ledger(connection, batch, report)
        crash_point("load.noted")
        blank_lines(connection, home, batch, erased, refused)
        crash_point("load.blanked")
    crash_point("load.committed")
    drop_tables(connection, batch)
    return report


def fill_tables(connection: duckdb.DuckDBPyConnection, batch: Batch) -> None:
    """Give the rows types, before the transaction begins: an error inside one would end it."""
    for kind in batch.rows:
        _fill_table(connection, batch, kind)
    connection.execute(
        "create or replace temp table first_positions as"
        " select unnest(cast($1 as bigint[])) as position, unnest(cast($2 as bigint[])) as segment",
        [
            as_text(place.position for place in batch.first_positions),
            as_text(place.segment for place in batch.first_positions),
        ],
    )


def drop_tables(connection: duckdb.DuckDBPyConnection, batch: Batch) -> None:
    """Drop what `fill_tables` and `insert_new` made."""
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


def insert_new(connection: duckdb.DuckDBPyConnection, batch: Batch, kind: str) -> None:
    """Insert the rows of one kind that are not known yet, and count the others as duplicates.

    Rows in `temp.erased_lines` count as loaded and as removed, and are nowhere.
    """
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
        " anti join temp.erased_lines using (position)"
    )
    ((stored, erased),) = connection.execute(
        f"select (select count(*) from raw.{kind} where load_id = ?),"
        f" (select count(*) from new_{kind} semi join temp.erased_lines using (position))",
        [batch.load_id],
    ).fetchall()
    loaded = _by_segment(connection, f"temp.new_{kind}")
    if stored + erased != sum(loaded.values()):
        raise OrbLearningError(f"raw.{kind} does not hold the rows just written to it")
    if erased:
        note_removal(connection, f"raw.{kind}", erased)
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
