"""Taking an erased task, user or import out of everything but the raw tables.

The load that brings a tombstone has deleted the raw rows. What follows is outside of any
transaction, and done again after a kill: the lines in the spool are blanked, the warehouse and logs
that were put aside are deleted, quarantine is cleared and the staging file is written anew. Older
publications go when the next one is made.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING
from uuid import UUID

from orb_learning._database import as_text, transaction
from orb_learning._faults import crash_point
from orb_learning._spill import delete_left_spills, empty_own_spill
from orb_learning._types import subject_hash
from orb_learning.home import Home
from orb_learning.spool import Span, blank_segment, segment_names
from orb_learning.staging import (
    Erased,
    checkpoint,
    damaged_logs,
    erased_subjects,
    has_one_of,
    imported_row,
    is_refused_about,
    named_by_event,
    note_removal,
    open_staging,
    refused_lines,
    rewrite,
    was_held,
)
from orb_learning.upkeep._abandoned import delete_abandoned
from orb_learning.warehouse import drop_warehouse

if TYPE_CHECKING:
    import duckdb

logger = logging.getLogger("orb_learning.staging")


Going = dict[str, list[tuple[UUID, Span]]]
"""What is to leave quarantine, by segment: the id of each, its offset and length."""


@dataclass(frozen=True, slots=True)
class Blanked:
    """What came of blanking.

    Attributes:
        is_whole: every segment could be written to, so that no later load need try again.
        is_held: staging held something of the erased, so that its file still has their texts.
    """

    is_whole: bool
    is_held: bool


def blank(connection: duckdb.DuckDBPyConnection, home: Home) -> Blanked:
    """Blank the spool's loaded lines of erased subjects, and clear quarantine.

    The warehouse goes if it may hold something of them.
    """
    checkpoint(connection, home)  # what is blanked can never be loaded again
    crash_point("erase.checkpointed")
    erased = erased_subjects(connection)
    going = _to_erase(connection, erased)
    again = _brought_again(connection, home, going)
    left = _blank_lines(connection, home, {}, again) if again else set()
    left |= _blank_lines(
        connection, home, going, lambda line: has_one_of(named_by_event(line), erased)
    )
    crash_point("erase.blanked")
    is_held = was_held(connection)
    if is_held:
        drop_warehouse(home)
    delete_left_spills(home)
    empty_own_spill(home.learning_db)  # of who reads with other tools
    for log in damaged_logs(home):
        log.unlink(missing_ok=True)
    delete_abandoned(home.backups, is_ours=True)
    crash_point("erase.dropped")
    # Here, and not in the file that takes this one's place: nothing deleted is left in that. But
    # only quarantine knows the places in a segment that is left.
    ids = [identity for name in going.keys() - left for identity, _ in going[name]]
    if ids:
        with transaction(connection):
            connection.execute(
                "delete from ledger.quarantine"
                " where quarantine_id in (select unnest(cast($1 as uuid[])))",
                [as_text(ids)],
            )
            note_removal(connection, "ledger.quarantine", len(ids))
    return Blanked(is_whole=not left, is_held=is_held or bool(going))


def _blank_lines(
    connection: duckdb.DuckDBPyConnection,
    home: Home,
    going: Going,
    must_go: Callable[[bytes], bool],
) -> set[str]:
    """Blank loaded lines, and return the segments that could not be written to."""
    read_to = dict(connection.execute("select segment, bytes_read from ledger.segments").fetchall())
    left = set()
    for name in segment_names(home.spool):
        # What is not loaded yet is erased by the load that reads it.
        if read_to.get(name) and not blank_segment(
            home.spool / name, read_to[name], [span for _, span in going.get(name, [])], must_go
        ):
            left.add(name)
    return left


def _brought_again(
    connection: duckdb.DuckDBPyConnection, home: Home, going: Going
) -> Callable[[bytes], bool] | None:
    """Return what tells of a line whether it brings a row of an import that is being undone.

    A row that two imports brought belongs to the first. The second one's lines are known by the
    first one's, so they go before them; nothing else would keep a rebuild from loading them.
    """
    undone = {
        value
        for (value,) in connection.execute(
            "select subject_hash from ledger.erasures where subject = 'import' and not is_applied"
        ).fetchall()
    }
    if not undone:
        return None
    ids: set[str] = set()

    def note(line: bytes) -> bool:
        row, import_id = imported_row(line)
        if row and subject_hash(import_id) in undone:
            ids.add(row)
        return False

    _blank_lines(connection, home, {}, note)
    gone = as_text(identity for places in going.values() for identity, _ in places)
    others = connection.execute(
        """
        select cast(event_id as varchar) from raw.execution_recorded
        union all
        select cast(quarantine_id as varchar) from ledger.quarantine
        where quarantine_id not in (select unnest(cast($1 as uuid[])))
        """,
        [gone],
    )
    while rows := others.fetchmany(10_000):
        ids.difference_update(identity for (identity,) in rows)
    if not ids:
        return None

    def is_theirs(line: bytes) -> bool:
        row, import_id = imported_row(line)
        return row in ids and subject_hash(import_id) not in undone

    return is_theirs


def _to_erase(connection: duckdb.DuckDBPyConnection, erased: Erased) -> Going:
    going: Going = {}
    for line in refused_lines(connection):
        if is_refused_about(line, erased):
            going.setdefault(line.segment, []).append(
                (line.quarantine_id, (line.offset, line.length))
            )
    return going


def finish(home: Home, blanked: Blanked) -> None:
    """Write the closed staging file anew, if anything erased was in it, and note what is done."""
    noted = ["update ledger.erasures set is_applied = true"] if blanked.is_whole else []
    if blanked.is_held:
        rewrite(home, *noted)
        logger.info("erased what was asked for; the warehouse is built anew by the next run")
    elif noted:
        with open_staging(home) as connection:
            connection.execute(*noted)
    crash_point("erase.applied")
