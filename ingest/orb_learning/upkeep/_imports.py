"""What was imported, and taking an import back."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime

from orb_learning._types import subject_hash
from orb_learning.errors import HomeError
from orb_learning.home import Home
from orb_learning.staging import open_staging
from orb_learning.upkeep._intake import take_in
from orb_learning.upkeep._tombstones import tell_again


@dataclass(frozen=True, slots=True)
class Import:
    """What staging holds of one import.

    A row that two imports brought belongs to the one that was loaded first.

    Attributes:
        import_id: names it.
        imported_at: when its first row was read, UTC.
        rows: rows that are loaded.
        refused: rows in quarantine.
        first_run: when the earliest of its runs began, UTC; None without any.
        last_run: when the latest began.
    """

    import_id: str
    imported_at: datetime
    rows: int
    refused: int
    first_run: datetime | None
    last_run: datetime | None


def list_imports(home: Home) -> list[Import]:
    """Load the spool, and return what was imported and not undone, the newest first.

    Raises:
        BusyError, HomeError, MigrationError: see `take_in`.
    """
    if not home.root.exists():
        return []
    with home.locked():
        take_in(home)
        with open_staging(home) as connection:
            found = connection.execute(
                """
                select import_id, min(seen_at), count(run_at), count(*) - count(run_at),
                    min(run_at), max(run_at)
                from (
                    select import_id, captured_at as seen_at, timestamp as run_at
                    from raw.execution_recorded
                    union all
                    select import_id, captured_at, null from ledger.quarantine
                ) as imported
                where import_id is not null
                group by import_id
                order by 2 desc, 1
                """
            ).fetchall()
    return [
        Import(import_id, _utc(seen), rows, refused, first and _utc(first), last and _utc(last))
        for import_id, seen, rows, refused, first, last in found
    ]


def find_import(home: Home, import_id: str) -> Import:
    """Return one import.

    Raises:
        HomeError: there is none of this id, or it was undone.
        BusyError, HomeError, MigrationError: see `take_in`.
    """
    for one in list_imports(home):
        if one.import_id == import_id:
            return one
    raise HomeError(
        f"there is no import {import_id!r}, or all its rows were known before; "
        "see `orb-learning imports list`"
    )


def undo_import(home: Home, import_id: str) -> Import:
    """Take an import back: its rows, what it had refused, and all that was built from them.

    The next refresh builds the warehouse anew. Nothing but another import brings the rows back.

    Returns:
        what is gone.

    Raises:
        BusyError, HomeError, MigrationError: see `find_import`.
        SpoolWriteError: the spool refused the tombstone; nothing is gone.
    """
    found = find_import(home, import_id)
    tell_again(home, frozenset({("import", subject_hash(import_id))}))
    take_in(home)
    return found


def _utc(moment: datetime) -> datetime:
    return moment.replace(tzinfo=UTC)
