"""Taking an erased task or user out of everything but the raw tables.

The load that brings a tombstone has deleted the raw rows. What follows is outside of any
transaction, and done again after a kill: the lines in the spool are blanked, the warehouse and logs
that were put aside are deleted, quarantine is cleared and the staging file is written anew. Older
publications go when the next one is made.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING
from uuid import UUID

from orb_learning._database import transaction
from orb_learning._faults import crash_point
from orb_learning.home import Home
from orb_learning.spool import Span, blank_segment, segment_names
from orb_learning.staging import (
    Erased,
    checkpoint,
    damaged_logs,
    erased_subjects,
    has_one_of,
    is_refused_about,
    named_by_event,
    note_removal,
    rewrite,
)
from orb_learning.warehouse import drop_warehouse

if TYPE_CHECKING:
    import duckdb

logger = logging.getLogger("orb_learning.staging")


def blank(connection: duckdb.DuckDBPyConnection, home: Home) -> bool:
    """Blank the spool's loaded lines of erased subjects, drop the warehouse, clear quarantine.

    Returns:
        whether every segment could be written to.
    """
    checkpoint(connection, home)  # what is blanked can never be loaded again
    crash_point("erase.checkpointed")
    erased = erased_subjects(connection)
    going = _to_erase(connection, erased)
    read_to = dict(connection.execute("select segment, bytes_read from ledger.segments").fetchall())
    left = set()
    for name in segment_names(home.spool):
        # What is not loaded yet is erased by the load that reads it.
        if read_to.get(name) and not blank_segment(
            home.spool / name,
            read_to[name],
            [span for _, span in going.get(name, [])],
            lambda line: has_one_of(named_by_event(line), erased),
        ):
            left.add(name)
    crash_point("erase.blanked")
    drop_warehouse(home)
    for log in damaged_logs(home):
        log.unlink(missing_ok=True)
    crash_point("erase.dropped")
    # Here, and not in the file that takes this one's place: nothing deleted is left in that. But
    # only quarantine knows the places in a segment that is left.
    ids = [identity for name in going.keys() - left for identity, _ in going[name]]
    if ids:
        with transaction(connection):
            connection.execute(
                "delete from ledger.quarantine where quarantine_id in (select unnest($1))", [ids]
            )
            note_removal(connection, "ledger.quarantine", len(ids))
    return not left


def _to_erase(
    connection: duckdb.DuckDBPyConnection, erased: Erased
) -> dict[str, list[tuple[UUID, Span]]]:
    """Return what is to leave quarantine, by segment: the id of each, its offset and length."""
    going: dict[str, list[tuple[UUID, Span]]] = {}
    found = connection.execute(
        "select quarantine_id, claimed_type, line, reason, segment, byte_offset, byte_length"
        " from ledger.quarantine"
    )
    while rows := found.fetchmany(100):  # each may be long
        for identity, kind, line, reason, segment, offset, length in rows:
            if is_refused_about(identity, kind, bytes(line), reason, erased):
                going.setdefault(segment, []).append((identity, (offset, length)))
    return going


def finish(home: Home, *, is_whole: bool) -> None:
    """Write the closed staging file anew without what is erased.

    Args:
        home: whose staging.
        is_whole: everything was blanked, so that no later load need try again.
    """
    rewrite(home, *(["update ledger.erasures set is_applied = true"] if is_whole else []))
    crash_point("erase.applied")
    logger.info("erased what was asked for; the warehouse is built anew by the next run")
