"""The state of a home: what waits, what was loaded and published last, and how big it all is."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, date, datetime

from orb_learning._database import connect
from orb_learning._success import UNKNOWN_WORD
from orb_learning.errors import BusyError, HomeError, NotPublishedError
from orb_learning.home import Home, size_of
from orb_learning.publication import DATABASE, Publication, current
from orb_learning.refresh import ScheduleState, is_scheduled, read_state
from orb_learning.spool import open_segment, segment_names
from orb_learning.staging import floor_of, hidden_events, with_remedy


@dataclass(frozen=True, slots=True)
class Status:
    """The state of a home.

    Attributes:
        pending_events: whole lines in the spool that are not loaded; None while staging is busy.
        last_load_id: the newest load; None while staging is busy, 0 before the first.
        last_load_at: when it was committed.
        loaded_events: rows of all raw tables, as the ledger counts them.
        quarantined: lines in quarantine.
        unknown_words: those of them that hold a status word which nobody knows.
        publication: the publication in force, if there is one.
        sizes: bytes of each store.
        schedule: what the newest scheduler wrote, if there ever was one.
        is_scheduled: whether it is at work now.
        executions_from: the first day whose executions are kept, if older ones were given up.
        hidden_events: events of tasks in staging from before that day.
        ambiguous_tasks: published tasks of which clocks alone say which outcome is of which
            attempt.
    """

    pending_events: int | None
    last_load_id: int | None
    last_load_at: datetime | None
    loaded_events: int | None
    quarantined: int | None
    publication: Publication | None
    sizes: dict[str, int]
    schedule: ScheduleState | None = None
    is_scheduled: bool = False
    executions_from: date | None = None
    hidden_events: int = 0
    ambiguous_tasks: int = 0
    unknown_words: int = 0


def read_status(home: Home) -> Status:
    """Return the state of a home, without changing anything.

    Raises:
        HomeError: staging cannot be read as a database.
    """
    publication = None
    with suppress(NotPublishedError):
        publication = current(home)
    sizes = {
        "spool": size_of(home.spool),
        "staging": size_of(home.staging),
        "warehouse": size_of(home.warehouse),
        "embeddings": size_of(home.embeddings),
        "published": size_of(home.published),
    }
    schedule = read_state(home)
    positions: dict[str, int] = {}
    load_id, load_at, loaded, quarantined, unknown = 0, None, 0, 0, 0
    floor, hidden = None, 0
    if home.staging.exists():
        try:
            with connect(home.staging, read_only=True) as connection:
                ledger = connection.execute(
                    "select table_name from duckdb_tables() where schema_name = 'ledger'"
                ).fetchall()
                if ("loads",) in ledger:
                    positions = dict(
                        connection.execute(
                            "select segment, bytes_read from ledger.segments"
                        ).fetchall()
                    )
                    ((load_id, load_at, loaded),) = connection.execute(
                        "select coalesce(max(load_id), 0), arg_max(loaded_at, load_id),"
                        " coalesce(cast(sum(loaded) as bigint), 0) from ledger.loads"
                    ).fetchall()
                    ((quarantined, unknown),) = connection.execute(
                        "select count(*), count(*) filter (where starts_with(reason, ?))"
                        " from ledger.quarantine",
                        [UNKNOWN_WORD],
                    ).fetchall()
                if ("removals",) in ledger:
                    ((removed,),) = connection.execute(
                        "select coalesce(cast(sum(row_count) as bigint), 0) from ledger.removals"
                        " where table_name != 'ledger.quarantine'"
                    ).fetchall()
                    loaded -= removed
                if ("retention",) in ledger and (floor := floor_of(connection)):
                    hidden = hidden_events(connection, floor)
        except HomeError as error:
            raise with_remedy(error) from error
        except BusyError:
            return Status(
                None, None, None, None, None, publication, sizes, schedule, is_scheduled(home)
            )
    return Status(
        _pending(home, positions),
        load_id,
        load_at.replace(tzinfo=UTC) if load_at else None,
        loaded,
        quarantined,
        publication,
        sizes,
        schedule,
        is_scheduled(home),
        floor,
        hidden,
        _ambiguous_tasks(home) if publication else 0,
        unknown,
    )


def _ambiguous_tasks(home: Home) -> int:
    """Return how many; 0 too where an older release has published."""
    import duckdb

    try:
        with connect(home.current.resolve() / DATABASE, read_only=True) as connection:
            ((tasks,),) = connection.execute(
                "select count(distinct coalesce(parent_task_id, task_id)) from executions"
                " where attempt_is_ambiguous"
            ).fetchall()
            return int(tasks)
    except (duckdb.BinderException, duckdb.CatalogException, HomeError, BusyError):
        return 0


def _pending(home: Home, positions: dict[str, int]) -> int:
    lines = 0
    for name in segment_names(home.spool):
        segment = open_segment(home.spool, name)
        if segment is not None:
            try:
                lines += sum(1 for _ in segment.lines(positions.get(name, 0)))
            finally:
                segment.close()
    return lines
