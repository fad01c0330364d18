"""Loading what is in quarantine after all, once it can be read."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING
from uuid import UUID

from orb_learning._database import transaction
from orb_learning._success import Vocabulary
from orb_learning.capture import Reading, build, reason_of
from orb_learning.errors import HomeError, InvalidEventError, OrbLearningError
from orb_learning.events import EVENT_TYPES, Event
from orb_learning.home import Home
from orb_learning.spool import Line, read_event
from orb_learning.staging._batch import Batch, LoadReport, Progress, attach
from orb_learning.staging._commit import drop_tables, fill_tables, insert_new
from orb_learning.staging._erasure import erase_rows
from orb_learning.staging._file import faults, open_staging
from orb_learning.staging._ledger import next_load_id, note_load
from orb_learning.staging._quarantine import Quarantined, rows_in
from orb_learning.staging._subjects import has_imported_id

if TYPE_CHECKING:
    import duckdb


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


def replay_quarantine(
    home: Home, *, only: UUID | None = None, status_words: Mapping[str, bool] | None = None
) -> ReplayReport:
    """Load the lines in quarantine that are valid now, as if they had never been bad.

    The lines leave the load that refused them and become one of their own, in the same
    transaction, so that every load and segment goes on adding up.

    Args:
        home: the home.
        only: the one line to try; None for all.
        status_words: what status words of the host's own say, as for `Telemetry`.

    Raises:
        HomeError: `only` is not in quarantine; or see `load`.
        BusyError, MigrationError: see `load`.
    """
    reading = Reading(Vocabulary(status_words))
    with open_staging(home) as connection:
        rows = rows_in(connection, only, None)
        rows.sort(key=lambda row: (-row.load_id, row.segment, row.byte_offset))
        if only is not None and not rows:
            raise HomeError(f"{only} is not in quarantine; see `orb-learning quarantine list`")
        valid: list[Quarantined] = []
        spelled: list[tuple[str, bytes]] = []
        still: dict[UUID, str] = {}
        for row in rows:
            try:
                event, line = _read(row, reading)
            except InvalidEventError as error:
                still[row.quarantine_id] = str(error)
            else:
                valid.append(row)
                spelled.append((event.type_name, line))
        if not valid:
            return ReplayReport(0, 0, 0, still)
        report = _commit_replay(connection, valid, spelled)
    return ReplayReport(report.load_id, report.loaded, report.duplicates, still)


def _commit_replay(
    connection: duckdb.DuckDBPyConnection,
    rows: Sequence[Quarantined],
    spelled: Sequence[tuple[str, bytes]],
) -> LoadReport:
    """Load lines out of quarantine: they leave the load that refused them and become a load.

    Args:
        connection: staging.
        rows: what is in quarantine.
        spelled: for each of them the kind of event and its canonical line.
    """
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
    fill_tables(connection, batch)
    refused = {
        (batch.segments[refusal.place.segment].name, refusal.line.offset)
        for refusal in batch.refusals
    }
    moved = [row for row in rows if (row.segment, row.byte_offset) not in refused]
    with transaction(connection):
        erase_rows(connection, batch)
        for kind in batch.kinds:
            insert_new(connection, batch, kind)
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
        note_load(connection, report)
        if wrong := faults(connection):
            raise OrbLearningError(f"{wrong[0]}; nothing was replayed, please report this")
    drop_tables(connection, batch)
    return report


def _read(row: Quarantined, reading: Reading) -> tuple[Event, bytes]:
    event, spelled = _refused_event(row, reading) if row.claimed_type else read_event(row.line)
    if event.type_name not in EVENT_TYPES:
        raise InvalidEventError(f"a {event.type_name} is loaded by no table")
    return event, spelled


def _refused_event(row: Quarantined, reading: Reading) -> tuple[Event, bytes]:
    """Build what a hook refused again, from the fields as the host gave them."""
    if has_imported_id(row.quarantine_id):
        # Columns may have been mapped, or have shifted, so that the rules
        # for a hook's fields would read another row.
        raise InvalidEventError(
            "an import refused it: import its file again, mended or as its reason says"
        )
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
        event = build(cls, fields.pop("given", None), {**known, **fields}, reading)
    except Exception as error:  # the values are a host's, and may be anything
        raise InvalidEventError(reason_of(error)) from error
    return event, event.to_line()
