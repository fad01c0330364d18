"""Giving up what is old: raw events, executions, loaded segments, publications."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING
from uuid import UUID

from orb_learning._database import transaction
from orb_learning._types import task_uuid, utc_now
from orb_learning.errors import HomeError
from orb_learning.events import EVENT_TYPES, TASK_EVENT_TYPES
from orb_learning.home import Home, size_of
from orb_learning.publication import delete_older
from orb_learning.spool import open_segment, segment_names
from orb_learning.staging import (
    checkpoint,
    damaged_logs,
    named_by_refused,
    newest_load,
    open_staging,
    raise_floor,
    rewrite,
)
from orb_learning.upkeep._intake import take_in
from orb_learning.warehouse import drop_warehouse

if TYPE_CHECKING:
    import duckdb

REWRITE_ABOVE = 0.2
"""A staging file that loses more than this share of its rows is written anew."""

MAX_DAYS = 365_000
"""A thousand years; more reach back to before there are dates."""

MAX_PAUSE_DAYS = 31
"""After a longer time in which nothing was loaded the clock is not believed."""


@dataclass(frozen=True, slots=True)
class PruneReport:
    """What pruning removed.

    Attributes:
        rows: raw rows removed, by table.
        executions_from: the first day whose executions are kept.
        segments: loaded segments deleted.
        publications: publications deleted.
        freed_bytes: how much smaller staging, spool and publications are.
    """

    rows: dict[str, int] = field(default_factory=dict)
    executions_from: date | None = None
    segments: int = 0
    publications: int = 0
    freed_bytes: int = 0


def prune(
    home: Home,
    *,
    raw_days: int = 90,
    derived_days: int = 90,
    segment_days: int = 7,
    today: date | None = None,
    is_sure: bool = False,
) -> PruneReport:
    """Remove what is older than its retention; the next refresh builds the warehouse anew.

    Raw events go by whole tasks, `raw_days` after the last event of the task, so that no execution
    is ever folded from a part of its events. Pools go with their closing. Solutions and quality
    policies stay.

    A wrong clock must not make everything old: `today` is compared with the newest load and the
    newest event, before anything is loaded.

    Args:
        home: whose data.
        raw_days: days that raw events stay, counted in whole days before `today`.
        derived_days: days that executions and feedback stay; at most `raw_days`.
        segment_days: days that a loaded segment stays after its last line was written.
        today: the day to count from, UTC; default today.
        is_sure: believe the given `today` whatever was loaded.

    Raises:
        HomeError: `today` is before the newest load, or over `MAX_PAUSE_DAYS` after it and the
            newest event; a number is negative, or executions were to outlive their raw events; or
            see `load`.
        BusyError: another process is at work.
    """
    for name, days in (
        ("raw_days", raw_days),
        ("derived_days", derived_days),
        ("segment_days", segment_days),
    ):
        if not 0 <= days <= MAX_DAYS:
            raise HomeError(f"{name} must be between 0 and {MAX_DAYS:,}, not {days}")
    if derived_days > raw_days:
        raise HomeError(
            f"executions cannot stay {derived_days} days where raw events stay {raw_days}: "
            "they are built from them"
        )
    day = today or utc_now().date()
    with home.locked():
        if today is None or not is_sure:
            with open_staging(home) as connection:
                _refuse_unlikely(connection, day)
        take_in(home)
        before = size_of(home.root)
        with open_staging(home) as connection:
            with transaction(connection):
                rows = _remove_old_rows(connection, day - timedelta(days=raw_days))
                floor = raise_floor(connection, day, day - timedelta(days=derived_days))
                if rows or floor:
                    drop_warehouse(home)  # first: a kill in between must not leave it standing
            checkpoint(connection, home)
            done = _loaded_segments(connection, home)
            left = _raw_rows(connection)
        removed = sum(rows.values())
        if removed > REWRITE_ABOVE * (removed + left):
            rewrite(home)  # DuckDB gives no space back that deletes leave between other rows
        first_day = day - timedelta(days=segment_days)
        segments = _delete_files([home.spool / name for name in done], first_day)
        _delete_files(damaged_logs(home), first_day)  # whose lines were loaded again
        publications = delete_older(home)
        freed = before - size_of(home.root)
    return PruneReport(rows, floor, segments, publications, max(freed, 0))


def _refuse_unlikely(connection: duckdb.DuckDBPyConnection, today: date) -> None:
    """Refuse a day that does not follow on what was loaded: the clock may be wrong.

    An event later than its own load tells nothing, for its host's clock was.
    """
    loaded = newest_load(connection)
    if loaded is None:
        return
    events = " union all ".join(
        f"select occurred_at, load_id from raw.{kind}" for kind in EVENT_TYPES
    )
    ((happened,),) = connection.execute(
        f"""
        select cast(max(events.occurred_at) as date)
        from ({events}) as events
        inner join ledger.loads on events.load_id = loads.load_id
        where events.occurred_at <= loads.loaded_at
        """
    ).fetchall()
    if loaded <= today <= max(loaded, happened or loaded) + timedelta(days=MAX_PAUSE_DAYS):
        return
    raise HomeError(
        f"today would be {today}, but the newest load is of {loaded} and the newest event of "
        f"{happened or 'no day'}; nothing was removed: set the clock, or if the day is right run "
        f"`orb-learning prune --today {today} --yes`"
    )


def _remove_old_rows(connection: duckdb.DuckDBPyConnection, first_day: date) -> dict[str, int]:
    events = " union all ".join(
        f"select task_id, occurred_at from raw.{kind}" for kind in TASK_EVENT_TYPES
    )
    connection.execute(
        f"""
        create or replace temp table old_tasks as
        select task_id
        from ({events}) as events
        group by task_id
        having cast(max(occurred_at) as date) < $first_day
        """,
        {"first_day": first_day},
    )
    connection.execute(
        "delete from old_tasks where task_id in (select unnest($1))",
        [sorted(_tasks_in_quarantine(connection, first_day))],
    )
    conditions = dict.fromkeys(TASK_EVENT_TYPES, "task_id in (select task_id from old_tasks)")
    closed = (
        "pool_id in (select pool_id from raw.pool_closed group by pool_id"
        f" having cast(max(occurred_at) as date) < date '{first_day}')"
        f" and cast(occurred_at as date) < date '{first_day}'"
    )
    conditions |= {"pool_created": closed, "pool_closed": closed}
    removed = {}
    for kind, condition in conditions.items():
        ((count,),) = connection.execute(f"delete from raw.{kind} where {condition}").fetchall()
        if count:
            removed[kind] = int(count)
            connection.execute(
                "insert into ledger.removals values (?, 'retention', ?, ?)",
                [utc_now().replace(tzinfo=None), f"raw.{kind}", count],
            )
    return removed


def _tasks_in_quarantine(connection: duckdb.DuckDBPyConnection, first_day: date) -> set[UUID]:
    """Return the tasks of the lines that came to quarantine since a day: they may be replayed."""
    found = connection.execute(
        "select line from ledger.quarantine inner join ledger.loads using (load_id)"
        " where cast(coalesce(captured_at, loaded_at) as date) >= $1",
        [first_day],
    )
    tasks = set()
    while rows := found.fetchmany(100):  # each may be long
        for (line,) in rows:
            for subject, identity in named_by_refused(bytes(line)):
                if subject == "task":
                    tasks.add(task_uuid(identity))
    return tasks


def _loaded_segments(connection: duckdb.DuckDBPyConnection, home: Home) -> list[str]:
    known = connection.execute(
        "select segment, bytes_read from ledger.segments where is_complete"
    ).fetchall()
    positions = dict(known)
    done = []
    for name in segment_names(home.spool):
        segment = open_segment(home.spool, name) if name in positions else None
        if segment is not None:
            if segment.is_sealed and segment.size == positions[name]:
                done.append(name)
            segment.close()
    return done


def _raw_rows(connection: duckdb.DuckDBPyConnection) -> int:
    counted = " + ".join(f"(select count(*) from raw.{kind})" for kind in EVENT_TYPES)
    ((rows,),) = connection.execute(f"select {counted}").fetchall()
    return int(rows)


def _delete_files(paths: list[Path], first_day: date) -> int:
    deleted = 0
    for path in paths:
        written = datetime.fromtimestamp(path.lstat().st_mtime, UTC).date()
        if written < first_day:
            path.unlink(missing_ok=True)
            deleted += 1
    return deleted
