"""Quarantine: what could not be loaded, and why."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING
from uuid import UUID

from orb_learning.home import Home
from orb_learning.staging._file import open_staging

if TYPE_CHECKING:
    import duckdb

_COLUMNS = (
    "quarantine_id, load_id, segment, byte_offset, byte_length, claimed_type, reason, line,"
    " coalesce(captured_at, (select loaded_at from ledger.loads where load_id = refused.load_id))"
    " as captured_at"
)


@dataclass(frozen=True, slots=True)
class Quarantined:
    """One line in quarantine.

    Attributes:
        quarantine_id: names it.
        load_id: the load that refused it.
        segment: the segment it stands in, from `byte_offset` on for `byte_length` bytes.
        claimed_type: the kind of event it was meant to be, where a hook refused it.
        reason: what is wrong with it.
        line: the line, or what the hook was given; cut to 256 KiB.
        captured_at: when a hook refused it, else when the load was committed; UTC.
    """

    quarantine_id: UUID
    load_id: int
    segment: str
    byte_offset: int
    byte_length: int
    claimed_type: str | None
    reason: str
    line: bytes
    captured_at: datetime


def list_quarantine(
    home: Home, *, only: UUID | None = None, limit: int | None = None
) -> list[Quarantined]:
    """Return what is in quarantine, the newest first.

    Raises:
        BusyError, HomeError, MigrationError: see `load`.
    """
    if not home.staging.exists():
        return []  # and a home that is not there is not made
    with open_staging(home) as connection:
        return rows_in(connection, only, limit)


def rows_in(
    connection: duckdb.DuckDBPyConnection, only: UUID | None, limit: int | None
) -> list[Quarantined]:
    """Return what an open staging has in quarantine. See `list_quarantine`."""
    found = connection.execute(
        f"select {_COLUMNS} from ledger.quarantine as refused"
        " where $only is null or quarantine_id = try_cast($only as uuid)"
        " order by load_id desc, captured_at desc, segment desc, byte_offset desc"
        " limit coalesce($limit, 9223372036854775807)",
        {"only": str(only) if only else None, "limit": limit},
    )
    return [Quarantined(*(*row[:-1], row[-1].replace(tzinfo=UTC))) for row in found.fetchall()]
