"""Erasing a task or a user: from staging, the spool, quarantine, and all that is made from them.

A tombstone names its subject by the hash of the id. The load that brings it deletes the raw rows in
its own transaction, and so does every later load with what arrives late. Then, outside of any
transaction and again after a kill until it is done: the lines in the spool are blanked, the
warehouse and logs that were put aside are deleted, quarantine is cleared and the staging file is
written anew. Older publications go when the next one is made.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING
from uuid import UUID

from orb_learning._faults import crash_point
from orb_learning._types import subject_hash
from orb_learning.events import EVENT_TYPES, TASK_EVENT_TYPES
from orb_learning.home import Home
from orb_learning.staging._blanking import Place, blank_segment
from orb_learning.staging._file import checkpoint, damaged_logs, rewrite
from orb_learning.staging._naming import (
    Named,
    has_imported_id,
    named_by_event,
    named_by_refused,
)
from orb_learning.staging._segments import segment_names
from orb_learning.staging._tombstones import Erased, erased_subjects
from orb_learning.warehouse import drop_warehouse

if TYPE_CHECKING:
    import duckdb

    from orb_learning.staging._batch import Refusal

logger = logging.getLogger("orb_learning.staging")


def erase_rows(connection: duckdb.DuckDBPyConnection, load_id: int) -> None:
    """Delete the raw rows of erased subjects, within a load's transaction.

    Args:
        connection: staging, with the load's rows inserted.
        load_id: the load; of its own tombstones every row goes, of older ones the rows it brought.
    """
    connection.execute(
        """
        insert into ledger.erasures
        select distinct subject, subject_hash, cast($load as bigint), false
        from (
            select 'task' as subject, task_hash as subject_hash from raw.task_erased
            where load_id = $load
            union all
            select 'user', user_hash from raw.user_erased where load_id = $load
        ) as tombstones
        where (subject, subject_hash) not in (select subject, subject_hash from ledger.erasures)
        """,
        {"load": load_id},
    )
    ((known, new),) = connection.execute(
        "select count(*), count(*) filter (where load_id = ?) from ledger.erasures", [load_id]
    ).fetchall()
    if known:
        _delete(connection, f"load_id = {load_id}", f"load_id < {load_id}")
    if new:
        _delete(connection, "true", f"load_id = {load_id}")


def erase_all_rows(connection: duckdb.DuckDBPyConnection) -> None:
    """Delete every raw row of every erased subject, and mark all erasures as not yet applied."""
    _delete(connection, "true", "true")
    connection.execute("update ledger.erasures set is_applied = false")


def note_late_lines(connection: duckdb.DuckDBPyConnection, refusals: Sequence[Refusal]) -> None:
    """Mark erasures as not applied whose subjects are named in lines for quarantine."""
    erased = erased_subjects(connection)
    if erased and any(
        _is_refused_about(
            refusal.quarantine_id, refusal.claimed_type, refusal.stored, refusal.reason, erased
        )
        for refusal in refusals
    ):
        connection.execute("update ledger.erasures set is_applied = false")


def must_apply(connection: duckdb.DuckDBPyConnection) -> bool:
    """Tell whether an erasure has left traces outside of the raw tables."""
    return bool(
        connection.execute("select 1 from ledger.erasures where not is_applied limit 1").fetchone()
    )


def blank(connection: duckdb.DuckDBPyConnection, home: Home) -> bool:
    """Blank the spool's loaded lines of erased subjects, drop the warehouse, clear quarantine.

    Returns:
        whether every segment could be written to.
    """
    checkpoint(connection, home)  # what is blanked can never be loaded again
    crash_point("erase.checkpointed")
    erased = erased_subjects(connection)
    doomed = _doomed(connection, erased)
    read_to = dict(connection.execute("select segment, bytes_read from ledger.segments").fetchall())
    left = set()
    for name in segment_names(home.spool):
        # What is not loaded yet is erased by the load that reads it.
        if read_to.get(name) and not blank_segment(
            home.spool / name,
            read_to[name],
            [place for _, place in doomed.get(name, [])],
            lambda line: _has_one_of(named_by_event(line), erased),
        ):
            left.add(name)
    crash_point("erase.blanked")
    drop_warehouse(home)
    for log in damaged_logs(home):
        log.unlink(missing_ok=True)
    crash_point("erase.dropped")
    # Here, and not in the file that takes this one's place: nothing deleted is left in that. But
    # only quarantine knows the places in a segment that is left.
    ids = [identity for name in doomed.keys() - left for identity, _ in doomed[name]]
    if ids:
        connection.execute("begin")
        connection.execute(
            "delete from ledger.quarantine where quarantine_id in (select unnest($1))", [ids]
        )
        _note_removal(connection, "ledger.quarantine", len(ids))
        connection.execute("commit")
    return not left


def _doomed(
    connection: duckdb.DuckDBPyConnection, erased: Erased
) -> dict[str, list[tuple[UUID, Place]]]:
    """Return what is to leave quarantine, by segment: the id of each, its offset and length."""
    doomed: dict[str, list[tuple[UUID, Place]]] = {}
    found = connection.execute(
        "select quarantine_id, claimed_type, line, reason, segment, byte_offset, byte_length"
        " from ledger.quarantine"
    )
    while rows := found.fetchmany(100):  # each may be long
        for identity, kind, line, reason, segment, offset, length in rows:
            if _is_refused_about(identity, kind, bytes(line), reason, erased):
                doomed.setdefault(segment, []).append((identity, (offset, length)))
    return doomed


def finish(home: Home, *, is_whole: bool) -> None:
    """Write the closed staging file anew without what is erased.

    Args:
        home: whose staging.
        is_whole: everything was blanked, so that no later load need try again.
    """
    rewrite(home, *(["update ledger.erasures set is_applied = true"] if is_whole else []))
    crash_point("erase.applied")
    logger.info("erased what was asked for; the warehouse is built anew by the next run")


def _is_refused_about(
    identity: UUID, claimed_type: str | None, line: bytes, reason: str, erased: Erased
) -> bool:
    is_imported = claimed_type is not None and has_imported_id(identity)
    return _has_one_of(named_by_refused(line, is_imported=is_imported), erased) or _has_one_of(
        named_by_refused(reason.encode("utf-8", "replace")), erased
    )


def _has_one_of(named: Iterable[Named], erased: Erased) -> bool:
    return any((subject, subject_hash(identity)) in erased for subject, identity in named)


def _delete(connection: duckdb.DuckDBPyConnection, rows: str, erasures: str) -> None:
    """Delete the raw rows of subjects, and note how many there were.

    Args:
        connection: staging, within a transaction.
        rows: a condition in SQL on the rows to look at.
        erasures: a condition in SQL on the erasures to look for.
    """
    for kind, cls in EVENT_TYPES.items():
        ids = [("user", _scalar("user_id"))]
        if "user_id" in cls.model_fields:
            ids.append(("user", "user_id"))
        if kind in TASK_EVENT_TYPES:
            ids.append(("task", "cast(task_id as varchar)"))
        else:
            ids.append(("task", f"lower({_scalar('task_id')})"))
        names_one = " or ".join(
            f"sha256({spelled}) in (select subject_hash from ledger.erasures"
            f" where subject = '{subject}' and ({erasures}))"
            for subject, spelled in ids
        )
        ((count,),) = connection.execute(
            f"delete from raw.{kind} where ({rows}) and ({names_one})"
        ).fetchall()
        if count:
            _note_removal(connection, f"raw.{kind}", count)
            connection.execute(f"update ledger.erasures set is_applied = false where {erasures}")


def _scalar(key: str) -> str:
    """Return the SQL of a value in the metadata that is one value and no container of some."""
    path = f"metadata, '$.{key}'"
    is_one = f"json_type({path}) not in ('ARRAY', 'OBJECT')"
    return f"case when {is_one} then json_extract_string({path}) end"


def _note_removal(connection: duckdb.DuckDBPyConnection, table: str, count: int) -> None:
    connection.execute(
        "insert into ledger.removals values"
        " (cast(now() at time zone 'UTC' as timestamp), 'erasure', ?, ?)",
        [table, count],
    )
