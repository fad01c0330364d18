"""Quarantine: what could not be loaded, shown, and loaded after all once it can be."""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING
from uuid import UUID

from orb_learning.errors import HomeError, InvalidEventError
from orb_learning.events import EVENT_TYPES, Event
from orb_learning.home import Home
from orb_learning.staging._commit import commit_replay
from orb_learning.staging._file import open_staging
from orb_learning.staging._lines import read_event
from orb_learning.staging._naming import has_imported_id

if TYPE_CHECKING:
    import duckdb

_COLUMNS = (
    "quarantine_id, load_id, segment, byte_offset, byte_length, claimed_type, reason, line,"
    " coalesce(captured_at, (select loaded_at from ledger.loads where load_id = refused.load_id))"
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


@dataclass(frozen=True, slots=True)
class ReplayReport:
    """What a replay did.

    Attributes:
        load_id: the load that it made; 0 where there was nothing to load.
        loaded: lines that are events now.
        duplicates: lines whose event had arrived otherwise.
        still_invalid: lines that stay, each with its reason of today.
    """

    load_id: int
    loaded: int
    duplicates: int
    still_invalid: dict[UUID, str]


def list_quarantine(
    home: Home, *, only: UUID | None = None, limit: int | None = None
) -> list[Quarantined]:
    """Return what is in quarantine, the newest first.

    Raises:
        BusyError, HomeError, MigrationError: see `load`.
    """
    with open_staging(home) as connection:
        return _rows(connection, only, limit)


def replay_quarantine(home: Home, *, only: UUID | None = None) -> ReplayReport:
    """Load the lines in quarantine that are valid now, as if they had never been bad.

    The lines leave the load that refused them and become one of their own, in the same
    transaction, so that every load and segment goes on adding up.

    Raises:
        HomeError: `only` is not in quarantine; or see `load`.
        BusyError, MigrationError: see `load`.
    """
    with open_staging(home) as connection:
        rows = _rows(connection, only, None)
        if only is not None and not rows:
            raise HomeError(f"{only} is not in quarantine; see `orb-learning quarantine list`")
        valid: list[Quarantined] = []
        spelled: list[tuple[str, bytes]] = []
        still: dict[UUID, str] = {}
        for row in rows:
            try:
                event, line = _read(row)
            except InvalidEventError as error:
                still[row.quarantine_id] = str(error)
            else:
                valid.append(row)
                spelled.append((event.type_name, line))
        if not valid:
            return ReplayReport(0, 0, 0, still)
        report = commit_replay(connection, valid, spelled)
    return ReplayReport(report.load_id, report.loaded, report.duplicates, still)


def _rows(
    connection: duckdb.DuckDBPyConnection, only: UUID | None, limit: int | None
) -> list[Quarantined]:
    found = connection.execute(
        f"select {_COLUMNS} from ledger.quarantine as refused"
        " where $only is null or quarantine_id = try_cast($only as uuid)"
        " order by load_id desc, segment, byte_offset limit coalesce($limit, 9223372036854775807)",
        {"only": str(only) if only else None, "limit": limit},
    )
    return [Quarantined(*(*row[:-1], row[-1].replace(tzinfo=UTC))) for row in found.fetchall()]


def _read(row: Quarantined) -> tuple[Event, bytes]:
    event, spelled = _refused_event(row) if row.claimed_type else read_event(row.line)
    if event.type_name not in EVENT_TYPES:
        raise InvalidEventError(f"a {event.type_name} is loaded by no table")
    return event, spelled


def _refused_event(row: Quarantined) -> tuple[Event, bytes]:
    """Build what a hook refused again, from the fields as the host gave them."""
    from orb_learning.capture._build import build, reason_of

    if has_imported_id(row.quarantine_id):
        # Columns may have been mapped, or have shifted, so that the rules
        # for a hook's fields would read another row.
        raise InvalidEventError("an import refused it: mend the file and import it again")
    cls = EVENT_TYPES.get(row.claimed_type or "")
    if cls is None:
        raise InvalidEventError(f"{row.claimed_type} is no kind of event")
    try:
        fields = json.loads(row.line)
    except (ValueError, RecursionError):
        raise InvalidEventError("what the hook was given is not kept whole") from None
    if not isinstance(fields, dict):
        raise InvalidEventError("what the hook was given has no fields")
    known = {
        "event_id": str(row.quarantine_id),
        "occurred_at": row.captured_at,
        "captured_at": row.captured_at,
    }
    try:
        event = build(cls, fields.pop("given", None), {**known, **fields})
    except Exception as error:  # the values are a host's, and may be anything
        raise InvalidEventError(reason_of(error)) from error
    return event, event.to_line()
